package imagebuilder

import (
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

// Without an index, too, a source distribution with code to compile says what it lacks.
func TestMissingCompiler(t *testing.T) {
	t.Parallel()
	b := ownBuilder(t, func(c *Config) { c.Network = nil })
	const setup = `import setuptools
open("native.c", "w").close()
plain = setuptools.setup
setuptools.setup = lambda **k: plain(ext_modules=[setuptools.Extension("native", ["native.c"])], **k)`
	_, log, err := build(t, b, newPack("native", map[string]string{
		"requirements.txt": "native\n", "wheels/native-1.0.tar.gz": sdistWith(t, "native", "1.0", setup),
	}))
	const want = "installing the Python packages failed: native takes a compiler, which the image lacks; " +
		"add it to pack.yaml as dependencies: {system: [build-essential, python3-dev]}"
	if attune.CodeOf(err) != attune.CodeInvalid || err.Error() != want {
		t.Errorf("error is %v\n%s", err, log)
	}
}

func TestPythonFromAnIndex(t *testing.T) {
	t.Parallel()
	index := serveToBuilds(t, func(string) map[string]string {
		return map[string]string{
			"/simple/indexed/":              `<a href="/indexed-3.0-py3-none-any.whl">indexed-3.0-py3-none-any.whl</a>`,
			"/indexed-3.0-py3-none-any.whl": wheel(t, "indexed", "3.0"),
		}
	})
	b := ownBuilder(t, func(c *Config) { c.PythonIndex = index + "/simple/" })

	p := newPack("indexed", map[string]string{"wheels/greeter-1.5-py3-none-any.whl": wheel(t, "greeter", "1.5")})
	p.manifest.Dependencies.Python = &attune.LanguageDependencies{Packages: []string{"greeter", "indexed>=3"}}
	image, log := mustBuild(t, b, p)
	got := runIn(t, b, image, `/opt/attune/venv/bin/python -c 'import greeter, indexed; print(greeter.version, `+
		`indexed.version)'`)
	if got != "1.5 3.0\n" {
		t.Errorf("got %q\n%s", got, log)
	}
	p.manifest.Dependencies.Python.Packages = []string{"nowhere-to-be-found"}
	_, log, err := build(t, b, p)
	if err == nil || !strings.Contains(err.Error(), "nowhere-to-be-found") ||
		!strings.Contains(log, "No matching distribution found") {
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
	ctx, done, err := b.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.findBase(ctx); err != nil {
		t.Errorf("the base image: %v", err)
	}
	if err := done(); err != nil {
		t.Error(err)
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
