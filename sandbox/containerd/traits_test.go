package containerd_test

import (
	"testing"

	"attune"
	"attune/sandbox/sandboxtest"
)

// traits are how a sandbox of one runtime differs by design from that of another, for code that looks at it from
// inside. docs/sandbox.md gives the reasons.
type traits struct {
	// status is what /proc/self/status says of the privileges that a process lacks.
	status []string
	// mapsIDs: /proc/self/uid_map has the ids on the host. gVisor's kernel has them, and its processes have those inside.
	mapsIDs bool
	// virtual is what the probe finds allowed, because it changes gVisor's kernel only, which ends with the sandbox.
	virtual map[string]bool
	// countsRefusedPids: the host refuses a process, and counts that. gVisor's kernel refuses it, and does not say.
	countsRefusedPids bool
	// limitsTmpFiles: the number of files in /tmp is limited. In gVisor they take memory like everything else.
	limitsTmpFiles bool
	// exactClock: a process knows the processor time that it took. gVisor's kernel counts in ticks.
	exactClock bool
}

var allTraits = map[attune.Runtime]traits{
	attune.RuntimeRunc: {
		status:            append(noCapabilities, "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"),
		mapsIDs:           true,
		countsRefusedPids: true,
		limitsTmpFiles:    true,
		exactClock:        true,
	},
	attune.RuntimeRunsc: {
		status: noCapabilities, // it shows no others, and has none
		virtual: map[string]bool{
			"written /proc/self/oom_score_adj": true,
			"allowed mknod":                    true, "allowed sys_nice": true, "allowed net_bind_service": true,
		},
	},
}

var noCapabilities = []string{
	"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
	"Seccomp:\t2", "Uid:\t65534\t65534",
}

// forRuntimes runs a test with each runtime, on a host of its own.
func forRuntimes(t *testing.T, test func(t *testing.T, h host, s sandboxtest.Subject, is traits)) {
	t.Helper()
	for _, runtime := range attune.Runtimes() {
		t.Run(string(runtime), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			s := h.subject(h.open(t))
			s.With = runtime
			test(t, h, s, allTraits[runtime])
		})
	}
}
