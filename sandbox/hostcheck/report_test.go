package hostcheck

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// healthyFiles are what a host with every point shows below /proc and /sys.
func healthyFiles() map[string]string {
	return map[string]string{
		"proc/sys/kernel/osrelease":              "6.12.9-amd64\n",
		"proc/sys/user/max_user_namespaces":      "65536\n",
		"proc/sys/kernel/seccomp/actions_avail":  "kill_process trap errno trace log allow\n",
		"proc/sys/kernel/core_pattern":           "core\n",
		"etc/resolv.conf":                        "nameserver 9.9.9.9\n",
		"proc/swaps":                             "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n",
		"sys/fs/cgroup/cgroup.controllers":       "cpuset cpu io memory pids\n",
		"sys/module/apparmor/parameters/enabled": "Y\n",
		"sys/kernel/security/apparmor/.remove":   "",
		"bin/nft":                                "#!/bin/sh\necho nftables v1.0.9\n",
		"bin/ip":                                 "#!/bin/sh\n",
		"bin/bridge":                             "#!/bin/sh\n",
		"bin/host-local":                         "#!/bin/sh\n",
		"bin/apparmor_parser":                    "#!/bin/sh\n",
		"bin/attune-shim":                        "#!/bin/sh\n",
		"bin/runc":                               runcThatSays("1.3.4", true),
		"bin/mmdebstrap":                         "",
		"bin/mkfs.ext4":                          "",
		"bin/runsc":                              "#!/bin/sh\necho runsc version release-20260101.0\n",
	}
}

func runcThatSays(version string, seccomp bool) string {
	enabled := "false"
	if seccomp {
		enabled = "true"
	}
	return `#!/bin/sh
[ "$1" = features ] && echo '{"linux": {"seccomp": {"enabled": ` + enabled + `}},
  "annotations": {"org.opencontainers.runc.version": "` + version + `"}}'
`
}

// hostOf is a machine that consists of the files.
func hostOf(t *testing.T, files map[string]string) machine {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755))
		if err != nil {
			t.Fatal(err)
		}
	}
	return machine{
		proc: filepath.Join(root, "proc"), sys: filepath.Join(root, "sys"),
		resolvConfs: []string{filepath.Join(root, "etc/resolv.conf")},
		tool: func(name string) (string, error) {
			path := filepath.Join(root, "bin", name)
			_, err := os.Stat(path)
			return path, err
		},
	}
}

// version1 makes the host one of cgroup version 1.
func version1(files map[string]string, without ...string) {
	delete(files, "sys/fs/cgroup/cgroup.controllers")
	for _, controller := range []string{"memory", "pids", "cpu", "freezer", "devices"} {
		if !slices.Contains(without, controller) {
			files["sys/fs/cgroup/"+controller+"/cgroup.procs"] = ""
		}
	}
	files["sys/fs/cgroup/memory/memory.oom_control"] = ""
	files["sys/fs/cgroup/memory/memory.kmem.tcp.limit_in_bytes"] = ""
}

func TestDoctorIsRightOnAHostThatLacksAPoint(t *testing.T) {
	t.Parallel()
	remove := func(name string) func(map[string]string) {
		return func(files map[string]string) { delete(files, name) }
	}
	set := func(name, content string) func(map[string]string) {
		return func(files map[string]string) { files[name] = content }
	}
	for name, c := range map[string]struct {
		take  func(map[string]string)
		check string
		state CheckState
		level string
	}{
		"old kernel":           {set("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"), "kernel", CheckMissing, LevelNone},
		"new kernel, odd name": {set("proc/sys/kernel/osrelease", "7.0.0+\n"), "kernel", CheckOK, LevelFull},
		"no user namespaces":   {remove("proc/sys/user/max_user_namespaces"), "user namespaces", CheckMissing, LevelNone},
		"user namespaces off": {
			set("proc/sys/user/max_user_namespaces", "0\n"),
			"user namespaces", CheckMissing, LevelNone,
		},
		"no seccomp": {remove("proc/sys/kernel/seccomp/actions_avail"), "seccomp", CheckMissing, LevelNone},
		"cores go to a program": {
			set("proc/sys/kernel/core_pattern", "|/usr/share/apport/apport %p\n"),
			"core dumps", CheckMissing, LevelNone,
		},
		"cores go to a socket": {
			set("proc/sys/kernel/core_pattern", "@/run/coredump.socket\n"),
			"core dumps", CheckMissing, LevelNone,
		},
		"no memory controller": {set("sys/fs/cgroup/cgroup.controllers", "cpu pids\n"), "cgroups", CheckMissing, LevelNone},
		"version 1": {
			func(f map[string]string) { version1(f); f["sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"] = "" },
			"cgroups", CheckOK, LevelFull,
		},
		"version 1 without pids": {func(f map[string]string) { version1(f, "pids") }, "cgroups", CheckMissing, LevelNone},
		"swap without a limit":   {func(f map[string]string) { version1(f) }, "swap limit", CheckDegraded, "no-swap-limit"},
		"no limit and no swap": {
			func(f map[string]string) { version1(f); f["proc/swaps"] = "Filename Type\n" },
			"swap limit", CheckOK, LevelFull,
		},
		"sockets without a limit": {
			func(f map[string]string) {
				version1(f)
				f["proc/swaps"] = "Filename Type\n"
				delete(f, "sys/fs/cgroup/memory/memory.kmem.tcp.limit_in_bytes")
			},
			"kernel memory", CheckDegraded, "no-kernel-memory-limit",
		},
		"kernel memory that does not count": {
			set("proc/cmdline", "BOOT_IMAGE=/vmlinuz ro cgroup.memory=nokmem quiet\n"),
			"kernel memory", CheckDegraded, "no-kernel-memory-limit",
		},
		"no AppArmor": {
			remove("sys/module/apparmor/parameters/enabled"),
			"AppArmor", CheckDegraded, "no-apparmor",
		},
		"no apparmor_parser": {remove("bin/apparmor_parser"), "AppArmor", CheckDegraded, "no-apparmor"},
		"no AppArmor, swap free": {
			func(f map[string]string) { version1(f); delete(f, "bin/apparmor_parser") },
			"AppArmor", CheckDegraded, "no-swap-limit,no-apparmor",
		},
		"no runc":              {remove("bin/runc"), "runc", CheckMissing, LevelNone},
		"old runc":             {set("bin/runc", runcThatSays("1.1.15", true)), "runc", CheckMissing, LevelNone},
		"runc without seccomp": {set("bin/runc", runcThatSays("1.3.4", false)), "runc", CheckMissing, LevelNone},
		"runc that fails":      {set("bin/runc", "#!/bin/sh\nexit 1\n"), "runc", CheckMissing, LevelNone},
		"no attune-shim":       {remove("bin/attune-shim"), "attune-shim", CheckMissing, LevelNone},
		"shim that fails":      {set("bin/attune-shim", "#!/bin/sh\nexit 1\n"), "attune-shim", CheckMissing, LevelNone},
		"no runsc":             {remove("bin/runsc"), "runsc", CheckAbsent, LevelFull},
		"runsc that fails":     {set("bin/runsc", "#!/bin/sh\nexit 1\n"), "runsc", CheckDegraded, LevelFull},
		"no nft":               {remove("bin/nft"), "egress network", CheckDegraded, LevelFull},
		"no name server": {
			set("etc/resolv.conf", "nameserver 127.0.0.1\n"),
			"egress network", CheckDegraded, LevelFull,
		},
		"no CNI plugins":     {remove("bin/bridge"), "egress network", CheckDegraded, LevelFull},
		"no mkfs":            {remove("bin/mkfs.ext4"), "image builds", CheckDegraded, LevelFull},
		"nothing is lacking": {func(map[string]string) {}, "runc", CheckOK, LevelFull},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := healthyFiles()
			c.take(files)
			r := report(hostOf(t, files).checks(t.Context()))
			i := slices.IndexFunc(r.Checks, func(check Check) bool { return check.Name == c.check })
			if i < 0 || r.Checks[i].State != c.state || r.Level != c.level {
				t.Fatalf("want %s %s and level %s, got %+v", c.check, c.state, c.level, r)
			}
			if got := r.Checks[i]; (got.Mend == "") != (c.state == CheckOK) || got.Found == "" {
				t.Errorf("found %q, mend %q", got.Found, got.Mend)
			}
			if r.Runs() != (c.state != CheckMissing) || (r.Err() == nil) != r.Runs() {
				t.Errorf("runs %v, error %v", r.Runs(), r.Err())
			}
		})
	}
}

func TestDoctorWantsRoot(t *testing.T) {
	t.Parallel()
	host := hostOf(t, healthyFiles())
	host.euid = 1000
	if r := report(host.checks(t.Context())); r.Runs() || r.Checks[0].State != CheckMissing {
		t.Errorf("without root: %+v", r)
	}
}

func TestDoctorLooksAtTheDisk(t *testing.T) {
	t.Parallel()
	for free, want := range map[uint64]CheckState{64 << 20: CheckMissing, 1 << 30: CheckDegraded, 50 << 30: CheckOK} {
		if got := diskCheck("some", free, "free some").State; got != want {
			t.Errorf("%d bytes free: %s, want %s", free, got, want)
		}
	}
	if c := checkDisk(filepath.Join(t.TempDir(), "not", "yet", "there")); c.Found == "" || c.State == "" {
		t.Errorf("a folder that is yet to be made: %+v", c)
	}
}

func TestDoctorAsksContainerd(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	old := "#!/bin/sh\necho containerd github.com/containerd/containerd 1.6.20~ds1 abc\n"
	if err := os.WriteFile(filepath.Join(bin, "containerd"), []byte(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if c := checkContainerd(t.Context(), Config{BinDir: bin}); c.State != CheckMissing {
		t.Errorf("an old containerd: %+v", c)
	}
	for name, script := range map[string]string{
		"containerd":              "#!/bin/sh\necho containerd github.com/containerd/containerd/v2 2.4.2 abc\n",
		"containerd-shim-runc-v2": "#!/bin/sh\n",
	} {
		if c := checkContainerd(t.Context(), Config{BinDir: bin}); c.State != CheckMissing {
			t.Errorf("before there is a %s: %+v", name, c)
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if c := checkContainerd(t.Context(), Config{BinDir: bin}); c.State != CheckOK {
		t.Errorf("one with its shim: %+v", c)
	}
	none := checkContainerd(t.Context(), Config{Address: filepath.Join(bin, "no.sock")})
	if c := none; c.State != CheckMissing || c.Mend == "" {
		t.Errorf("a socket that is not there: %+v", c)
	}
	address := os.Getenv("ATTUNE_TEST_CONTAINERD_ADDRESS")
	if address == "" {
		t.Fatal("ATTUNE_TEST_CONTAINERD_ADDRESS is not set; run make test")
	}
	tests := Config{Address: address, BinDir: os.Getenv("ATTUNE_TEST_BIN_DIR")}
	if c := checkContainerd(t.Context(), tests); c.State != CheckOK {
		t.Errorf("the one of the tests: %+v", c)
	}
	if err := os.WriteFile(filepath.Join(bin, "runc"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if c := checkContainerd(t.Context(), Config{Address: address, BinDir: bin}); c.State != CheckMissing {
		t.Errorf("one whose shim cannot start runc: %+v", c)
	}
}
