package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"attune"
	"attune/cmd/attune/internal/client"
	"attune/internal/retry"
)

// connection holds the flags that every client command has.
type connection struct {
	URL       string `group:"connection" env:"ATTUNE_URL" placeholder:"URL" help:"Address of the service."`
	TokenFile string `group:"connection" env:"ATTUNE_TOKEN_FILE" type:"path" placeholder:"FILE" help:"File with the API token, instead of ATTUNE_TOKEN. No flag takes the token itself: all users of the host can read arguments."`
	JSON      bool   `group:"connection" name:"json" help:"Print the API's data as JSON."`
}

// session is what a command sees of its surroundings; tests give it others.
type session struct {
	connection
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	// stdoutTerminal and stderrTerminal choose between output for people and plain lines.
	stdoutTerminal, stderrTerminal bool
	// readHidden reads a line from the terminal without showing it; nil when stdin is not a terminal.
	readHidden func() ([]byte, error)
}

// client makes the client for the service that flags and environment name.
func (s *session) client() (*client.Client, error) {
	if s.URL == "" {
		return nil, &userError{message: "no address of a service is given", hint: connectionHint, status: exitUsage}
	}
	token := s.getenv("ATTUNE_TOKEN")
	if s.TokenFile != "" {
		content, err := os.ReadFile(s.TokenFile)
		if err != nil {
			return nil, &userError{message: fmt.Sprintf("read the token: %v", err), status: exitUsage}
		}
		token = string(bytes.TrimSpace(content))
	}
	c, err := client.New(s.URL, token)
	if err != nil {
		return nil, &userError{message: err.Error(), hint: connectionHint, status: exitUsage}
	}
	return c, nil
}

// The shortest and the longest pause between two looks, and how long a poll waits for a service that does not answer.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 500 * time.Millisecond
	awayLimit    = time.Minute
)

// poll calls look until it is done: often at first, and again often after something moved. It waits up to awayLimit for
// a service that does not answer, since executions go on meanwhile.
func (s *session) poll(ctx context.Context, look func() (moved, done bool, err error)) error {
	pauses, answered, told := retry.Pauses(firstPause, longestPause), time.Now(), false
	for {
		moved, done, err := look()
		switch {
		case err == nil && done:
			return nil
		case err == nil:
			answered, told = time.Now(), false
		case attune.CodeOf(err) != attune.CodeUnavailable || time.Since(answered) > awayLimit:
			return err
		case !told:
			s.notef("%v; trying again", err)
			told = true
		}
		if moved {
			pauses.Reset()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pauses.NextBackOff()):
		}
	}
}

// notef prints a message on stderr.
func (s *session) notef(format string, args ...any) {
	writef(s.stderr, "attune: %s\n", printable(fmt.Sprintf(format, args...)))
}
