package measure

import (
	"fmt"
	"syscall"
	"time"
)

// CPU reads the processor time that this process and all processes of a PostgreSQL have used.
type CPU struct {
	// Postmaster is the id of PostgreSQL's first process, the parent of all others.
	Postmaster int
}

// Used is the sum since the processes began. A nil CPU counts nothing.
func (c *CPU) Used() (time.Duration, error) {
	if c == nil {
		return 0, nil
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return 0, fmt.Errorf("read own processor time: %w", err)
	}
	postgres, err := TreeTime(c.Postmaster)
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + postgres, err
}
