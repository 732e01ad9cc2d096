package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
)

// aheadShares is the least weight that there is, in the units of cgroup version 1; the runtime converts it for version 2.
const aheadShares = 2

// setFullWeight gives a group the weight that groups have which were never given one.
func (c cgroups) setFullWeight(path string) error {
	file, weight := "cpu.shares", "1024"
	if c.v2 {
		file, weight = "cpu.weight", "100"
	}
	if err := os.WriteFile(filepath.Join(c.folder("cpu"), path, file), []byte(weight), 0); err != nil {
		return fmt.Errorf("give sandbox its weight: %w", err)
	}
	return nil
}

// Memory implements Sandbox.
func (s *sandbox) Memory() (int64, error) {
	path := s.cgroupPath(s.spec.ID)
	empty, err := s.groups.empty(path)
	if err != nil {
		return 0, err
	}
	if empty {
		return 0, fmt.Errorf("sandbox %s has ended", s.spec.ID)
	}
	file := "memory.usage_in_bytes"
	if s.groups.v2 {
		file = "memory.current"
	}
	read := counters{s.groups, path, nil}
	return read.number("memory", file, ""), read.err
}
