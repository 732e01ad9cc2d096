package sandbox

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is kept of $ATTUNE_OUTPUT. The runners know them, too, and say what they leave out.
const (
	MaxOutputFiles = 100
	MaxOutputBytes = 64 << 20
	// MaxOutputName is in bytes.
	MaxOutputName = 255
	// MaxCollectedBytes has room for the names as well.
	MaxCollectedBytes = MaxOutputBytes + 1<<20
)

// Output is a file that an action left in $ATTUNE_OUTPUT.
type Output struct {
	// Name is a path below that folder, with slashes.
	Name string
	// Content can be read until the execution is forgotten.
	Content *io.SectionReader
}

// ReadOutputs finds the files in what the runner has collected: name, NUL, size, NUL, content, one after the other. The
// host cannot trust any of it. ReadOutputs stops at what it cannot read, and skips files with a name that is not safe
// or that clashes with another.
func ReadOutputs(collected io.ReaderAt, size int64) (outputs []Output) {
	room := int64(MaxOutputBytes)
	for at := int64(0); at < size && len(outputs) < MaxOutputFiles; {
		head := make([]byte, MaxOutputName+32)
		n, err := collected.ReadAt(head, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return outputs
		}
		name, rest, named := bytes.Cut(head[:n], []byte{0})
		digits, _, sized := bytes.Cut(rest, []byte{0})
		length, err := strconv.ParseInt(string(digits), 10, 64)
		at += int64(len(name) + len(digits) + 2)
		if !named || !sized || err != nil || length < 0 || length > min(room, size-at) {
			return outputs
		}
		if o := (Output{string(name), io.NewSectionReader(collected, at, length)}); o.fits(outputs) {
			outputs = append(outputs, o)
			room -= length
		}
		at += length
	}
	return outputs
}

// fits reports whether the file can lie beside the others, in a folder and in a bucket.
func (o Output) fits(others []Output) bool {
	if !fs.ValidPath(o.Name) || o.Name == "." || len(o.Name) > MaxOutputName || !utf8.ValidString(o.Name) ||
		strings.ContainsFunc(o.Name, unicode.IsControl) {
		return false
	}
	for _, other := range others {
		if o.Name == other.Name || strings.HasPrefix(o.Name, other.Name+"/") || strings.HasPrefix(other.Name, o.Name+"/") {
			return false
		}
	}
	return true
}
