package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	stdin, stdout, stderr io.ReadWriteCloser
	copies, delivery      sync.WaitGroup
	copying               bool
}

func openStdio(files runFiles) (_ *stdio, err error) {
	s := &stdio{}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	// The opens finish by themselves when the shim has opened its side; Close ends one that waits.
	open := func(path string, flag int) (io.ReadWriteCloser, error) {
		pipe, err := fifo.OpenFifo(context.Background(), path, flag|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, fmt.Errorf("open pipe %s: %w", path, err)
		}
		return pipe, nil
	}
	if s.stdin, err = open(files.stdin(), unix.O_WRONLY); err != nil {
		return nil, err
	}
	if s.stdout, err = open(files.stdout(), unix.O_RDONLY); err != nil {
		return nil, err
	}
	s.stderr, err = open(files.stderr(), unix.O_RDONLY)
	return s, err
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

// deliver writes the document and closes the pipe, then calls delivered. It does not wait: a process that never reads
// would make it wait for ever. endDelivery does when the process is gone.
func (s *stdio) deliver(document []byte, delivered func()) {
	s.delivery.Go(func() {
		// An error means that nobody reads any more, and how the process ended tells more about that.
		_, _ = s.stdin.Write(document)
		_ = s.stdin.Close()
		delivered()
	})
}

func (s *stdio) endDelivery() {
	_ = s.stdin.Close()
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
	for _, pipe := range []io.Closer{s.stdin, s.stdout, s.stderr} {
		if pipe != nil {
			_ = pipe.Close()
		}
	}
}

// drain copies to the end of src even when dst gives up, so that the process is never held up by an error of ours.
func drain(dst io.Writer, src io.Reader) {
	if dst == nil {
		dst = io.Discard
	}
	// The wrappers hide shortcuts that would let the destination choose how much is read at once.
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, copyBufferBytes))
	if err != nil && !errors.Is(err, io.EOF) {
		_, _ = io.Copy(io.Discard, src)
	}
}
