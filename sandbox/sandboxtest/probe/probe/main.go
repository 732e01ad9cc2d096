// Command probe is the static program in the image of the sandbox's tests.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"attune/sandbox/sandboxtest/probe"
)

func main() {
	args := os.Args[1:]
	// "then" waits for the document before it does what the rest says.
	if args[0] == "then" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		args = args[1:]
	}
	if look, known := inside[args[0]]; known {
		os.Exit(look(args))
	}
	if attack, known := hostile[args[0]]; known {
		os.Exit(besiege(attack, args))
	}
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	os.Exit(probe.Run(terminated, probe.Process{
		Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Result: file(os.Getenv("ATTUNE_RESULT")), Failure: file(os.Getenv("ATTUNE_FAILURE")),
		Leave: leave,
	}))
}

// leave writes a file below the folder for output.
func leave(name, content string) error {
	path := filepath.Join(os.Getenv("ATTUNE_OUTPUT"), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}

// file opens one of the contract's files when it is written to.
type file string

func (f file) Write(p []byte) (int, error) {
	opened, err := os.OpenFile(string(f), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	n, err := opened.Write(p)
	if closeErr := opened.Close(); err == nil {
		err = closeErr
	}
	return n, err
}
