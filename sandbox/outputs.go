package sandbox

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"attune"
)

// Bounds of what is kept of $ATTUNE_OUTPUT.
const (
	MaxOutputFiles = 100
	MaxOutputBytes = 64 << 20
	// MaxOutputName is in bytes.
	MaxOutputName = 255
)

// Bounds of what a sandbox can leave for the host: result, failure, output files and folders together.
const (
	MaxLeftBytes = MaxOutputBytes + 1<<20
	MaxLeftFiles = 1024
)

// Output is a file that an action left in $ATTUNE_OUTPUT.
type Output struct {
	// Name is a path below that folder, with slashes.
	Name string
	// Content can be read until the execution is forgotten.
	Content *io.SectionReader
}

// Outputs decides, file by file, what is kept of what an action left.
type Outputs struct {
	Kept    []Output
	NotKept []attune.NotKept
	bytes   int64
}

// Keep keeps a file, unless its name cannot be kept or it exceeds the bounds.
func (o *Outputs) Keep(name string, size int64, content io.ReaderAt) {
	reason := unfit(name)
	switch {
	case reason != "":
	case len(o.Kept) == MaxOutputFiles:
		reason = fmt.Sprintf("no more than %d files are kept", MaxOutputFiles)
	case size > MaxOutputBytes-o.bytes:
		reason = fmt.Sprintf("no more than %d MiB are kept", MaxOutputBytes>>20)
	default:
		o.bytes += size
		o.Kept = append(o.Kept, Output{name, io.NewSectionReader(content, 0, size)})
		return
	}
	o.Drop(name, reason)
}

// Drop notes a file that is not kept.
func (o *Outputs) Drop(name, reason string) {
	quoted := strconv.Quote(name)
	o.NotKept = append(o.NotKept, attune.NotKept{Name: quoted[1 : len(quoted)-1], Reason: reason})
}

// unfit returns why no file in the log bucket can have a name. It is empty where one can.
func unfit(name string) string {
	switch {
	case len(name) > MaxOutputName:
		return fmt.Sprintf("its name has more than %d bytes", MaxOutputName)
	case !utf8.ValidString(name):
		return "its name is not UTF-8"
	case strings.ContainsFunc(name, unprintable):
		return "its name has a control character"
	case strings.Contains(name, `\`):
		return "its name has a backslash"
	case slices.ContainsFunc(strings.Split(name, "/"), isDots):
		return "a part of its name is a dot or two, with spaces"
	default:
		return ""
	}
}

// unprintable has what XML, and so a listing of a bucket, cannot hold.
func unprintable(r rune) bool { return unicode.IsControl(r) || r == '\uFFFE' || r == '\uFFFF' }

// isDots has what object storage takes for a way up.
func isDots(part string) bool {
	part = strings.TrimSpace(part)
	return part == "." || part == ".."
}
