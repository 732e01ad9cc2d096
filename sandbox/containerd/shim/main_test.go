//go:build cgo

package shim

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"

	"attune/sandbox/containerd/shim/deleted"
)

// TestMain is the program itself where a test, or the program, starts it as such.
func TestMain(m *testing.M) {
	if args := os.Args[1:]; len(args) > 0 {
		switch {
		case args[0] == "serve", args[0] == "keep", args[0] == "-info", args[0] == "by-hand", args[len(args)-1] == "delete":
			os.Exit(Main(args))
		}
	}
	os.Exit(m.Run())
}

// program is attune-shim, as far as tests can be it.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	command.Stderr = os.Stderr
	return command
}

func TestInfoNamesTheProgram(t *testing.T) {
	t.Parallel()
	out, err := program(t, "-info").Output()
	var info types.RuntimeInfo
	if err := errors.Join(err, proto.Unmarshal(out, &info)); err != nil || info.Name != "attune-shim" {
		t.Errorf("it says %v, %v", &info, err)
	}
}

func TestProgramIsNotForPeople(t *testing.T) {
	t.Parallel()
	command := program(t, "by-hand")
	var complaint bytes.Buffer
	command.Stderr = &complaint
	if err := command.Run(); err == nil || !bytes.Contains(complaint.Bytes(), []byte("attune worker")) {
		t.Errorf("%v, it says %q", err, complaint.String())
	}
}

// TestDeleteOfADeadContainer is about one whose shim died before it had a process.
func TestDeleteOfADeadContainer(t *testing.T) {
	t.Parallel()
	bundle, root := t.TempDir(), t.TempDir()
	state := filepath.Join(root, "dead")
	err := errors.Join(os.WriteFile(filepath.Join(bundle, deleted.Note), []byte(root), 0o600), os.Mkdir(state, 0o700))
	if err != nil {
		t.Fatal(err)
	}
	command := program(t, "-namespace", "attune", "-address", "containerd.sock", "-publish-binary", "containerd",
		"-id", "dead", "-bundle", bundle, "delete")
	command.Dir = bundle
	out, err := command.Output()
	var answer task.DeleteResponse
	if err := errors.Join(err, proto.Unmarshal(out, &answer)); err != nil || answer.ExitStatus != 137 {
		t.Errorf("it says %v, %v", &answer, err)
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its state is left: %v", err)
	}
}

// TestServeEndsWithItsWorker: without a container the end of stdin is its own, and it leaves nothing.
func TestServeEndsWithItsWorker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket, roots := filepath.Join(dir, "socket"), filepath.Join(dir, "roots")
	if err := os.Mkdir(roots, 0o700); err != nil {
		t.Fatal(err)
	}
	command := program(t, "serve", "-socket", socket, "-root", dir, "-roots", roots)
	alive, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	words := bufio.NewReader(said)
	if line, err := words.ReadString('\n'); line != "ready\n" {
		t.Fatalf("it says %q, %v", line, err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	client := ttrpc.NewClient(conn)
	_, err = task.NewTTRPCTaskClient(client).State(t.Context(), &task.StateRequest{ID: "some"})
	if !errdefs.IsNotFound(errgrpc.ToNative(err)) {
		t.Errorf("asked for a container that is not there, it says %v", err)
	}
	if err := errors.Join(client.Close(), alive.Close()); err != nil {
		t.Error(err)
	}
	if line, _ := words.ReadString('\n'); line != "" {
		t.Errorf("at its end it says %q", line)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("its end: %v", err)
	}
	for _, path := range []string{socket, roots} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}
