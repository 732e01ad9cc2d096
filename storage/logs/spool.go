package logs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"attune/storage/s3"
)

const (
	// tailBytes are kept of the end of a stream that exceeds its cap.
	tailBytes = 64 << 10
	// headerBytes is the size of the header of a spool file.
	headerBytes = 1 << 10
	spoolSuffix = ".spool"
)

// spool is a stream on disk, as much of it as will be stored. Nothing of it is kept in memory, and a process that
// starts after a crash finds in the file all that it needs to finish the work:
//
//	header | head, at most Cap bytes | a hole | the last bytes, tailBytes at least
//
// Every byte of the stream has a fixed offset, so the size of the file says how much was taken. Past the cap, the disk
// gets back what will not be stored. A spool is not safe for concurrent use, except for reading what was written
// before.
type spool struct {
	spoolHeader
	file *os.File
	// total is the number of bytes written; written is the part of the head that is in the file.
	total, written int64
	// pruned is how far the hole reaches.
	pruned int64
	// broken is set when the disk refused a write. From then on bytes are only counted.
	broken error
}

type spoolHeader struct {
	// Prefix is where the whole stream goes, Segments where its segments are while it is written. A file of a version
	// that did not know attempts has no Segments: they are the same.
	Prefix   string `json:"prefix"`
	Segments string `json:"segments,omitempty"`
	Stream   string `json:"stream"`
	Cap      int64  `json:"cap"`
	// Document is the key of an object, which follows as it is; there is no stream then. Without a type it is JSON, as in
	// a file of a version that did not know others.
	Document    string `json:"document,omitempty"`
	ContentType string `json:"content_type,omitempty"`
}

// encode pads the header to headerBytes. Object storage takes no key that is longer, so it refuses what does not fit.
func (h spoolHeader) encode() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // which would make six bytes of one
	if err := encoder.Encode(h); err != nil {
		return nil, fmt.Errorf("encode spool header: %w", err)
	}
	if text.Len() > headerBytes {
		return nil, fmt.Errorf("%w: the name of %q takes %d bytes in the spool, and %d are allowed; choose a shorter one",
			s3.ErrRefused, cmp.Or(h.Document, h.Prefix+h.Stream), text.Len(), headerBytes)
	}
	return append(text.Bytes(), strings.Repeat(" ", headerBytes-text.Len())...), nil
}

func createSpool(path string, h spoolHeader) (s *spool, err error) {
	header, err := h.encode()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create spool: %w", err)
	}
	if _, err := file.Write(header); err != nil {
		return nil, fmt.Errorf("begin spool: %w", errors.Join(err, file.Close(), os.Remove(path)))
	}
	return &spool{spoolHeader: h, file: file, pruned: h.Cap}, nil
}

// errNoHeader: the process died before it had written the file, or the disk has lost what was not synced.
var errNoHeader = errors.New("the spool file has no whole header")

// openSpool opens what an earlier process left.
func openSpool(path string) (s *spool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	s = &spool{file: file}
	header := make([]byte, headerBytes)
	if _, err := io.ReadFull(file, header); err != nil || json.Unmarshal(header, &s.spoolHeader) != nil {
		return nil, errNoHeader
	}
	s.Segments = cmp.Or(s.Segments, s.Prefix)
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s.total = info.Size() - headerBytes
	s.written, s.pruned = min(s.total, s.Cap), s.Cap
	return s, nil
}

// redirect sends the whole stream below another prefix, also for a process that opens the file after a crash. Where the
// disk refuses, it holds for this process alone.
func (s *spool) redirect(prefix string) error {
	s.Prefix = prefix
	header, err := s.encode()
	if err == nil {
		_, err = s.file.WriteAt(header, 0)
	}
	if err != nil {
		return fmt.Errorf("write to the spool that the log goes to %s: %w", prefix, err)
	}
	return nil
}

// at is the offset in the file of a byte of the stream.
func (s *spool) at(offset int64) int64 { return headerBytes + offset }

// write takes all of p; what does not fit is only counted. It fails only for the first time that the disk refuses.
func (s *spool) write(p []byte) error {
	begin := s.total
	s.total += int64(len(p))
	if s.broken != nil {
		return nil
	}
	head := p[:min(max(0, s.Cap-begin), int64(len(p)))]
	n, err := s.file.WriteAt(head, s.at(begin))
	s.written += int64(n)
	if rest := p[len(head):]; err == nil && len(rest) > 0 {
		rest = rest[max(0, len(rest)-tailBytes):]
		_, err = s.file.WriteAt(rest, s.at(s.total-int64(len(rest))))
	}
	if err == nil {
		err = s.prune()
	}
	s.broken = err
	return err
}

func (s *spool) close() error { return s.file.Close() }

// remove removes the file, after close.
func (s *spool) remove() error { return os.Remove(s.file.Name()) }
