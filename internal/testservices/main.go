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

// innerFolder is the environment variable with the folder of the inner process; only that process has it.
const innerFolder = "ATTUNE_TESTSERVICES_DIR"

// exitFailed is the exit status when the command succeeded but something else failed.
const exitFailed = 1

func main() {
	// The kernel ends the inner process with the thread that started it, so the main goroutine keeps its thread.
	runtime.LockOSThread()
	// Files for other users must be readable for them, whatever the caller's umask.
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

// binDir is the folder with the daemons: the caller's, or else the one that scripts/deps.sh links to.
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
