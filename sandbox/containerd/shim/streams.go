//go:build cgo

package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// streams stand between the worker's named pipes and the pipes of the process. The process never gets a named pipe,
// which would show it a path of the host.
type streams struct {
	// stdinPath, stdoutPath and stderrPath are the worker's.
	stdinPath, stdoutPath, stderrPath string
	// inner are the process's ends, until it has them.
	inner [3]*os.File
	// unclosed is a writing end of the document, until the worker says that it is whole: the death of the worker must not
	// look like the end of the document.
	unclosed  *os.File
	closeOnce sync.Once
	// unread are reading ends of the outputs, until the container is deleted: what is in a named pipe is lost with its
	// last end, and the worker may be away.
	unread [2]*os.File

	stdin, stdout, stderr copying
	// fed waits for stdin, printed for the outputs.
	fed, printed sync.WaitGroup
}

// copying is one stream on its way.
type copying struct{ from, to *os.File }

func (c copying) run() {
	if _, err := io.Copy(c.to, c.from); err != nil {
		// There is no reader any more, and the writer must not be held up.
		_, _ = io.Copy(io.Discard, c.from)
	}
	c.close()
}

// close may be called again, and before all is open: closing no file is an error of no consequence.
func (c copying) close() { _, _ = c.from.Close(), c.to.Close() }

// open opens all ends. Those of the process belong to a user.
func (s *streams) open(uid, gid int) error {
	for _, end := range []struct {
		file **os.File
		path string
		mode int
	}{
		{&s.stdin.from, s.stdinPath, os.O_RDONLY},
		{&s.unclosed, s.stdinPath, os.O_WRONLY},
		{&s.unread[0], s.stdoutPath, os.O_RDONLY},
		{&s.unread[1], s.stderrPath, os.O_RDONLY},
		{&s.stdout.to, s.stdoutPath, os.O_WRONLY},
		{&s.stderr.to, s.stderrPath, os.O_WRONLY},
	} {
		var err error
		// Opening does not wait for the other side. Reads and writes do, and a close ends them.
		if *end.file, err = os.OpenFile(end.path, end.mode|unix.O_NONBLOCK, 0); err != nil {
			return fmt.Errorf("open pipe: %w", err)
		}
	}
	return errors.Join(
		ownPipe(&s.inner[0], &s.stdin.to, uid, gid),
		ownPipe(&s.stdout.from, &s.inner[1], uid, gid),
		ownPipe(&s.stderr.from, &s.inner[2], uid, gid),
	)
}

// ownPipe makes a pipe that belongs to a user, who may then open it again through /proc/self/fd, as shells do.
func ownPipe(reading, writing **os.File, uid, gid int) (err error) {
	if *reading, *writing, err = os.Pipe(); err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	if err := (*writing).Chown(uid, gid); err != nil {
		return fmt.Errorf("give pipe to its user: %w", err)
	}
	return nil
}

// begin copies until both sides have ended. The process must have its own ends.
func (s *streams) begin() {
	s.closeInner()
	s.fed.Go(s.stdin.run)
	s.printed.Go(s.stdout.run)
	s.printed.Go(s.stderr.run)
}

func (s *streams) closeInner() {
	for _, file := range s.inner {
		_ = file.Close() // closing no file, or one again, is an error of no consequence
	}
}

// endStdin lets the process see the end of its document, once the worker has closed its end, too.
func (s *streams) endStdin() {
	s.closeOnce.Do(func() { _ = s.unclosed.Close() })
}

// drainTime is more than what was printed takes to reach the worker when the process has ended.
const drainTime = 10 * time.Second

// close waits until what was printed has been read, and ends all copying.
func (s *streams) close() error {
	s.closeInner()
	s.endStdin()
	s.stdin.close()
	late := time.AfterFunc(drainTime, func() { s.stdout.close(); s.stderr.close() })
	s.printed.Wait()
	late.Stop()
	s.stdout.close()
	s.stderr.close()
	s.fed.Wait()
	_, _ = s.unread[0].Close(), s.unread[1].Close()
	return nil
}
