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

// stdio is this process's side of a sandbox's three streams. They are named pipes. The shim holds the other side, and
// outlives this process.
type stdio struct {
	stdin            io.WriteCloser
	stdout, stderr   *os.File
	copies, delivery sync.WaitGroup
	copying          bool
}

// openStdio opens all three streams, for a task that is about to be created.
func openStdio(dir runDir) (*stdio, error) {
	s, err := openOutputs(dir)
	if err != nil {
		return nil, err
	}
	// The open completes in the background, when the shim opens its side. Close ends it.
	if s.stdin, err = fifo.OpenFifo(context.Background(), dir.stdin(), unix.O_WRONLY|unix.O_NONBLOCK, 0); err != nil {
		s.abandon()
		return nil, fmt.Errorf("open pipe %s: %w", dir.stdin(), err)
	}
	return s, nil
}

// openOutputs opens stdout and stderr.
func openOutputs(dir runDir) (*stdio, error) {
	stdout, stderr, err := dir.openOutputs()
	if err != nil {
		return nil, err
	}
	return &stdio{stdout: stdout, stderr: stderr}, nil
}

// copy starts to read both outputs to their ends, with what was printed before. Later calls do nothing.
func (s *stdio) copy(stdout, stderr io.Writer) {
	if s.copying {
		return
	}
	s.copying = true
	s.copies.Go(func() { drain(stdout, s.stdout) })
	s.copies.Go(func() { drain(stderr, s.stderr) })
}

// deliver writes the document and closes the pipe in the background, then calls written. A process that never reads
// would hold it up for ever: endDelivery ends it when the process is gone.
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

// wait returns when both outputs have ended. They end with the last process, and the end of the first process is the
// end of all, for it ends their pid namespace.
//
// Should containerd be wrong about that, wait gives up after drainTime. The removal of the container kills what is
// left.
func (s *stdio) wait() {
	late := time.AfterFunc(drainTime, s.close)
	defer late.Stop()
	s.copies.Wait()
	s.abandon()
}

// drainTime is more than enough to read what pipes hold when their writers are gone.
const drainTime = 30 * time.Second

// abandon closes this side at once.
func (s *stdio) abandon() {
	s.close()
	s.delivery.Wait()
	s.copies.Wait()
}

func (s *stdio) close() {
	if s.stdin != nil {
		_ = s.stdin.Close()
	}
	_, _ = s.stdout.Close(), s.stderr.Close()
}

// drain reads src to its end even when dst fails, so that an error of the host never holds up the process. A dst with
// ReadFrom gets the pipe itself.
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
