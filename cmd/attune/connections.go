package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// tokenVariable is where client commands look for the token.
const tokenVariable = "ATTUNE_TOKEN"

// setting is one line of connections.env.
type setting struct{ name, value string }

// writeConnections writes the file that a shell can source. It is replaced as a whole, so that nobody reads half of it.
func writeConnections(path string, settings []setting) error {
	var b bytes.Buffer
	for _, s := range settings {
		fmt.Fprintf(&b, "export %s=%s\n", s.name, quote(s.value))
	}
	next := path + ".next"
	if err := os.WriteFile(next, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write connections: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write connections: %w", err)
	}
	return nil
}

// plain matches what a shell takes as one word without quotes in an assignment.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@?=%+,-]+$`)

// quote makes s one word of a POSIX shell.
func quote(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// unquote is the inverse of quote.
func unquote(s string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(s, "'"), "'"), `'\''`, "'")
}

// readSetting finds a value in a file that writeConnections wrote; empty when there is none.
func readSetting(path, name string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read connections: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "export "+name+"="); found {
			return unquote(value), nil
		}
	}
	return "", lines.Err()
}
