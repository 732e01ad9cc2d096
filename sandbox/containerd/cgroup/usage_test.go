package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	"attune"
)

// groupFiles makes a hierarchy of control groups with files in it, as the kernel shows them.
func groupFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	mount := t.TempDir()
	for name, text := range files {
		path := filepath.Join(mount, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return mount
}

func TestUsageOfBothVersions(t *testing.T) {
	t.Parallel()
	version1 := map[string]string{
		"cpuacct/a/x/cpuacct.usage":            "1234567890\n",
		"cpu/a/x/cpu.stat":                     "nr_periods 12\nnr_throttled 3\nthrottled_time 250000000\n",
		"memory/a/x/memory.max_usage_in_bytes": "33554432\n",
		"pids/a/x/pids.events":                 "max 4\n",
		// Neighbors are not counted.
		"cpuacct/a/cpuacct.usage":   "99999999999\n",
		"cpuacct/a/y/cpuacct.usage": "99999999999\n",
	}
	version2 := map[string]string{
		"a/x/cpu.stat": "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnice_usec 0\n" +
			"core_sched.force_idle_usec 0\nnr_periods 12\nnr_throttled 3\nthrottled_usec 250000\nnr_bursts 0\nburst_usec 0\n",
		"a/x/memory.peak": "33554432\n",
		"a/x/pids.events": "max 4\n",
		"a/cpu.stat":      "usage_usec 99999999999\n",
	}
	for name, test := range map[string]struct {
		v2    bool
		files map[string]string
		want  attune.Usage
		pids  int64
	}{
		"version 1": {false, version1, attune.Usage{
			CPUSeconds: 1.23456789, PeakMemoryBytes: 32 << 20, ThrottledSeconds: 0.25,
		}, 4},
		"version 2": {true, version2, attune.Usage{
			CPUSeconds: 1.234567, PeakMemoryBytes: 32 << 20, ThrottledSeconds: 0.25,
		}, 4},
		"version 2 before 5.19, without a cpu limit": {true, map[string]string{
			"a/x/cpu.stat": "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\n", "a/x/pids.events": "max 0\n",
		}, attune.Usage{CPUSeconds: 5}, 0},
		"version 1 without accounting": {false, map[string]string{
			"memory/a/x/memory.max_usage_in_bytes": "4096\n",
		}, attune.Usage{PeakMemoryBytes: 4096}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			groups := Hierarchy{V2: test.v2, mount: groupFiles(t, test.files)}
			if got, err := groups.Usage("/a/x"); err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
			if got, err := groups.PidsRefused("/a/x"); err != nil || got != test.pids {
				t.Errorf("refused %d, %v, want %d", got, err, test.pids)
			}
		})
	}
}

func TestUsageThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"not a number": "usage_usec many\n", "too large": "usage_usec 99999999999999999999\n",
	} {
		groups := Hierarchy{V2: true, mount: groupFiles(t, map[string]string{"a/x/cpu.stat": text})}
		if got, err := groups.Usage("/a/x"); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
