package containerd_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"attune/sandbox"
	"attune/sandbox/sandboxtest"
)

// patience is what a neighbor of an attack gets to answer in; alone it takes a few hundredths of a second.
const patience = 10 * time.Second

// TestAdversaries runs what would use up or break into what others need, each beside a neighbor that must go on
// answering.
func TestAdversaries(t *testing.T) {
	t.Parallel()
	port := listenEverywhere(t)
	hostPorts := []string{fmt.Sprintf("127.0.0.1:%d", port), "169.254.169.254:80"}
	for _, address := range ownAddresses(t) {
		hostPorts = append(hostPorts, fmt.Sprintf("%s:%d", address, port))
	}
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, is traits) {
		attack(t, s, is, hostPorts)
		s.AwaitNone(t)
		// Their processes, whatever they are called: a sandbox's end is the end of its group.
		if left, err := os.ReadDir("/sys/fs/cgroup/memory" + h.config.CgroupParent); err == nil {
			for _, entry := range left {
				if entry.IsDir() {
					t.Errorf("the group %s is left", entry.Name())
				}
			}
		}
	})
}

// attack runs all attacks to their ends.
func attack(t *testing.T, s sandboxtest.Subject, is traits, hostPorts []string) {
	t.Helper()
	unreachable := strings.Join(hostPorts, " false\n") + " false\n"
	outOfPids := func(e sandbox.Exit) bool { return e.OutOfPids == is.countsRefusedPids }
	// Only what is a file is read, and nothing outside of the folder.
	nothingLeft := func(e sandbox.Exit) bool {
		return e.Result == nil && e.Failure == nil && len(e.Outputs) == 1 && e.Outputs[0].Name == "good" && len(e.NotKept) > 3
	}
	outOfMemory := func(e sandbox.Exit) bool { return e.OutOfMemory }
	filled := "no space left on device"
	filledWithFiles := filled
	if !is.limitsTmpFiles {
		filledWithFiles = "" // it goes on to the limit on memory
	}
	t.Run("attacks", func(t *testing.T) {
		for name, c := range map[string]struct {
			args []string
			// want is what it says, held whether it is ended by force, when its time is over.
			want string
			held bool
			also func(sandbox.Exit) bool
		}{
			"fork bomb":               {[]string{"fork-bomb"}, "refused", true, outOfPids},
			"memory bomb":             {[]string{"memory"}, "begun", false, outOfMemory},
			"memory bomb of a child":  {[]string{"child-memory"}, "", false, outOfMemory},
			"fills tmp":               {[]string{"fill-and-stay", "/tmp"}, filled, true, nil},
			"fills shared memory":     {[]string{"fill-and-stay", "/dev/shm"}, filled, true, nil},
			"fills tmp with files":    {[]string{"inodes", "/tmp"}, filledWithFiles, true, nil},
			"fills shm with files":    {[]string{"inodes", "/dev/shm"}, filledWithFiles, true, nil},
			"fills output":            {[]string{"fill-and-stay", sandbox.OutputDir}, filled, true, nil},
			"fills output with files": {[]string{"inodes", sandbox.OutputDir}, filled, true, nil},
			"fills sockets":           {[]string{"sockets"}, "begun", true, nil},
			"leaves a trap":           {[]string{"trap"}, "left", false, nothingLeft},
			"file descriptors":        {[]string{"descriptors"}, "too many open files", true, nil},
			"host and metadata ports": {append([]string{"dial"}, hostPorts...), unreachable, false, nil},
			"forbidden calls":         {[]string{"syscalls"}, "tried", false, nil},
			"forbidden paths":         {[]string{"paths"}, "tried", false, nil},
			"escaped child":           {[]string{"escapee"}, "started true", true, nil},
			"stdin that is not read":  {[]string{"deaf-to-stdin"}, "waiting", true, nil},
			"crash that has a secret": {[]string{"crash"}, "signal aborted core false left 0 <nil>", true, nil},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				id := strings.ReplaceAll(name, " ", "-")
				in := s.Input(id)
				in.Stdin = []byte("a secret")
				if c.args[0] == "deaf-to-stdin" {
					in.Stdin = bytes.Repeat([]byte("x"), 1<<20) // More than a pipe holds.
				}
				in.Timeout = 2 * time.Second
				if !c.held {
					in.Timeout = time.Minute
				}
				exit, out := beside(t, s, s.Spec(id, c.args...), in)
				if !strings.Contains(out, c.want) || exit.TimedOut != c.held || c.held && exit.Code != 137 ||
					c.also != nil && !c.also(exit) {
					t.Errorf("exit %+v, said %.300q", exit, out)
				}
			})
		}
	})
}

// beside runs an attack to its end, and a neighbor as soon as the attack has begun to speak, or else at its end.
func beside(t *testing.T, s sandboxtest.Subject, spec sandbox.Spec, in sandbox.Input) (sandbox.Exit, string) {
	t.Helper()
	neighbor, err := s.Runtime.Create(t.Context(), s.Spec(spec.ID+"-neighbor", "echo"))
	if err != nil {
		t.Fatal(err)
	}
	out := &watched{spoken: make(chan struct{})}
	in.Stdout, in.Stderr = out, out
	attack, over := context.WithCancel(context.Background())
	var exit sandbox.Exit
	var runErr error
	var attacking sync.WaitGroup
	attacking.Go(func() {
		defer over()
		exit, runErr = s.Run(t.Context(), spec, in)
	})
	select {
	case <-out.spoken:
	case <-attack.Done():
	}
	var answer bytes.Buffer
	question := s.Input(spec.ID + "-neighbor")
	question.Stdin, question.Stdout, question.Timeout = []byte("are you there?"), &answer, patience
	answered, err := neighbor.Run(t.Context(), question)
	if err != nil || answered.Code != 0 || answer.String() != "are you there?" {
		t.Errorf("the neighbor: %+v, %v, %q", answered, err, answer.String())
	} else {
		t.Logf("the neighbor answered in %v", answered.FinishedAt.Sub(answered.StartedAt).Round(time.Millisecond))
	}
	s.Runtime.Forget(question.Execution)
	attacking.Wait()
	if runErr != nil {
		t.Fatal(runErr)
	}
	return exit, out.text.String()
}

// watched signals when something has been written. The two streams of a sandbox write to it.
type watched struct {
	mu     sync.Mutex
	text   bytes.Buffer
	once   sync.Once
	spoken chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.once.Do(func() { close(w.spoken) })
	return w.text.Write(p)
}

// ownAddresses are those of this host that others can reach.
func ownAddresses(t *testing.T) (own []string) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && !network.IP.IsLoopback() {
			own = append(own, network.IP.String())
		}
	}
	return own
}
