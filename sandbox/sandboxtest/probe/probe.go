// Package probe is the program that tests run in sandboxes: one mode a question. Modes that need nothing of a real
// sandbox run inside a test's process as well, so that one suite holds for the fake and the real Runtime.
package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Process is what a mode has to work with.
type Process struct {
	// Args are the mode and its arguments.
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Result and Failure are the files of the contract.
	Result, Failure io.Writer
	// Leave leaves a file in the folder for output.
	Leave func(name, content string) error
}

type mode func(terminated context.Context, p Process) int

// portable modes are promised by every Runtime.
var portable = map[string]mode{
	"echo": func(_ context.Context, p Process) int {
		_, err := io.Copy(p.Stdout, p.Stdin)
		return status(err)
	},
	"early": func(_ context.Context, p Process) int {
		_, early := io.WriteString(p.Stdout, "early ")
		_, err := io.Copy(p.Stdout, p.Stdin)
		return status(early) | status(err)
	},
	"streams": func(_ context.Context, p Process) int {
		_, outErr := io.WriteString(p.Stdout, "to stdout")
		_, errErr := io.WriteString(p.Stderr, "to stderr")
		return status(outErr) | status(errErr)
	},
	"exit": func(_ context.Context, p Process) int {
		code, _ := strconv.Atoi(p.Args[1])
		return code
	},
	"wait": func(terminated context.Context, p Process) int {
		_, err := io.WriteString(p.Stdout, "waiting")
		<-terminated.Done()
		return 143 | status(err)
	},
	"leave-and-wait": func(terminated context.Context, p Process) int {
		left := p.Leave("note.txt", "hello")
		_, err := io.WriteString(p.Stdout, "waiting")
		<-terminated.Done()
		return 143 | status(left) | status(err)
	},
	// hold keeps what it read until it is asked to end.
	"hold": func(terminated context.Context, p Process) int {
		document, readErr := io.ReadAll(p.Stdin)
		_, err := fmt.Fprintf(p.Stdout, "holding %d", len(document))
		<-terminated.Done()
		return 143 | status(readErr) | status(err)
	},
	// stubborn has heard the request to end and goes on.
	"stubborn": func(_ context.Context, p Process) int {
		_, _ = io.WriteString(p.Stdout, "waiting")
		select {}
	},
	"answer": func(_ context.Context, p Process) int {
		_, resultErr := io.WriteString(p.Result, `{"answer": 42}`)
		_, failureErr := io.WriteString(p.Failure, `{"error": "none"}`)
		return status(resultErr) | status(failureErr)
	},
	// leave leaves three files, one of which has a name that cannot be kept.
	"leave": func(_ context.Context, p Process) int {
		err := errors.Join(p.Leave("note.txt", "hello"), p.Leave("deep/empty", ""), p.Leave("two\nlines", "x"))
		return status(err)
	},
	"flood": func(_ context.Context, p Process) int {
		mebibytes, _ := strconv.Atoi(p.Args[1])
		block := bytes.Repeat([]byte("x"), 1<<20)
		for range mebibytes {
			if _, err := p.Stdout.Write(block); err != nil {
				return 1
			}
		}
		return 0
	},
}

func status(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// Run runs a portable mode; terminated ends when the process is asked to end.
func Run(terminated context.Context, p Process) int {
	run, known := portable[p.Args[0]]
	if !known {
		_, _ = fmt.Fprintf(p.Stderr, "no mode %q\n", p.Args[0])
		return 2
	}
	return run(terminated, p)
}
