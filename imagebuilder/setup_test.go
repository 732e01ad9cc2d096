package imagebuilder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"attune/sandbox/containerd/network"

	containerdimages "github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/google/uuid"

	"attune"
)

// shared is one builder with a base image, for the tests that do not look at what else is in its namespace: unpacking
// the base once for each test would take longer than all of them.
var shared struct {
	once    sync.Once
	builder *Builder
	network *network.Network
	err     error
	dir     string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.builder != nil {
		if err := emptyNamespace(shared.builder); err != nil {
			code = 1
			println("clean up:", err.Error())
		}
	}
	if shared.network != nil {
		if err := shared.network.Close(context.Background()); err != nil {
			code = 1
			println("clean up:", err.Error())
		}
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set; run make test", name)
	}
	return value
}

func testConfig(t *testing.T, dir string) Config {
	t.Helper()
	return Config{
		Address:   env(t, "ATTUNE_TEST_CONTAINERD_ADDRESS"),
		Namespace: "test-imagebuilder-" + uuid.NewString()[:8],
		WorkDir:   filepath.Join(dir, "work"),
		CacheDir:  env(t, "ATTUNE_CACHE_DIR"),
		Network:   shared.network,
	}
}

// sharedBuilder returns the builder that has the base image.
func sharedBuilder(t *testing.T) *Builder {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "attune-imagebuilder-"); shared.err != nil {
			return
		}
		shared.network, shared.err = network.Open(network.Config{
			BinDir:   env(t, "ATTUNE_TEST_BIN_DIR"),
			StateDir: filepath.Join(shared.dir, "network"),
			// The addresses that networks have on this host: a test serves an index there.
			AllowCIDRs: []string{"10.192.0.0/10"},
		})
		if shared.err != nil {
			return
		}
		shared.builder, shared.err = New(t.Context(), testConfig(t, shared.dir))
		if shared.err == nil {
			shared.err = shared.builder.EnsureBase(context.WithoutCancel(t.Context()), testLog{t})
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.builder
}

// ownBuilder returns a builder that shares the base image with the others and nothing else.
func ownBuilder(t *testing.T, change func(*Config)) *Builder {
	t.Helper()
	shared := sharedBuilder(t) // before its network is taken
	config := testConfig(t, t.TempDir())
	config.Namespace = shared.config.Namespace
	if change != nil {
		change(&config)
	}
	b, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.Collect(context.Background(), nil), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// emptyNamespace removes a builder's images and its namespace, which fails when anything else is left in it.
func emptyNamespace(b *Builder) error {
	ctx := b.context(context.Background())
	all, err := b.client.ImageService().List(ctx)
	if err != nil {
		return err
	}
	for _, image := range all {
		if err := b.client.ImageService().Delete(ctx, image.Name, containerdimages.SynchronousDelete()); err != nil {
			return err
		}
	}
	if err := b.client.NamespaceService().Delete(ctx, b.config.Namespace); err != nil {
		return err
	}
	return b.Close()
}

// testLog shows the log of a build with the test.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		l.t.Log(strings.TrimRight(line, "\n"))
	}
	return len(p), nil
}

// testPack is what a test builds.
type testPack struct {
	manifest attune.Manifest
	files    fstest.MapFS
}

func newPack(ref string, files map[string]string) testPack {
	p := testPack{
		manifest: attune.Manifest{Ref: ref, Version: "1.0.0"},
		files:    fstest.MapFS{"pack.yaml": {Data: []byte("ref: " + ref + "\nversion: 1.0.0\n")}},
	}
	for name, text := range files {
		p.files[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
	}
	return p
}

// build builds a pack and returns its image and the log.
func build(t *testing.T, b *Builder, p testPack) (Image, string, error) {
	t.Helper()
	var log bytes.Buffer
	image, err := b.build(t.Context(), p.manifest, p.files, &log, func(attune.InstallationPhase) {})
	return image, log.String(), err
}

func mustBuild(t *testing.T, b *Builder, p testPack) (Image, string) {
	t.Helper()
	image, log, err := build(t, b, p)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return image, log
}

// runIn runs a bash script in an image, without a network and without capabilities, and returns what it printed.
func runIn(t *testing.T, b *Builder, image Image, script string) string {
	t.Helper()
	ctx, done, err := b.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := done(); err != nil {
			t.Error(err)
		}
	}()
	found, err := b.client.ImageService().Get(ctx, image.Name)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := b.readStack(ctx, found.Target)
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.openWorkspace(ctx, layers)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.close(ctx); err != nil {
			t.Error(err)
		}
	}()
	var output bytes.Buffer
	err = w.run(ctx, step{name: "script", args: []string{"/bin/bash", "-c", script}, dir: "/opt/attune/pack"}, &output)
	if err != nil {
		t.Fatalf("%v\n%s", err, output.String())
	}
	return output.String()
}

// leftovers lists what a builder has in containerd and on disk apart from images and what they need.
func leftovers(t *testing.T, b *Builder) []string {
	t.Helper()
	ctx := b.context(t.Context())
	var left []string
	mine := fmt.Sprintf("labels.%q==%s", ownerLabel, b.owner)
	containers, err := b.client.Containers(ctx, mine)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		left = append(left, "container "+c.ID())
	}
	all, err := b.client.LeasesService().List(ctx, mine)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		left = append(left, "lease "+l.ID)
	}
	err = b.snapshots().Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if strings.HasPrefix(info.Name, b.workspaceID("")) {
			left = append(left, "snapshot "+info.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{b.config.WorkDir + "/*", "/sys/fs/cgroup/*/attune-" + b.workspaceID("*"),
		"/sys/fs/cgroup/attune-" + b.workspaceID("*")} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, names...)
	}
	// A loop device goes with the last mount of it, of which a container that is being made elsewhere may have a copy.
	within(t, "no loop device is left", func() bool { return len(loops(t, b.config.WorkDir)) == 0 })
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, b.config.WorkDir) {
			left = append(left, "mount "+line)
		}
	}
	return left
}

// loops are the loop devices with a file below a folder.
func loops(t *testing.T, dir string) (found []string) {
	t.Helper()
	names, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, _ := os.ReadFile(name) // it may be gone
		if strings.HasPrefix(string(file), dir+"/") {
			found = append(found, name)
		}
	}
	return found
}
