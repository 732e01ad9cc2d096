package cgroup

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OOMWatch reports when a group of version 1 is out of memory. There the kernel kills one process of the group, and the
// caller has to kill the rest. On version 2 the kernel kills all, and the watch reports nothing.
type OOMWatch struct {
	// Hit delivers one value when the group is out of memory.
	Hit  chan struct{}
	done chan struct{}
	// event becomes readable each time.
	event *os.File
}

// WatchOOM watches a group until Close.
func (h Hierarchy) WatchOOM(path string) (*OOMWatch, error) {
	watch := &OOMWatch{Hit: make(chan struct{}, 1), done: make(chan struct{})}
	if h.V2 {
		close(watch.done)
		return watch, nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch for out of memory: %w", err)
	}
	watch.event = os.NewFile(uintptr(fd), "eventfd")
	if err := h.registerOOM(path, fd); err != nil {
		_ = watch.event.Close()
		return nil, fmt.Errorf("watch for out of memory: %w", err)
	}
	go watch.run()
	return watch, nil
}

func (h Hierarchy) registerOOM(path string, event int) error {
	dir := filepath.Join(h.memory, path)
	control, err := os.Open(filepath.Join(dir, "memory.oom_control"))
	if err != nil {
		return err
	}
	defer control.Close()
	line := fmt.Appendf(nil, "%d %d", event, control.Fd())
	return os.WriteFile(filepath.Join(dir, "cgroup.event_control"), line, 0)
}

func (w *OOMWatch) run() {
	defer close(w.done)
	count := make([]byte, 8)
	if _, err := w.event.Read(count); err == nil {
		w.Hit <- struct{}{}
	}
}

// Close ends the watch. It comes before the removal of the group, which fires the event, too.
func (w *OOMWatch) Close() {
	if w.event != nil {
		_ = w.event.Close()
	}
	<-w.done
}
