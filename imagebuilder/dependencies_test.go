package imagebuilder

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"attune"
	"attune/images"
)

func TestReadDependencies(t *testing.T) {
	t.Parallel()
	node := func(packages ...string) attune.Dependencies {
		return attune.Dependencies{NodeJS: &attune.LanguageDependencies{Packages: packages}}
	}
	for name, c := range map[string]struct {
		manifest attune.Dependencies
		files    map[string]string
		want     dependencies
	}{
		"none": {},
		"system": {
			manifest: attune.Dependencies{System: []string{"git", "bc"}},
			want:     dependencies{System: []string{"bc", "git"}},
		},
		"python": {
			manifest: attune.Dependencies{Python: &attune.LanguageDependencies{Packages: []string{"b", "a"}}},
			files:    map[string]string{"requirements.txt": "c\n", "wheels/d.whl": "d", "wheels/sub/e.whl": "e"},
			want: dependencies{
				Python: []string{"a", "b"}, Requirements: "c\n",
				Wheels: map[string]string{"d.whl": "18ac3e7343f016890c510e93f935261169d9e3f565436429830faf0934f4f8e4"},
			},
		},
		"wheels that are not required": {files: map[string]string{"wheels/d.whl": "d"}},
		"package.json only names the pack": {
			files: map[string]string{"package.json": `{"name":"p","type":"module"}`, "package-lock.json": "{}"},
		},
		"lock is complete": {
			files: map[string]string{"package.json": `{"dependencies":{"got":"^14"}}`, "package-lock.json": "{}"},
			want:  dependencies{Package: `{"dependencies":{"got":"^14"}}`, Lock: "{}", Exact: true},
		},
		"only peers": {
			files: map[string]string{"package.json": `{"peerDependencies":{"p":"1"},"peerDependenciesMeta":{"p":{}}}`},
			want: dependencies{
				Package: `{"dependencies":{},"peerDependencies":{"p":"1"},"peerDependenciesMeta":{"p":{}},"private":true}`,
			},
		},
		"byte order marks": {
			files: map[string]string{
				"package.json": "\ufeff{\"dependencies\":{\"got\":\"^14\"}}", "package-lock.json": "\ufeff{}",
				"requirements.txt": "\ufeffa\n",
			},
			want: dependencies{
				Requirements: "a\n", Package: `{"dependencies":{"got":"^14"}}`, Lock: "{}", Exact: true,
			},
		},
		"merged": {
			manifest: node("@a/b@^1", "got@14.1.0", "left-pad"),
			files: map[string]string{
				"package.json": `{"scripts":{"x":"y"},"dependencies":{"got":"^9"},"overrides":{"q":"1"}}`,
			},
			want: dependencies{
				Package: `{"dependencies":{"@a/b":"^1","got":"14.1.0","left-pad":"*"},"overrides":{"q":"1"},"private":true}`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readDependencies(attune.Manifest{Dependencies: c.manifest}, newPack("p", c.files).files)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if want := cmp.Equal(c.want, dependencies{}); got.empty() != want {
				t.Errorf("empty is %v", !want)
			}
		})
	}
}

func TestReadDependenciesRefuses(t *testing.T) {
	t.Parallel()
	python := func(s string) attune.Dependencies {
		return attune.Dependencies{Python: &attune.LanguageDependencies{Packages: []string{s}}}
	}
	for name, c := range map[string]struct {
		manifest attune.Dependencies
		files    fstest.MapFS
	}{
		"removal of a Debian package": {manifest: attune.Dependencies{System: []string{"python3-"}}},
		"option of apt":               {manifest: attune.Dependencies{System: []string{"-oX=y"}}},
		"option of pip":               {manifest: python("--index-url=http://x")},
		"two requirements in one":     {manifest: python("a\n--pre")},
		"broken package.json":         {files: fstest.MapFS{"package.json": {Data: []byte("{")}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := c.files
			if files == nil {
				files = fstest.MapFS{}
			}
			_, err := readDependencies(attune.Manifest{Dependencies: c.manifest}, files)
			if attune.CodeOf(err) != attune.CodeInvalid {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestLayerKey(t *testing.T) {
	t.Parallel()
	same := dependencies{System: []string{"a"}}.layerKey("sha256:1")
	if same != (dependencies{System: []string{"a"}}).layerKey("sha256:1") {
		t.Error("equal dependencies have different keys")
	}
	for name, other := range map[string]string{
		"another base":    dependencies{System: []string{"a"}}.layerKey("sha256:2"),
		"another package": dependencies{System: []string{"b"}}.layerKey("sha256:1"),
		"another wheel":   dependencies{System: []string{"a"}, Wheels: map[string]string{"a": "1"}}.layerKey("sha256:1"),
	} {
		if other == same {
			t.Errorf("%s has the same key", name)
		}
	}
}

func TestCheckRuntimes(t *testing.T) {
	t.Parallel()
	base := images.Base{Python: "3.11.2", Node: images.NPMPackage{Version: "24.21.0"}}
	for _, c := range []struct {
		python, node string
		ok           bool
	}{
		{"", "", true},
		{">=3.9,<4.0", ">=20", true},
		{"~=3.11", "^22 || ^24", true},
		{">=3.12", "", false},
		{"", "<24", false},
		{"three", "", false},
		{"", "latest and greatest", false},
	} {
		err := checkRuntimes(base, attune.Dependencies{
			Python: &attune.LanguageDependencies{Version: c.python},
			NodeJS: &attune.LanguageDependencies{Version: c.node},
		})
		if (err == nil) != c.ok || !c.ok && attune.CodeOf(err) != attune.CodeInvalid {
			t.Errorf("%q, %q: %v", c.python, c.node, err)
		}
	}
}

func TestPackImageName(t *testing.T) {
	t.Parallel()
	got := packImageName("weather", "1.2.0-rc.1+build5", "sha256:0123456789abcdef")
	if got != "attune.local/packs/weather:1.2.0-rc.1_build5-0123456789ab" {
		t.Errorf("name is %s", got)
	}
}
