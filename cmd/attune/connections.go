package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// tokenVariable is where client commands look for the token.
const tokenVariable = "ATTUNE_TOKEN"

// setting is one line of connections.env.
type setting struct{ name, value string }

// privateMark begins the line that names the addresses of the private daemons.
const privateMark = "# private: "

// announce makes sure that there is an administrator's token, and writes connections.env into the data folder. private
// names the settings that lead to daemons of the folder's own.
func (f storeFlags) announce(
	ctx context.Context, st *stores, a addresses, url, containerd string, private ...string,
) error {
	path := filepath.Join(f.DataDir, "connections.env")
	kept, err := readSetting(path, tokenVariable)
	if err != nil {
		return err
	}
	token, err := st.db.Tokens.EnsureAdmin(ctx, kept)
	if err != nil {
		return err
	}
	return writeConnections(path, private, []setting{
		{"ATTUNE_URL", url},
		{tokenVariable, token},
		{"ATTUNE_DATABASE_URL", a.databaseURL},
		{"ATTUNE_S3_ENDPOINT", a.s3Endpoint},
		{"ATTUNE_S3_LOG_BUCKET", f.S3LogBucket},
		{"AWS_ACCESS_KEY_ID", a.s3AccessKey},
		{"AWS_SECRET_ACCESS_KEY", a.s3SecretKey},
		{"ATTUNE_CONTAINERD_ADDRESS", containerd},
	})
}

// writeConnections writes the file that a shell can source. It replaces the whole file, so that no reader sees half of
// it.
func writeConnections(path string, private []string, settings []setting) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n", privateMark, strings.Join(private, " "))
	for _, s := range settings {
		if s.value == "" {
			continue // A server has no containerd.
		}
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

// isPrivate reports whether a value is the address of a private daemon of this data folder. A shell that has sourced
// the folder's connections.env passes it back to us; that is no configuration.
func (f storeFlags) isPrivate(name, value string) (bool, error) {
	path := filepath.Join(f.DataDir, "connections.env")
	kept, err := readSetting(path, name)
	if err != nil || kept != value {
		return false, err
	}
	names, err := readLine(path, privateMark)
	return slices.Contains(strings.Fields(names), name), err
}

// readSetting finds a value in a file that writeConnections wrote; empty when there is none.
func readSetting(path, name string) (string, error) {
	value, err := readLine(path, "export "+name+"=")
	return unquote(value), err
}

// readLine finds what follows a prefix on its line; empty when no line has it, or there is no file.
func readLine(path, prefix string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read connections: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if rest, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), prefix); found {
			return rest, nil
		}
	}
	return "", nil
}
