package imagebuilder

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"attune"
)

// The code of a dependency runs while it is built. It must find nothing of the host.
func TestBuildSeesNothingOfTheHost(t *testing.T) {
	t.Setenv("ATTUNE_TEST_CANARY", "canary-in-the-host-environment")
	b := sharedBuilder(t)
	const spy = `
import json, os, sys
status = dict(line.split(":\t", 1) for line in open("/proc/self/status"))
mounts = [line.split() for line in open("/proc/mounts")]
print("SPY " + json.dumps({
  "environment": [k for k in os.environ if "ATTUNE" in k],
  "ids": open("/proc/self/uid_map").read().split(),
  "powers": [status[k].strip() for k in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")],
  "processes": sum(p.isdigit() for p in os.listdir("/proc")) < 10,
  "interfaces": sorted(os.listdir("/proc/sys/net/ipv4/conf")),
  "hostname": os.uname().nodename,
  "writable": [m for m in mounts if "rw" in m[3].split(",") and not m[0].startswith("/dev/loop") and
               m[2] not in ("overlay", "proc", "tmpfs", "devtmpfs", "devpts", "mqueue")],
}))
sys.exit("enough seen")
`
	p := newPack("spy", map[string]string{
		"wheels/spy-1.0.tar.gz": sdistWith(t, "spy", "1.0", spy),
		"requirements.txt":      "spy\n",
	})
	_, log, err := build(t, b, p)
	if err == nil {
		t.Fatalf("the spy's code did not run:\n%s", log)
	}
	_, seen, _ := strings.Cut(log, "SPY ")
	seen, _, _ = strings.Cut(seen, "\n")
	want := fmt.Sprintf(`{"environment": [], "ids": ["0", "%d", "%d"], `+
		`"powers": ["0000000000000000", "0000000000000000", "1", "2"], "processes": true, `+
		`"interfaces": ["all", "default", "lo"], "hostname": "build", "writable": []}`, firstID, idRange)
	if seen != want {
		t.Errorf("the spy saw %s\nwant %s\n%s", seen, want, log)
	}
}

// With a network, neither the host nor the metadata service of its cloud can be reached.
func TestBuildReachesNoHost(t *testing.T) {
	t.Parallel()
	host := hostAddress(t)
	const spy = `const net = require("net");
for (const [host, port] of %s) {
  const socket = net.connect({host, port, timeout: 1500});
  const done = (how) => { console.log("SPY", host, how); socket.destroy(); };
  socket.on("connect", () => done("reached")).on("error", () => done("not")).on("timeout", () => done("not"));
}`
	hostname, port, _ := net.SplitHostPort(host)
	targets := fmt.Sprintf(`[["169.254.169.254", 80], [%q, %s], ["127.0.0.1", %s]]`, hostname, port, port)
	registry := npmRegistry{"spy": {
		"package.json": `{"scripts": {"install": "node spy.js"}}`, "spy.js": fmt.Sprintf(spy, targets),
	}}.serve(t)
	b := ownBuilder(t, func(c *Config) { c.NPMRegistry = registry })
	p := newPack("spy", nil)
	p.manifest.Dependencies.NodeJS = &attune.LanguageDependencies{
		Packages: []string{"spy"}, InstallScripts: []string{"spy"},
	}
	_, log := mustBuild(t, b, p)
	if strings.Count(log, "SPY ") != 3 || strings.Contains(log, " reached") {
		t.Errorf("the build reached the host, or did not try:\n%s", log)
	}
}

// hostAddress listens on all addresses of the host, and returns one that no build may reach.
func hostAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	// No packet is sent; the system only chooses the address from which it would be.
	route, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer route.Close()
	own, _, _ := net.SplitHostPort(route.LocalAddr().String())
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return net.JoinHostPort(own, port)
}

func TestCancelledBuildLeavesNothing(t *testing.T) {
	t.Parallel()
	b := ownBuilder(t, nil)
	p := newPack("endless", map[string]string{
		"requirements.txt":          "endless\n",
		"wheels/endless-1.0.tar.gz": sdistWith(t, "endless", "1.0", "import time\nwhile True: time.sleep(1)\n"),
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("somebody stopped the build")
	// pip says so before it runs the code that never ends.
	log := onLine("Getting requirements to build wheel", func() { cancel(stop) })
	_, err := b.build(ctx, p.manifest, p.files, log, func(attune.InstallationPhase) {})
	if !errors.Is(err, stop) {
		t.Errorf("error is %v", err)
	}
	if left := leftovers(t, b); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// What daemonizes, and does not listen to signals, ends with the build.
func TestEndlessBuildIsKilled(t *testing.T) {
	t.Parallel()
	b := ownBuilder(t, func(c *Config) { c.Limits.Time = 10 * time.Second })
	const endless = `
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
  if os.fork() == 0: os.setsid()
print("forked", flush=True)
while True: time.sleep(1)
`
	p := newPack("endless", map[string]string{
		"requirements.txt":          "endless\n",
		"wheels/endless-1.0.tar.gz": sdistWith(t, "endless", "1.0", endless),
	})
	_, log, err := build(t, b, p)
	if attune.CodeOf(err) != attune.CodeInvalid || !strings.Contains(err.Error(), "longer than the 10s") {
		t.Errorf("error is %v\n%s", err, log)
	}
	if left := leftovers(t, b); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := ownBuilder(t, func(c *Config) {
		c.Limits = BuildLimits{DiskBytes: 256 << 20, MemoryBytes: 256 << 20, Pids: 64}
	})
	const full = "more disk space than a build may: 256 MiB or 32768 files"
	for name, c := range map[string]struct{ code, sentence string }{
		"disk": {"f = open('/opt/attune/venv/fill', 'wb')\nwhile True: f.write(bytes(1 << 20))\n", full},
		"unlinked": {"import os\nf = open('/opt/attune/venv/fill', 'wb')\nos.unlink(f.name)\n" +
			"while True: f.write(bytes(1 << 20))\n", full},
		"files":  {"i = 0\nwhile True:\n  open(f'/opt/attune/venv/{i}', 'x').close()\n  i += 1\n", full},
		"shared": {"for i in range(99):\n  f = open(f'/tmp/{i}', 'wb')\n  f.write(bytes(4 << 20))\n", full},
		"holes": {"for i in range(9): open(f'/opt/attune/venv/{i}', 'wb').truncate(255 << 20)\n",
			"more than 256 MiB, the holes in their files included"},
		"memory": {"x = []\nwhile True: x.append(bytearray(16 << 20))\n", "failed"},
		"pids":   {"import os, time\nwhile True:\n  if os.fork() == 0:\n    time.sleep(3)\n    os._exit(0)\n", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPack("greedy", map[string]string{
				"requirements.txt":         "greedy\n",
				"wheels/greedy-1.0.tar.gz": sdistWith(t, "greedy", "1.0", c.code),
			})
			_, log, err := build(t, b, p)
			if attune.CodeOf(err) != attune.CodeInvalid || !strings.Contains(err.Error(), c.sentence) {
				t.Errorf("error is %v\n%s", err, log)
			}
			if left := leftovers(t, b); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// A host without space must fail the build, not make an image with zeros in it.
func TestFullHostFailsTheBuild(t *testing.T) {
	t.Parallel()
	sharedBuilder(t)
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	b := ownBuilder(t, func(c *Config) { c.WorkDir = filepath.Join(small, "work") })
	p := newPack("large", map[string]string{
		"requirements.txt": "large\n",
		"wheels/large-1.0.tar.gz": sdistWith(t, "large", "1.0",
			"import os\nwith open('/opt/attune/venv/large', 'wb') as f:\n  for i in range(128): f.write(os.urandom(1 << 20))\n"),
	})
	_, log, err := build(t, b, p)
	if attune.CodeOf(err) != attune.CodeUnavailable || !strings.Contains(err.Error(), "the worker's disk is full") {
		t.Errorf("error is %v\n%s", err, log)
	}
	if left := leftovers(t, b); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestReplacedPlaceIsRefused(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	p := newPack("hostile", map[string]string{
		"requirements.txt": "hostile\n",
		"wheels/hostile-1.0.tar.gz": sdistWith(t, "hostile", "1.0",
			"import os\nif os.path.isfile('/etc/passwd') and not os.path.islink('/etc/passwd'):\n"+
				"  os.rename('/etc/passwd', '/etc/old')\n  os.symlink('/proc/self/environ', '/etc/passwd')\n"),
	})
	_, log, err := build(t, b, p)
	if attune.CodeOf(err) != attune.CodeInvalid || !strings.Contains(err.Error(), "/etc/passwd") {
		t.Errorf("error is %v\n%s", err, log)
	}
}

// No build can replace a folder on which something is mounted, but the layer of another builder may have it replaced.
func TestReplacedMountPointIsRefused(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	ctx, done, err := b.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := done(); err != nil {
			t.Error(err)
		}
	}()
	base, err := b.ensureBase(ctx, testLog{t})
	if err != nil {
		t.Fatal(err)
	}
	layer, err := b.writeLayer(ctx, nil, func(out io.Writer) error {
		w := tar.NewWriter(out)
		link := tar.Header{Typeflag: tar.TypeSymlink, Name: "dev", Linkname: "opt", Mode: 0o777}
		return errors.Join(w.WriteHeader(&link), w.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := b.apply(ctx, base.layers, layer)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.checkFixedPaths(ctx, layers); attune.CodeOf(err) != attune.CodeInvalid {
		t.Errorf("error is %v", err)
	}
}

// A pack decides nothing about its image but the files: containerd acts by labels, and a runtime by what the
// configuration says.
func TestImageHasNoLabelsOfThePack(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	image, _ := mustBuild(t, b, newPack("labels", map[string]string{
		"Dockerfile": "LABEL containerd.io/restart.status=running\nUSER root\nENTRYPOINT /bin/evil\n",
	}))
	ctx := b.context(t.Context())
	found, err := b.client.GetImage(ctx, image.Name)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{packLabel: "labels", versionLabel: "1.0.0", ownerLabel: b.owner}
	if diff := cmp.Diff(want, found.Labels()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	spec, err := found.Spec(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ocispec.ImageConfig{}, spec.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// Nothing looks up users in files of the image. What does, fails at a line of this length.
func TestHugeGroupFileIsNotRead(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	const group = "line = 'g:x:1:' + 'root,' * 200_000 + '\\n'\nfor name in ('group', 'passwd'):\n" +
		"  with open('/etc/' + name, 'w') as f: f.write(line)\n"
	image, log := mustBuild(t, b, newPack("groups", map[string]string{
		"requirements.txt":         "groups\n",
		"wheels/groups-1.0.tar.gz": sdistWith(t, "groups", "1.0", group),
	}))
	if got := runIn(t, b, image, "stat -c %s /etc/group /etc/passwd; id -u"); got != "1000007\n1000007\n0\n" {
		t.Errorf("got %q\n%s", got, log)
	}
}
