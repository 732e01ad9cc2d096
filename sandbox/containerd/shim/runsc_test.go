//go:build cgo

package shim

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// fakeRunsc leaves a process that waits for a line on its stdin and ends with its last word, and another beside it.
// What it is told goes to a file in its state folder.
const fakeRunsc = `#!/bin/sh
mkdir -p "$2" && echo "$@" >>"$2/told"
while [ $# -gt 0 ]; do
	case $1 in
	--pid-file) pid=$2 ;;
	create) create=yes ;;
	esac
	shift
done
[ "$create" ] || exit 0
[ -e "${pid%/*}/broken" ] && echo '{"msg": "no such root"}' >"${pid%/*}/runsc.log" && exit 128
exec 3<&0
(read -r _ status && echo "ends with $status" && exit "$status") <&3 &
echo $! >"$pid"
sleep 0.2 &
`

// runscOf is gVisor's engine with a command that plays it.
func runscOf(t *testing.T) *runsc {
	t.Helper()
	r := &runsc{id: "some", bundle: t.TempDir()}
	r.command = filepath.Join(t.TempDir(), "runsc")
	if err := os.WriteFile(r.command, []byte(fakeRunsc), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

func someRunscSpec() *specs.Spec {
	return &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{}}
}

// TestRunscIsKept: the exit status is that of gVisor's kernel, although the command that started it is gone, and comes
// when all that the command left has ended.
func TestRunscIsKept(t *testing.T) {
	t.Parallel()
	r := runscOf(t)
	var pipes [3]*os.File
	stdin, stdout := io.WriteCloser(nil), io.ReadCloser(nil)
	for i := range pipes {
		from, to, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if pipes[i] = to; i == 0 {
			pipes[i], stdin = from, to
		} else if i == 1 {
			stdout = from
		}
	}
	pid, wait, err := r.create(someRunscSpec(), pipes)
	if err != nil || pid <= 0 {
		t.Fatalf("%d, %v", pid, err)
	}
	for _, pipe := range pipes {
		_ = pipe.Close()
	}
	if _, err := io.WriteString(stdin, "status 7\n"); err != nil {
		t.Error(err)
	}
	// The keeper does not hold the process's ends.
	if said, err := io.ReadAll(stdout); err != nil || string(said) != "ends with 7\n" {
		t.Errorf("it said %q, %v", said, err)
	}
	if state, err := wait(); state == nil || state.ExitCode() != 7 {
		t.Errorf("its end is %v, %v", state, err)
	}
	if err := r.signal(9); !hasEnded(err) {
		t.Errorf("signaled after its end: %v", err)
	}
}

func TestRunscSaysWhyItFails(t *testing.T) {
	t.Parallel()
	r := runscOf(t)
	if err := os.WriteFile(filepath.Join(r.bundle, "broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	_, _, err = r.create(someRunscSpec(), [3]*os.File{null, null, null})
	if err == nil || !strings.Contains(err.Error(), "no such root") {
		t.Errorf("it says %v", err)
	}
	if err := r.destroy(); err != nil {
		t.Error(err)
	}
	told, err := os.ReadFile(filepath.Join(r.bundle, "runsc", "told"))
	if err != nil || !strings.Contains(string(told), "delete --force some\n") {
		t.Errorf("it was told %q, %v", told, err)
	}
}

func TestRunscFlags(t *testing.T) {
	t.Parallel()
	for path, none := range map[string]bool{"": true, "/run/netns/some": false} {
		spec := &specs.Spec{Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.UserNamespace}, {Type: specs.NetworkNamespace, Path: path},
		}}}
		if flags := runscFlags(spec); slices.Contains(flags, "none") != none || !slices.Contains(flags, "--oci-seccomp") {
			t.Errorf("with the network %q the flags are %v", path, flags)
		}
	}
}
