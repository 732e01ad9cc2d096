package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/containerd/fifo"
	"golang.org/x/sys/unix"
)

// copyBufferBytes is the size of one read, and of a pipe in the kernel.
const copyBufferBytes = 64 << 10

// stdio is our side of a sandbox's three streams. They are named pipes: the other side is held by containerd's shim,
// which outlives us.
type stdio struct {
	stdin            io.WriteCloser
	stdout, stderr   *os.File
	copies, delivery sync.WaitGroup
	copying          bool
}

// openStdio opens all three, for a task that is about to be created.
func openStdio(dir runDir) (*stdio, error) {
	s, err := openOutputs(dir)
	if err != nil {
		return nil, err
	}
	// The open finishes by itself when the shim has opened its side; Close ends it.
	if s.stdin, err = fifo.OpenFifo(context.Background(), dir.stdin(), unix.O_WRONLY|unix.O_NONBLOCK, 0); err != nil {
		s.abandon()
		return nil, fmt.Errorf("open pipe %s: %w", dir.stdin(), err)
	}
	return s, nil
}

// openOutputs opens what a sandbox prints.
func openOutputs(dir runDir) (*stdio, error) {
	stdout, stderr, err := dir.openOutputs()
	if err != nil {
		return nil, err
	}
	return &stdio{stdout: stdout, stderr: stderr}, nil
}

// copy starts reading both outputs to their ends, what was printed before too. Only the first call does.
func (s *stdio) copy(stdout, stderr io.Writer) {
	if s.copying {
		return
	}
	s.copying = true
	s.copies.Go(func() { drain(stdout, s.stdout) })
	s.copies.Go(func() { drain(stderr, s.stderr) })
}

// deliver writes the document and closes the pipe, then calls written. It does not wait: a process that never reads
// would make it wait for ever. endDelivery does when the process is gone.
func (s *stdio) deliver(document []byte, written func(error)) {
	s.delivery.Go(func() {
		_, err := s.stdin.Write(document)
		_ = s.stdin.Close()
		written(err)
	})
}

func (s *stdio) endDelivery() {
	if s.stdin != nil {
		_ = s.stdin.Close()
	}
	s.delivery.Wait()
}

// wait returns when both outputs have ended. They do when the last process is gone, and the first process's end is the
// end of all: it takes the pid namespace with it.
//
// Should containerd be wrong about the end, what holds the streams must not hold us: whoever removes the container kills it.
func (s *stdio) wait() {
	late := time.AfterFunc(drainTime, s.close)
	defer late.Stop()
	s.copies.Wait()
	s.abandon()
}

// drainTime is more than enough for what pipes hold when their writers are gone.
const drainTime = 30 * time.Second

// abandon closes our side at once.
func (s *stdio) abandon() {
	s.close()
	s.delivery.Wait()
	s.copies.Wait()
}

func (s *stdio) close() {
	if s.stdin != nil {
		_ = s.stdin.Close()
	}
	// Closing what was never opened is an error, too.
	_, _ = s.stdout.Close(), s.stderr.Close()
}

// drain copies to the end of src even when dst gives up, so that the process is never held up by an error of ours. A dst
// that reads by itself gets the pipe, and answers for what it has taken from it.
func drain(dst io.Writer, src *os.File) {
	var err error
	if dst == nil {
		dst = io.Discard
	}
	if reader, ok := dst.(io.ReaderFrom); ok {
		_, err = reader.ReadFrom(src)
	} else {
		_, err = io.CopyBuffer(dst, struct{ io.Reader }{src}, make([]byte, copyBufferBytes))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		_, _ = io.Copy(io.Discard, src)
	}
}
