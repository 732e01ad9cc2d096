package logs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"attune/internal/size"
)

// truncated reports whether bytes will be missing in what is stored.
func (s *spool) truncated() bool { return s.broken != nil || s.total > s.Cap+tailBytes }

// head is the part of the head that has been written so far.
func (s *spool) head() *io.SectionReader { return io.NewSectionReader(s.file, headerBytes, s.written) }

// content is what will be stored: everything, or the head, a marker and the tail.
func (s *spool) content() *io.SectionReader {
	stream := func(offset, size int64) part { return part{s.file, s.at(offset), size} }
	switch {
	case s.broken != nil:
		return concat(stream(0, s.written), marker(s.total-s.written, "the disk of the log spool was full"))
	case !s.truncated():
		return concat(stream(0, s.total))
	}
	omitted := marker(s.total-s.Cap-tailBytes, "log exceeded "+size.Exact(s.Cap)+" limit")
	return concat(stream(0, s.Cap), omitted, stream(s.total-tailBytes, tailBytes))
}

// marker stands in a stored stream for the bytes that are missing.
func marker(omitted int64, why string) part {
	text := fmt.Sprintf("\n[TRUNCATED: %d bytes omitted, %s]\n", omitted, why)
	return part{strings.NewReader(text), 0, int64(len(text))}
}

// summary reads the content once.
func (s *spool) summary() (Summary, error) {
	hash, content := sha256.New(), s.content()
	if _, err := io.Copy(hash, content); err != nil {
		return Summary{}, fmt.Errorf("read log spool: %w", err)
	}
	return Summary{
		Size: content.Size(), Total: s.total, Truncated: s.truncated(), SHA256: hex.EncodeToString(hash.Sum(nil)),
	}, nil
}

// part is a piece of something that can be read at any offset.
type part struct {
	r            io.ReaderAt
	offset, size int64
}

// concat reads parts as if they were one. S3 clients seek back in it when they repeat a request.
func concat(parts ...part) *io.SectionReader {
	var size int64
	for _, p := range parts {
		size += p.size
	}
	return io.NewSectionReader(concatenation(parts), 0, size)
}

type concatenation []part

func (c concatenation) ReadAt(p []byte, offset int64) (n int, err error) {
	for _, piece := range c {
		if offset < piece.size && n < len(p) {
			want := min(int64(len(p)-n), piece.size-offset)
			got, err := piece.r.ReadAt(p[n:n+int(want)], piece.offset+offset)
			n += got
			if int64(got) < want {
				return n, err
			}
			offset += want
		}
		offset -= piece.size
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
