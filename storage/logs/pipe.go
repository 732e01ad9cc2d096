package logs

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// spliceBytes is the most that is taken from a pipe at once.
	spliceBytes = 1 << 20
	// pruneBytes are gathered before the disk gets them back.
	pruneBytes = 4 << 20
)

// prune makes a hole in the file, in the part of the stream that will not be stored.
func (s *spool) prune() error {
	size := s.total - tailBytes - s.pruned
	if size < pruneBytes {
		return nil
	}
	err := unix.Fallocate(int(s.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, s.at(s.pruned), size)
	if err != nil {
		return fmt.Errorf("make a hole in the log spool: %w", err)
	}
	s.pruned += size
	return nil
}

// receive moves what a pipe holds into the file; 0 is the pipe's end. The kernel takes from the pipe exactly what it
// puts into the file, even if the process is killed meanwhile: no byte is lost, and none comes twice.
func (s *spool) receive(pipe int) (int64, error) {
	if s.broken != nil {
		return 0, s.broken
	}
	offset := s.at(s.total)
	const flags = unix.SPLICE_F_NONBLOCK | unix.SPLICE_F_MOVE
	n, err := unix.Splice(pipe, nil, int(s.file.Fd()), &offset, spliceBytes, flags)
	if err != nil {
		return 0, err
	}
	s.total += n
	s.written = min(s.total, s.Cap)
	s.broken = s.prune()
	return n, nil
}

// ReadFrom takes everything from r to its end, as Write does. A byte that has left a pipe is in the spool.
func (w *Writer) ReadFrom(r io.Reader) (total int64, err error) {
	pipe, ok := r.(syscall.Conn)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	for {
		var n int64
		var refused error
		if err := raw.Read(func(fd uintptr) bool {
			n, refused = w.receive(int(fd))
			return !errors.Is(refused, unix.EAGAIN)
		}); err != nil {
			return total, fmt.Errorf("read log: %w", err)
		}
		total += n
		switch {
		case errors.Is(refused, unix.EINTR):
		case refused != nil:
			// The disk is full, or this is no pipe: what comes is counted, or written piece by piece.
			slog.Debug("a log is read in pieces", "prefix", w.prefix, "error", refused)
			n, err := io.Copy(struct{ io.Writer }{w}, struct{ io.Reader }{r})
			return total + n, err
		case n == 0:
			return total, nil
		}
	}
}

func (w *Writer) receive(pipe int) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, os.ErrClosed
	}
	n, err := w.spool.receive(pipe)
	w.segment.grown(w.spool.written)
	return n, err
}
