//go:build cgo

package shim

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/api/types"
)

// rootsOf are roots without a kernel. The list has what is mounted.
func rootsOf(t *testing.T) (*roots, *[]string) {
	t.Helper()
	mounted := &[]string{}
	r := newRoots(t.TempDir())
	r.mount = func(_ []*types.Mount, target string) error {
		*mounted = append(*mounted, target)
		return nil
	}
	r.unmount = func(path string) error {
		*mounted = slices.DeleteFunc(*mounted, func(m string) bool { return m == path })
		return nil
	}
	return r, mounted
}

// layers are an image's, with the ids of one sandbox.
func layers(image string, ids int) []*types.Mount {
	return []*types.Mount{{Type: "overlay", Source: "overlay", Options: []string{
		"lowerdir=" + image, fmt.Sprintf("uidmap=0:%d:65536", ids),
	}}}
}

func take(t *testing.T, r *roots, mounts []*types.Mount) string {
	t.Helper()
	path, err := r.take(mounts)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRootIsSharedByImageAndIDs(t *testing.T) {
	t.Parallel()
	r, mounted := rootsOf(t)
	first := take(t, r, layers("a", 1))
	for name, c := range map[string]struct {
		mounts []*types.Mount
		same   bool
	}{
		"the same":    {layers("a", 1), true},
		"other ids":   {layers("a", 2), false},
		"other image": {layers("b", 1), false},
	} {
		if path := take(t, r, c.mounts); (path == first) != c.same {
			t.Errorf("%s: %s beside %s", name, path, first)
		}
	}
	if len(*mounted) != 3 {
		t.Errorf("mounted are %v", *mounted)
	}
}

func TestIdleRootStaysForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, mounted := rootsOf(t)
		wait := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if len(*mounted) != want {
				t.Errorf("mounted are %v, not %d", *mounted, want)
			}
		}
		path := take(t, r, layers("a", 1))
		take(t, r, layers("a", 1))
		r.release(path)
		wait(2*keepMounted, 1) // the other container has it
		r.release(path)
		wait(keepMounted-time.Second, 1)
		if again := take(t, r, layers("a", 1)); again != path {
			t.Errorf("%s was mounted beside %s", again, path)
		}
		wait(2*keepMounted, 1) // it is in use again
		r.release(path)
		wait(keepMounted+time.Second, 0)
		if r.idle != 0 || len(r.mounted) != 0 {
			t.Errorf("%d are idle, known are %v", r.idle, r.mounted)
		}
	})
}

func TestFewRootsAreIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, mounted := rootsOf(t)
		var paths []string
		for ids := range maxIdle + 3 {
			paths = append(paths, take(t, r, layers("a", ids)))
		}
		for _, path := range paths {
			r.release(path)
		}
		synctest.Wait()
		if len(*mounted) != maxIdle || r.idle != maxIdle {
			t.Errorf("%d are mounted, and %d idle", len(*mounted), r.idle)
		}
		if err := r.close(); err != nil || len(*mounted) != 0 {
			t.Errorf("after the end: %v, mounted are %v", err, *mounted)
		}
		if _, err := os.Stat(r.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its folder is left: %v", err)
		}
	})
}

func TestRootThatCannotBeUnmountedStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, mounted := rootsOf(t)
		unmount, busy := r.unmount, errors.New("busy")
		r.unmount = func(string) error { return busy }
		path := take(t, r, layers("a", 1))
		r.release(path)
		time.Sleep(2 * keepMounted)
		synctest.Wait()
		if again := take(t, r, layers("a", 1)); again != path || len(*mounted) != 1 {
			t.Errorf("got %s, mounted are %v", again, *mounted)
		}
		r.unmount = unmount
		r.release(path)
		time.Sleep(2 * keepMounted)
		synctest.Wait()
		if len(*mounted) != 0 || r.idle != 0 {
			t.Errorf("mounted are %v, and %d idle", *mounted, r.idle)
		}
	})
}

func TestRootThatCannotBeMountedIsNotKept(t *testing.T) {
	t.Parallel()
	r, mounted := rootsOf(t)
	mount, broken := r.mount, errors.New("no such layer")
	r.mount = func(mounts []*types.Mount, target string) error {
		return errors.Join(mount(mounts, target), broken) // of several, the last
	}
	if _, err := r.take(layers("a", 1)); !errors.Is(err, broken) || len(*mounted) != 0 {
		t.Errorf("got %v, mounted are %v", err, *mounted)
	}
	r.mount = mount
	take(t, r, layers("a", 1))
}
