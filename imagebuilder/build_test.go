package imagebuilder

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"attune"
)

func TestBuildWithoutDependencies(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	p := newPack("plain", map[string]string{"actions/hello.sh": "echo hello"})
	p.files["actions/hello.sh"].Mode = 0o700
	first, _ := mustBuild(t, b, p)
	again, _ := mustBuild(t, b, p)
	if first != again {
		t.Errorf("the same pack gave %v and %v", first, again)
	}
	if has, err := b.Has(t.Context(), first.Digest); err != nil || !has {
		t.Errorf("Has = %v, %v", has, err)
	}
	const script = `stat -c '%U:%G %a %n' pack.yaml actions actions/hello.sh; actions/hello.sh
python3 --version; /opt/attune/venv/bin/python -c 'import sys; print(sys.prefix)'; node --version; npm --version;
jq --version; id -u`
	want := `root:root 644 pack.yaml
root:root 755 actions
root:root 755 actions/hello.sh
hello
Python 3.11.2
/opt/attune/venv
v` + b.definition.Node.Version + "\n" + b.definition.NPM.Version + "\njq-1.6\n0\n"
	if got := runIn(t, b, first, script); got != want {
		t.Errorf("in the image:\n%s\nwant:\n%s", got, want)
	}
}

func TestPythonFromWheels(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	p := newPack("wheels", map[string]string{
		"requirements.txt":                    "greeter==1.5\n",
		"wheels/greeter-1.5-py3-none-any.whl": wheel(t, "greeter", "1.5"),
		"wheels/parter-2.0.tar.gz":            sdist(t, "parter", "2.0"),
	})
	p.manifest.Dependencies.Python = &attune.LanguageDependencies{Version: ">=3.9,<4", Packages: []string{"parter>=1"}}
	image, log := mustBuild(t, b, p)
	got := runIn(t, b, image, `/opt/attune/venv/bin/python -c 'import greeter, parter; print(greeter.version, `+
		`parter.version)'`)
	if got != "1.5 2.0\n" {
		t.Errorf("got %q\n%s", got, log)
	}
	if !strings.Contains(log, "Successfully installed") {
		t.Errorf("pip's own words are not in the log:\n%s", log)
	}

	p.files["actions/new.py"] = p.files["pack.yaml"]
	changed, log := mustBuild(t, b, p)
	if changed.Digest == image.Digest || !strings.Contains(log, "dependencies unchanged, layer reused") {
		t.Errorf("%v after %v:\n%s", changed, image, log)
	}
}

func TestConflictingVersions(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	for _, version := range []string{"1.0", "2.0"} {
		p := newPack("conflict", map[string]string{"wheels/shared-" + version + "-py3-none-any.whl": wheel(t, "shared",
			version)})
		p.manifest.Dependencies.Python = &attune.LanguageDependencies{Packages: []string{"shared==" + version}}
		image, _ := mustBuild(t, b, p)
		if got := runIn(t, b, image,
			`/opt/attune/venv/bin/python -c 'import shared; print(shared.version)'`); got != version+"\n" {
			t.Errorf("%s: got %q", version, got)
		}
	}
	for _, version := range []string{"6", "7"} {
		p := newPack("conflict-node", nil)
		p.manifest.Dependencies.NodeJS = &attune.LanguageDependencies{Version: ">=20",
			Packages: []string{"is-number@^" + version}}
		image, log := mustBuild(t, b, p)
		got := runIn(t, b, image, `node -p 'require("is-number/package.json").version'; ls /opt/attune`)
		if !strings.HasPrefix(got, version+".") || strings.Contains(got, "package") {
			t.Errorf("%s: got %q\n%s", version, got, log)
		}
	}
}

func TestSystemPackage(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	p := newPack("system", nil)
	p.manifest.Dependencies.System = []string{"sl", "adduser", "python3-six"}
	image, log := mustBuild(t, b, p)
	got := runIn(t, b, image, `dpkg-query -W -f '${Status}\n' sl; `+
		`ls /var/lib/apt/lists /var/cache/apt /tmp | grep -c deb; stat -c %U:%G /usr/games/sl; `+
		`/opt/attune/venv/bin/python -I -c 'import six; print(six.__name__)'`)
	if got != "install ok installed\n0\nroot:root\nsix\n" {
		t.Errorf("got %q\n%s", got, log)
	}
}

func TestMissingDependency(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	python := newPack("missing", map[string]string{"wheels/greeter-1.5-py3-none-any.whl": wheel(t, "greeter", "1.5")})
	python.manifest.Dependencies.Python = &attune.LanguageDependencies{Packages: []string{"greeter>=9"}}
	node := newPack("missing", nil)
	node.manifest.Dependencies.NodeJS = &attune.LanguageDependencies{Packages: []string{"@attune-no-such-scope/nothing"}}
	system := newPack("missing", nil)
	system.manifest.Dependencies.System = []string{"attune-no-such-package"}
	for name, c := range map[string]struct {
		pack          testPack
		sentence, log string
	}{
		"python": {python, "installing the Python packages failed: ERROR: ", "(from versions: 1.5)"},
		"nodejs": {node, "installing the npm packages failed: npm error 404 Not Found", "@attune-no-such-scope/nothing"},
		"system": {system, "installing the Debian packages failed: E: Unable to locate package attune-no-such-package",
			"E: Unable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, log, err := build(t, b, c.pack)
			if attune.CodeOf(err) != attune.CodeInvalid || !strings.Contains(err.Error(), c.sentence) {
				t.Errorf("error is %v", err)
			}
			if !strings.Contains(log, c.log) {
				t.Errorf("log lacks %q:\n%s", c.log, log)
			}
		})
	}
}

func TestPythonFromAnIndex(t *testing.T) {
	t.Parallel()
	sharedBuilder(t)
	// The host's address on the network exists while a namespace is attached.
	if _, err := shared.network.Attach(t.Context(), "index"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := shared.network.Detach(context.Background(), "index"); err != nil {
			t.Error(err)
		}
	}()
	files := map[string]string{
		"/simple/indexed/":              `<a href="/indexed-3.0-py3-none-any.whl">indexed-3.0-py3-none-any.whl</a>`,
		"/indexed-3.0-py3-none-any.whl": wheel(t, "indexed", "3.0"),
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/") {
			w.Header().Set("Content-Type", "text/html")
		}
		_, _ = io.WriteString(w, text)
	}))
	listener, err := net.Listen("tcp", netip.AddrPortFrom(shared.network.Gateway(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Start()
	defer server.Close()
	b := ownBuilder(t, func(c *Config) { c.PythonIndex = server.URL + "/simple/" })

	p := newPack("indexed", map[string]string{"wheels/greeter-1.5-py3-none-any.whl": wheel(t, "greeter", "1.5")})
	p.manifest.Dependencies.Python = &attune.LanguageDependencies{Packages: []string{"greeter", "indexed>=3"}}
	image, log := mustBuild(t, b, p)
	got := runIn(t, b, image, `/opt/attune/venv/bin/python -c 'import greeter, indexed; print(greeter.version, `+
		`indexed.version)'`)
	if got != "1.5 3.0\n" {
		t.Errorf("got %q\n%s", got, log)
	}
	p.manifest.Dependencies.Python.Packages = []string{"nowhere-to-be-found"}
	_, log, err = build(t, b, p)
	if err == nil || !strings.Contains(err.Error(), "nowhere-to-be-found") ||
		!strings.Contains(log, "No matching distribution found") {
		t.Errorf("error is %v\n%s", err, log)
	}
}

// A source distribution runs its own code while it is built. The code must find nothing of the host.
func TestBuildSeesNothingOfTheHost(t *testing.T) {
	t.Setenv("ATTUNE_TEST_CANARY", "canary-in-the-host-environment")
	b := sharedBuilder(t)
	const spy = `
import glob, json, os, sys
status = dict(line.split(":\t", 1) for line in open("/proc/self/status"))
print("SPY " + json.dumps({
  "environment": sorted(set(os.environ) - {"_", "LC_CTYPE"}),
  "ids": open("/proc/self/uid_map").read().split(),
  "powers": [status[k].strip() for k in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")],
  "first": open("/proc/1/cmdline").read().split("\0")[2],
  "interfaces": sorted(os.listdir("/proc/sys/net/ipv4/conf")),
  "hostname": os.uname().nodename,
  "writable host paths": sorted(l.split()[1] for l in open("/proc/mounts") if l.startswith("/dev/") and "rw," in l),
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
	_, seen, found := strings.Cut(log, "SPY ")
	seen, _, _ = strings.Cut(seen, "\n")
	if !found {
		t.Fatalf("the spy saw nothing:\n%s", log)
	}
	t.Log(seen)
	if strings.Contains(seen, "CANARY") {
		t.Error("the build sees the host's environment")
	}
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

func TestLimits(t *testing.T) {
	t.Parallel()
	b := ownBuilder(t, func(c *Config) {
		c.Limits = BuildLimits{DiskBytes: 256 << 20, MemoryBytes: 256 << 20, Pids: 64}
	})
	for name, c := range map[string]struct{ code, sentence string }{
		"disk":   {"f = open('/opt/attune/venv/fill', 'wb')\nwhile True: f.write(bytes(1 << 20))\n", "more disk space"},
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

func TestCollect(t *testing.T) {
	t.Parallel()
	b := ownBuilder(t, nil)
	kept, _ := mustBuild(t, b, newPack("kept", nil))
	dropped, _ := mustBuild(t, b, newPack("dropped", nil))
	if err := b.Collect(t.Context(), []string{kept.Digest}); err != nil {
		t.Fatal(err)
	}
	for image, want := range map[Image]bool{kept: true, dropped: false} {
		if has, err := b.Has(t.Context(), image.Digest); err != nil || has != want {
			t.Errorf("Has(%s) = %v, %v", image.Name, has, err)
		}
	}
	if _, err := b.findBase(b.context(t.Context())); err != nil {
		t.Errorf("the base image: %v", err)
	}
}

func TestNewSweeps(t *testing.T) {
	t.Parallel()
	b := ownBuilder(t, nil)
	ctx, _, err := b.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base, err := b.ensureBase(ctx, testLog{t})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.openWorkspace(ctx, base.layers); err != nil {
		t.Fatal(err)
	}
	again := b.config
	again.CacheDir = filepath.Dir(again.CacheDir)
	next, err := New(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	for _, l := range leftovers(t, b) {
		if !strings.HasPrefix(l, "snapshot ") { // containerd's garbage collection removes these later
			t.Errorf("left behind: %s", l)
		}
	}
}

// wheel makes a package with nothing but its version.
func wheel(t *testing.T, name, version string) string {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, file := range [][2]string{
		{name + "/__init__.py", fmt.Sprintf("version = %q\n", version)},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", name + "/__init__.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		f, err := w.Create(file[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, file[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func sdist(t *testing.T, name, version string) string { return sdistWith(t, name, version, "") }

// sdistWith makes a source distribution whose setup script does something first.
func sdistWith(t *testing.T, name, version, setup string) string {
	t.Helper()
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for _, file := range [][2]string{
		{"setup.py", setup + fmt.Sprintf("\nfrom setuptools import setup\nsetup(name=%q, version=%q, py_modules=[%q])\n",
			name, version, name)},
		{name + ".py", fmt.Sprintf("version = %q\n", version)},
		{"PKG-INFO", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
	} {
		header := tar.Header{Name: name + "-" + version + "/" + file[0], Mode: 0o644, Size: int64(len(file[1]))}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, file[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// onLine calls do when the text is first written.
func onLine(words string, do func()) io.Writer {
	var seen bytes.Buffer
	return writerFunc(func(p []byte) (int, error) {
		before := strings.Contains(seen.String(), words)
		seen.Write(p)
		if !before && strings.Contains(seen.String(), words) {
			do()
		}
		return len(p), nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
