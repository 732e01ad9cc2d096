package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// ignoreFile says, in gitignore's syntax, what else of a pack's folder stays out of its archive.
const ignoreFile = ".attuneignore"

// maxIgnoreBytes bounds it.
const maxIgnoreBytes = 1 << 20

// leftOut are patterns of what tools make beside a pack's source. They come first, so that ignoreFile can take one
// back.
var leftOut = []string{ignoreFile, ".git", ".venv/", ".tox/", "node_modules/", "__pycache__/", "*.pyc"}

// leftOutText is leftOut in words, and what left adds.
const leftOutText = ".git, .venv, .tox, node_modules, __pycache__, *.pyc and Python environments " +
	"(folders with a pyvenv.cfg)"

// ignorer decides what stays out of an archive.
type ignorer struct {
	folder fs.FS
	// own has the patterns of the author behind the default ones.
	defaults, own gitignore.Matcher
}

func newIgnorer(folder fs.FS) (*ignorer, error) {
	patterns := make([]gitignore.Pattern, len(leftOut))
	for i, text := range leftOut {
		patterns[i] = gitignore.ParsePattern(text, nil)
	}
	defaults := gitignore.NewMatcher(patterns)
	file, err := folder.Open(ignoreFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &ignorer{folder, defaults, defaults}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // Only read.
	text, err := io.ReadAll(io.LimitReader(file, maxIgnoreBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxIgnoreBytes:
		return nil, usagef("%s is larger than %d KiB", ignoreFile, maxIgnoreBytes>>10)
	}
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\ufeff")))) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, gitignore.ParsePattern(line, nil))
		}
	}
	return &ignorer{folder, defaults, gitignore.NewMatcher(patterns)}, nil
}

// left reports whether a file or folder stays out. said is how to tell the author; it is empty for what the author has
// named, and for single files.
func (i *ignorer) left(path string, folder bool) (out bool, said string) {
	parts := strings.Split(path, "/")
	switch {
	case path == ".":
		return false, ""
	case i.own.Match(parts, folder):
		if folder && i.defaults.Match(parts, folder) {
			said = path
		}
		return true, said
	case folder && isEnvironment(i.folder, path):
		return true, path + " (a Python environment)"
	default:
		return false, ""
	}
}

func isEnvironment(folder fs.FS, path string) bool {
	info, err := fs.Stat(folder, path+"/pyvenv.cfg")
	return err == nil && info.Mode().IsRegular()
}

// maxSaid is how many folders are named.
const maxSaid = 8

// sayLeftOut names what stayed out by default.
func (s *session) sayLeftOut(left []string) {
	if len(left) == 0 {
		return
	}
	more := ""
	if n := len(left) - maxSaid; n > 0 {
		left, more = left[:maxSaid], fmt.Sprintf(" and %d more", n)
	}
	s.notef("left out: %s%s", strings.Join(left, ", "), more)
}
