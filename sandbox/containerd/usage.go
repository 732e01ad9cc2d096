package containerd

import (
	"errors"
	"fmt"

	"attune/sandbox"
)

// aheadShares is the least share of the processor, in the units of cgroup version 1. Runtimes convert it for version 2.
const aheadShares = 2

// Waiting implements sandbox.Sandbox.
func (s *container) Waiting() (took sandbox.Waiting, err error) {
	path := s.config.cgroupPath(s.spec.ID)
	empty, err := s.groups.Empty(path)
	if err != nil {
		return took, err
	}
	if empty {
		return took, fmt.Errorf("sandbox %s has ended", s.spec.ID)
	}
	took.MemoryBytes, took.CPU, err = s.groups.Current(path)
	return took, err
}

// account adds to the Exit what the sandbox took, while its control group is there. Where that cannot be read, the Exit
// goes without.
func (s *container) account(exit *sandbox.Exit) {
	path := s.config.cgroupPath(s.spec.ID)
	usage, err := s.groups.Usage(path)
	refused, pidsErr := s.groups.PidsRefused(path)
	if err := errors.Join(err, pidsErr); err != nil {
		s.log.Warn("usage not known", "sandbox", s.spec.ID, "error", err)
		return
	}
	usage.Isolation = s.level
	exit.Usage, exit.OutOfPids = &usage, refused > 0
}
