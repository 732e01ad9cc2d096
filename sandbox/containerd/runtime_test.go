package containerd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attune"
	"attune/sandbox"
	"attune/sandbox/containerd"
	"attune/sandbox/containerd/network"
	"attune/sandbox/hostcheck"
	"attune/sandbox/sandboxtest"
)

func TestContainerd(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) {
		sandboxtest.Suite(t, func(t *testing.T) sandboxtest.Subject {
			own := h
			own.config.Owner, own.config.StateDir = strings.ReplaceAll(t.Name(), "/", "-"), t.TempDir()
			// Close removes the parent when it is empty, even while another Runtime makes a group in it.
			own.config.CgroupParent += "-" + strings.ToLower(rand.Text()[:8])
			subject := own.subject(own.open(t))
			subject.With = s.With
			return subject
		})
	})
}

// TestTimersAreOnTime: the daemons may sleep longer than they ask for, and a sandbox inherits nothing of that.
func TestTimersAreOnTime(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) {
		made, err := s.Runtime.Create(t.Context(), s.Spec("timers", "echo"))
		if err != nil {
			t.Fatal(err)
		}
		// What becomes a container has threads of the shim's, which end when the program begins.
		within(t, "no thread may be late", func() bool { return len(h.lateThreads(t, "timers")) == 0 })
		if err := made.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSandboxDoesNotShieldItself: whatever it writes, the kernel kills it before the service and its neighbors.
func TestSandboxDoesNotShieldItself(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) {
		made, err := s.Runtime.Create(t.Context(), s.Spec("shield", "lower-score"))
		if err != nil {
			t.Fatal(err)
		}
		within(t, "it has tried", func() bool { return exists(h.left("shield", "lowered")) })
		for _, pid := range h.processes(t, "shield") {
			if score, err := os.ReadFile("/proc/" + pid + "/oom_score_adj"); err != nil || string(score) != "500\n" {
				t.Errorf("process %s has %q, %v", pid, score, err)
			}
		}
		if err := made.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// left is the path on the host of a file that a sandbox has in LeftDir.
func (h host) left(id, name string) string {
	return filepath.Join(h.config.StateDir, "runs", id, sandbox.LeftDir, name)
}

// lateThreads are the threads of a sandbox, on the host, with timers that may be later than usual.
func (h host) lateThreads(t *testing.T, id string) (late []string) {
	t.Helper()
	for _, pid := range h.processes(t, id) {
		threads, err := filepath.Glob("/proc/" + pid + "/task/*")
		if err != nil || len(threads) == 0 {
			t.Errorf("process %s has the threads %v, %v", pid, threads, err)
		}
		for _, thread := range threads {
			slack, err := os.ReadFile("/proc/" + filepath.Base(thread) + "/timerslack_ns") // it may have ended
			if err == nil && string(slack) != "50000\n" {
				late = append(late, thread)
			}
		}
	}
	return late
}

// processes are the processes of a sandbox, on the host.
func (h host) processes(t *testing.T, id string) []string {
	t.Helper()
	groups, err := filepath.Glob("/sys/fs/cgroup/*" + h.config.CgroupParent + "/" + id + "/cgroup.procs")
	if unified := "/sys/fs/cgroup" + h.config.CgroupParent + "/" + id + "/cgroup.procs"; exists(unified) {
		groups = []string{unified}
	}
	if err != nil || len(groups) == 0 {
		t.Fatalf("its control groups are %v, %v", groups, err)
	}
	processes, err := os.ReadFile(groups[0])
	if err != nil || len(processes) == 0 {
		t.Fatalf("its processes are %q, %v", processes, err)
	}
	return strings.Fields(string(processes))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestUnsupportedIsSaid(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	runtime := h.open(t)
	s := h.subject(runtime)
	egress := s.Spec("egress", "echo")
	egress.Network = attune.NetworkEgress
	if _, err := runtime.Create(t.Context(), egress); !errors.Is(err, sandbox.ErrUnsupported) {
		t.Errorf("without a network: %v", err)
	}
	spec := s.Spec("gvisor", "echo")
	spec.Runtime = attune.RuntimeRunsc
	h.config.BinDir, h.config.Owner, h.config.StateDir = binDirWithout(t, "runsc"), "without", t.TempDir()
	_, err := h.open(t).Create(t.Context(), spec)
	if !errors.Is(err, sandbox.ErrUnsupported) || !strings.Contains(err.Error(), "runsc") {
		t.Errorf("without runsc: %v", err)
	}
	h.config.Runtime = attune.RuntimeRunsc
	if _, err := containerd.New(t.Context(), h.config); !errors.Is(err, sandbox.ErrUnsupported) {
		t.Errorf("runsc by default, and not there: %v", err)
	}
}

// binDirWithout is a folder with all programs but one.
func binDirWithout(t *testing.T, program string) string {
	t.Helper()
	all, dir := variable(t, "ATTUNE_TEST_BIN_DIR"), t.TempDir()
	programs, err := os.ReadDir(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if p.Name() == program {
			continue
		}
		if err := os.Symlink(filepath.Join(all, p.Name()), filepath.Join(dir, p.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// look runs the probe in a sandbox of its own and returns what it printed.
func look(t *testing.T, s sandboxtest.Subject, spec sandbox.Spec) (sandbox.Exit, string) {
	t.Helper()
	return lookFor(t, s, spec, s.Input(spec.ID))
}

func lookFor(t *testing.T, s sandboxtest.Subject, spec sandbox.Spec, in sandbox.Input) (sandbox.Exit, string) {
	t.Helper()
	var out, complaints bytes.Buffer
	in.Stdout, in.Stderr = &out, &complaints
	exit, err := s.Run(t.Context(), spec, in)
	if err != nil {
		t.Fatal(err)
	}
	return exit, out.String() + complaints.String()
}

func TestInside(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, _ host, s sandboxtest.Subject, is traits) {
		for name, part := range map[string]func(*testing.T, sandboxtest.Subject, traits){
			"no privileges":         hasNoPrivileges,
			"fixed environment":     hasFixedEnvironment,
			"writable places":       writesOnlyWhereItMay,
			"tmp is full in time":   tmpIsLimited,
			"files are limited":     filesAreLimited,
			"processes are limited": processesAreLimited,
			"memory is limited":     memoryIsLimited,
			"output is memory":      outputIsMemory,
			"sockets are limited":   socketsAreLimited,
			"least and most":        leastAndMost,
			"forbidden calls":       nothingOf("syscalls"),
			"forbidden paths":       nothingOf("paths"),
			"forbidden rights":      nothingOf("rights"),
			"no network":            hasNoNetwork,
			"daemons die, too":      daemonsDie,
			"usage is counted":      usageIsCounted,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				part(t, s, is)
			})
		}
	})
}

func hasNoPrivileges(t *testing.T, s sandboxtest.Subject, is traits) {
	_, out := look(t, s, s.Spec("privileges", "cat", "/proc/self/status", "/proc/self/uid_map", "/proc/self/limits"))
	for _, want := range is.status {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the status:\n%s", want, out)
		}
	}
	var inside, outside, size uint32
	_, mapping, _ := strings.Cut(out, "         0 ")
	_, err := fmt.Sscan("0 "+mapping, &inside, &outside, &size)
	if is.mapsIDs && (err != nil || outside < 1<<20 || size != 1<<16) {
		t.Errorf("ids are mapped to %d+%d (%v)", outside, size, err)
	}
	core := strings.Join(strings.Fields(out[strings.Index(out, "Max core"):])[:6], " ")
	if core != "Max core file size 0 0" {
		t.Errorf("core limit is %q", core)
	}
}

func hasFixedEnvironment(t *testing.T, s sandboxtest.Subject, _ traits) {
	_, out := look(t, s, s.Spec("environment", "environment"))
	if strings.Contains(out, "FROM_IMAGE") || !strings.Contains(out, "cwd "+sandbox.PackDir+" uid 65534 gid 65534") {
		t.Errorf("the image has its way:\n%s", out)
	}
}

func writesOnlyWhereItMay(t *testing.T, s sandboxtest.Subject, _ traits) {
	places := []string{"/", "/etc", "/run", "/proc", "/dev", sandbox.PackDir}
	_, out := look(t, s, s.Spec("places", append([]string{"write", "/tmp", sandbox.LeftDir}, places...)...))
	want := "/tmp true\n" + sandbox.LeftDir + " true\n"
	for _, place := range places {
		want += place + " false\n"
	}
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func filesAreLimited(t *testing.T, s sandboxtest.Subject, is traits) {
	spec := s.Spec("files", "inodes", "/tmp")
	spec.Resources.TmpFiles, spec.Resources.OpenFiles = 500, 100
	in := s.Input("files")
	in.Timeout = 500 * time.Millisecond
	// The folder itself is one of them.
	if _, out := lookFor(t, s, spec, in); is.limitsTmpFiles && !strings.HasPrefix(out, "499 ") {
		t.Errorf("a /tmp of 500 files took %q", out)
	}
	spec = s.Spec("limits", "cat", "/proc/self/limits")
	spec.Resources.OpenFiles = 100
	_, out := look(t, s, spec)
	if !strings.Contains(strings.Join(strings.Fields(out), " "), "Max open files 100 100 files") {
		t.Errorf("100 open files became\n%s", out)
	}
}

func tmpIsLimited(t *testing.T, s sandboxtest.Subject, _ traits) {
	_, out := look(t, s, s.Spec("fill", "fill", "/tmp"))
	if !strings.Contains(out, "no space left on device") || !strings.HasPrefix(out, "1") {
		t.Errorf("filling /tmp of 16 MiB said %q", out)
	}
}

func processesAreLimited(t *testing.T, s sandboxtest.Subject, is traits) {
	exit, out := look(t, s, s.Spec("fork", "fork"))
	if out != "refused true\n" || exit.Code != 0 || exit.OutOfPids != is.countsRefusedPids {
		t.Errorf("exit %+v, said %q", exit, out)
	}
}

func memoryIsLimited(t *testing.T, s sandboxtest.Subject, _ traits) {
	for _, mode := range []string{"memory", "child-memory"} {
		began := time.Now()
		exit, _ := look(t, s, s.Spec(mode, mode))
		if !exit.OutOfMemory || exit.Code == 0 || exit.TimedOut || time.Since(began) > 30*time.Second {
			t.Errorf("%s ended with %+v", mode, exit)
		}
	}
}

// outputIsMemory: what is left for the host counts like all other memory.
func outputIsMemory(t *testing.T, s sandboxtest.Subject, _ traits) {
	spec := s.Spec("output-is-memory", "fill", sandbox.OutputDir)
	spec.Resources.MemoryBytes = 48 << 20
	if exit, out := look(t, s, spec); !exit.OutOfMemory {
		t.Errorf("%+v, said %q", exit, out)
	}
}

// socketsAreLimited: what is in the buffers of a sandbox's own connections is limited with its memory, or beside it.
func socketsAreLimited(t *testing.T, s sandboxtest.Subject, _ traits) {
	in := s.Input("sockets")
	in.Timeout = 15 * time.Second
	exit, out := lookFor(t, s, s.Spec("sockets", "sockets"), in)
	var held int
	_, err := fmt.Sscanf(out, "begun\nheld %d", &held)
	if !exit.OutOfMemory && (err != nil || held == 0 || held > 160) {
		t.Errorf("%+v, said %q, %v", exit, out, err)
	}
}

// leastAndMost are the bounds of what an action may ask for: a sandbox can be made of them.
func leastAndMost(t *testing.T, s sandboxtest.Subject, _ traits) {
	for id, resources := range map[string]attune.Resources{
		"least": {CPU: 0.01, MemoryBytes: 16 << 20, Pids: 4, TmpBytes: 1 << 20, TmpFiles: 64, OpenFiles: 64},
		"most":  {CPU: 128, MemoryBytes: 64 << 30, Pids: 1 << 15, TmpBytes: 16 << 30, TmpFiles: 1 << 20, OpenFiles: 1 << 16},
	} {
		spec := s.Spec(id, "exit", "0")
		spec.Resources = resources
		exit, err := s.Run(t.Context(), spec, s.Input(id))
		// The host may allow fewer open files, and says so.
		most, mostErr := hostcheck.OpenFiles()
		lacks := s.With == attune.RuntimeRunc && resources.OpenFiles > most
		if mostErr != nil || lacks != errors.Is(err, sandbox.ErrUnsupported) || err != nil && !lacks {
			t.Errorf("%s: %+v, %v, %v", id, exit, err, mostErr)
		}
	}
}

// nothingOf has the probe try all that a mode knows; it prints what worked.
func nothingOf(mode string) func(*testing.T, sandboxtest.Subject, traits) {
	return func(t *testing.T, s sandboxtest.Subject, is traits) {
		_, out := look(t, s, s.Spec(mode, mode))
		let := slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool { return is.virtual[line] })
		if !slices.Equal(let, []string{"tried", ""}) {
			t.Errorf("let through:\n%s", out)
		}
	}
}

func hasNoNetwork(t *testing.T, s sandboxtest.Subject, _ traits) {
	_, out := look(t, s, s.Spec("interfaces", "interfaces"))
	if out := strings.TrimSpace(out); out != "lo true" && out != "lo false" {
		t.Errorf("interfaces are\n%s", out)
	}
}

func daemonsDie(t *testing.T, s sandboxtest.Subject, _ traits) {
	in := s.Input("daemon")
	in.Timeout = 500 * time.Millisecond
	began := time.Now()
	exit, _ := lookFor(t, s, s.Spec("daemon", "daemon"), in)
	if !exit.TimedOut || exit.Code != 137 || time.Since(began) > 20*time.Second {
		t.Errorf("exit %+v after %v", exit, time.Since(began))
	}
}

func usageIsCounted(t *testing.T, s sandboxtest.Subject, is traits) {
	// A fifth of a processor for 0.4 s of work: it is held back, also where others leave it little more.
	spec := s.Spec("work", "work", "400ms", "48")
	spec.Resources.CPU = 0.2
	exit, out := look(t, s, spec)
	if out != "true 48\n" || exit.Usage == nil {
		t.Fatalf("exit %+v, said %q", exit, out)
	}
	u := *exit.Usage
	if level := s.Runtime.(*containerd.Runtime).Level(); u.Isolation != level || level == "" {
		t.Errorf("isolation is %q on a host with %q", u.Isolation, level)
	}
	least := 0.4
	if !is.exactClock {
		least = 0.2
	}
	if u.CPUSeconds < least || u.CPUSeconds > 1.2 || u.ThrottledSeconds < 0.1 ||
		u.PeakMemoryBytes < 48<<20 || u.PeakMemoryBytes > spec.Resources.MemoryBytes {
		t.Errorf("it took %+v", u)
	}
	exit, _ = look(t, s, s.Spec("idle", "exit", "3"))
	if u := exit.Usage; u == nil || u.CPUSeconds <= 0 || u.CPUSeconds > 0.35 ||
		u.PeakMemoryBytes > 40<<20 || exit.OutOfPids {
		t.Errorf("one that only ends: %+v, took %+v", exit, exit.Usage)
	}
}

// TestRemoveWhatACrashLeft plays a worker that dies while a sandbox runs, and its next process.
func TestRemoveWhatACrashLeft(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) {
		removesWhatACrashLeft(t, h, s)
	})
}

func removesWhatACrashLeft(t *testing.T, h host, s sandboxtest.Subject) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		in := s.Input("orphan")
		in.Started = func() { close(started) }
		_, err := s.Run(ctx, s.Spec("orphan", "stubborn"), in)
		ended <- err
	}()
	<-started
	next := h.open(t)
	if ids, err := next.List(t.Context()); err != nil || len(ids) != 1 || ids[0] != "orphan" {
		t.Fatalf("list is %v, %v", ids, err)
	}
	other := h
	other.config.Owner, other.config.StateDir = "another-owner", t.TempDir()
	if err := other.open(t).Remove(t.Context(), "orphan"); err == nil {
		t.Error("another owner could remove it")
	}
	if err := next.Remove(t.Context(), "orphan"); err != nil {
		t.Fatal(err)
	}
	if ids, err := next.List(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("after the removal the list is %v, %v", ids, err)
	}
	cancel()
	// However it sees its sandbox vanish, it must not hang.
	t.Log("the crashed one says:", <-ended)
}

// TestAnotherProcessGoesOn plays a worker that dies while a sandbox has its document, and its next process.
func TestAnotherProcessGoesOn(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) {
		started, dead, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			in := s.Input("goes-on")
			// It gets as far as a process that is killed now.
			in.Stdout = writerFunc(func(p []byte) (int, error) { close(started); <-dead; return len(p), nil })
			_, err := s.Run(t.Context(), s.Spec("goes-on", "leave-and-wait"), in)
			ended <- err
		}()
		<-started
		var attached sandbox.Sandbox
		next := h.open(t)
		within(t, "the document is known to be delivered", func() (delivered bool) {
			var err error
			attached, _, err = next.Attach(t.Context(), "goes-on")
			return err == nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		in := s.Input("goes-on")
		in.Grace = time.Minute
		exit, err := attached.Run(ctx, in)
		if err != nil || !exit.Stopped || exit.Code != 143 || len(exit.Outputs) != 1 {
			t.Errorf("%+v, %v", exit, err)
		}
		next.Forget("goes-on")
		close(dead)
		t.Log("the one before says:", <-ended)
		s.AwaitNone(t)
	})
}

// TestEgressBeginsWithTheExecution: code in a sandbox that waits reaches nothing, and all it may once it has its
// document.
func TestEgressBeginsWithTheExecution(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) {
		with := s.With
		config := network.Config{BinDir: h.config.BinDir, StateDir: t.TempDir()}
		closed, err := network.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		gateway := fmt.Sprintf("%s:%d", closed.Gateway(), listenEverywhere(t))
		config.AllowCIDRs = []string{closed.Gateway().String() + "/32"}
		if h.config.Network, err = network.Open(config); err != nil {
			t.Fatal(err)
		}
		h.config.Owner, h.config.StateDir = "egress", t.TempDir()
		s = h.subject(h.open(t))
		s.With = with
		// The second has a namespace that was made ahead.
		for _, id := range []string{"first", "second"} {
			spec := s.Spec(id, "dial-early", gateway)
			spec.Network, spec.Ahead = attune.NetworkEgress, true
			made, err := s.Runtime.Create(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			within(t, "it has dialed", func() bool { return exists(h.left(id, "dialed")) })
			var out bytes.Buffer
			in := s.Input(id)
			in.Stdout = &out
			if exit, err := made.Run(t.Context(), in); err != nil || exit.Code != 0 {
				t.Errorf("%+v, %v", exit, err)
			}
			if want := gateway + " false\n" + gateway + " true\n"; out.String() != want {
				t.Errorf("%s: got %q, want %q", id, out.String(), want)
			}
			s.Runtime.Forget(id)
			s.AwaitNone(t)
		}
		if err := h.config.Network.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestEgressReachesOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) { reachesOnlyWhatItMay(t, h, s.With) })
}

func reachesOnlyWhatItMay(t *testing.T, h host, with attune.Runtime) {
	t.Helper()
	dir := t.TempDir()
	config := network.Config{BinDir: h.config.BinDir, StateDir: dir}
	closed, err := network.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	// The host listens on every address; the bridge's own is one of them.
	listener := listenEverywhere(t)
	gateway := fmt.Sprintf("%s:%d", closed.Gateway(), listener)
	dial := func(network *network.Network, id string) string {
		own := h
		own.config.Network, own.config.Owner, own.config.StateDir = network, id, t.TempDir()
		s := own.subject(own.open(t))
		s.With = with
		spec := s.Spec(id, "then", "dial", gateway, "169.254.169.254:80")
		spec.Network = attune.NetworkEgress
		_, out := look(t, s, spec)
		s.AwaitNone(t)
		return out
	}
	if out, want := dial(closed, "closed"), gateway+" false\n169.254.169.254:80 false\n"; out != want {
		t.Errorf("closed network: got %q, want %q", out, want)
	}
	config.AllowCIDRs = []string{closed.Gateway().String() + "/32"}
	open, err := network.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if out, want := dial(open, "open"), gateway+" true\n169.254.169.254:80 false\n"; out != want {
		t.Errorf("with the gateway allowed: got %q, want %q", out, want)
	}
	if err := open.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
