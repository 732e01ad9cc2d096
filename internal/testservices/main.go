// Command testservices runs a command, such as go test, with a PostgreSQL, a MinIO and a containerd of its own:
//
//	go run ./internal/testservices -- go test ./...
//
// The command finds them in these variables, and its exit status is ours:
//
//	ATTUNE_TEST_DATABASE_URL         of a superuser
//	ATTUNE_TEST_S3_ENDPOINT          with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
//	ATTUNE_TEST_CONTAINERD_ADDRESS   the socket
//	ATTUNE_TEST_BIN_DIR              containerd, ctr, runc, runsc, their shims, minio, CNI plugins
//	PATH                             begins with bin, where make build leaves attune-shim
//	ATTUNE_CACHE_DIR                 what is kept from one run to the next
//	TMPDIR                           goes away at the end
//
// A container, mount, process or control group that the command leaves behind is named and removed, and makes the run
// fail: a test cleans up after itself.
//
// There are two processes. The inner one starts the daemons and the command, in a mount namespace of its own, so that
// every mount in it is theirs. The outer one is the parent of all that lose theirs, so that every process left below it is
// theirs, too; it outlives the inner one and clears up, whatever happened.
package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
)

// innerFolder is set for the inner process: the folder for everything.
const innerFolder = "ATTUNE_TESTSERVICES_DIR"

// exitFailed is the status when the command succeeded and something else did not.
const exitFailed = 1

func main() {
	// The kernel ends the inner process with the thread that started it; the main goroutine keeps that thread.
	runtime.LockOSThread()
	// What is made for other users must be open to them, whatever the caller's habits are.
	syscall.Umask(0o022)
	command := os.Args[1:]
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		fail("usage: testservices -- command [argument…]")
	}
	if os.Geteuid() != 0 {
		fail("containers need root: run make test, which asks for it")
	}
	run := guard
	dir, inner := os.LookupEnv(innerFolder)
	if inner {
		run = func(command []string) (int, error) { return serve(dir, command) }
	}
	status, err := run(command)
	if err != nil {
		say("%v", err)
		status = cmp.Or(status, exitFailed)
	}
	os.Exit(status)
}

// cacheDir is where scripts/deps.sh puts what it builds.
func cacheDir() (string, error) {
	if dir := os.Getenv("ATTUNE_CACHE_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "attune"), nil
}

// binDir is the folder with the daemons: what the caller names, else where scripts/deps.sh links to.
func binDir(cache string) (string, error) {
	dir := cmp.Or(os.Getenv("ATTUNE_BIN_DIR"), filepath.Join(cache, "bin"))
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("no daemons are here; run make deps: %w", err)
	}
	return filepath.Abs(dir)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "testservices: "+format+"\n", args...)
}

func fail(text string) {
	say("%s", text)
	os.Exit(2)
}

// missingFrom returns the elements of now that before lacks.
func missingFrom[T comparable](before, now []T) []T {
	return slices.DeleteFunc(now, func(t T) bool { return slices.Contains(before, t) })
}
