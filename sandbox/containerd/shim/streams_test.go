//go:build cgo

package shim

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// startWith starts a program of the host on the streams of a container.
func startWith(t *testing.T, name string, args ...string) (*streams, *exec.Cmd) {
	t.Helper()
	dir := t.TempDir()
	s := &streams{
		stdinPath: filepath.Join(dir, "stdin"), stdoutPath: filepath.Join(dir, "stdout"),
		stderrPath: filepath.Join(dir, "stderr"),
	}
	for _, path := range []string{s.stdinPath, s.stdoutPath, s.stderrPath} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.open(os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	command := exec.CommandContext(t.Context(), name, args...)
	command.Stdin, command.Stdout, command.Stderr = s.inner[0], s.inner[1], s.inner[2]
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.begin()
	return s, command
}

// workerEnd opens the worker's end of a stream.
func workerEnd(t *testing.T, path string, mode int) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, mode|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// TestDocumentEndsWhenTheWorkerSaysSo: its death closes its end too, and must not look like the end of the document.
func TestDocumentEndsWhenTheWorkerSaysSo(t *testing.T) {
	t.Parallel()
	s, cat := startWith(t, "cat")
	printed := workerEnd(t, s.stdoutPath, os.O_RDONLY)
	for _, part := range []string{"one", "two"} {
		document := workerEnd(t, s.stdinPath, os.O_WRONLY)
		if _, err := document.WriteString(part); err != nil {
			t.Fatal(err)
		}
		if err := document.Close(); err != nil {
			t.Fatal(err)
		}
		// What it prints shows that it waits for more.
		got := make([]byte, len(part))
		if _, err := io.ReadFull(printed, got); err != nil || string(got) != part {
			t.Errorf("it read %q, %v, not %q", got, err, part)
		}
	}
	s.endStdin()
	s.endStdin() // the worker may repeat it
	if err := cat.Wait(); err != nil {
		t.Error(err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(printed); err != nil || len(rest) > 0 {
		t.Errorf("it also printed %q, %v", rest, err)
	}
}

// TestOutputsWaitForTheWorker: a worker that is away when the process ends finds later what it printed.
func TestOutputsWaitForTheWorker(t *testing.T) {
	t.Parallel()
	s, shell := startWith(t, "sh", "-c", "echo out; echo err >&2")
	if err := shell.Wait(); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := workerEnd(t, s.stdoutPath, os.O_RDONLY), workerEnd(t, s.stderrPath, os.O_RDONLY)
	if err := s.close(); err != nil {
		t.Error(err)
	}
	for want, from := range map[string]*os.File{"out\n": stdout, "err\n": stderr} {
		if got, err := io.ReadAll(from); err != nil || string(got) != want {
			t.Errorf("printed %q, %v, not %q", got, err, want)
		}
	}
}

// TestProcessOwnsItsPipes: it may open them again by their paths, as shells do.
func TestProcessOwnsItsPipes(t *testing.T) {
	t.Parallel()
	s, shell := startWith(t, "sh", "-c", "echo again >/proc/self/fd/1; cat /proc/self/fd/0 >/proc/self/fd/2")
	s.endStdin()
	if err := shell.Wait(); err != nil {
		t.Error(err)
	}
}

func TestStreamsThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &streams{stdinPath: filepath.Join(dir, "none"), stdoutPath: filepath.Join(dir, "none")}
	if err := s.open(os.Getuid(), os.Getgid()); err == nil {
		t.Error("they were opened")
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
