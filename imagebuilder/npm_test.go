package imagebuilder

import (
	"maps"
	"strings"
	"testing"

	"attune"
	"attune/images"
)

// scripted are packages of which some need their install scripts.
var scripted = npmRegistry{
	"top":      {"package.json": `{"dependencies": {"indirect": "1.0.0"}, "scripts": {"test": "exit 1"}}`},
	"indirect": {"package.json": `{"scripts": {"postinstall": "node -p 1+1 >made"}}`},
	"compiled": {"binding.gyp": `{"targets": [{"target_name": "x", "sources": ["x.c"]}]}`},
	"prebuilt": {"package.json": `{"gypfile": false}`, "binding.gyp": "{}"},
	"hopeless": {"package.json": `{"scripts": {"install": "exit 3"}}`},
	"lenient":  {"package.json": `{"optionalDependencies": {"indirect": "1.0.0"}}`},
	"swapped":  {"package.json": `{"dependencies": {"evil": "git+https://127.0.0.1/evil.git"}}`},
	"peer":     {},
}

// withHeaders adds what node-gyp looks for in the package of Node.js.
func (r npmRegistry) withHeaders(node images.NPMPackage) npmRegistry {
	r = maps.Clone(r)
	r[node.Name] = map[string]string{
		"package.json":             `{"version": "` + node.Version + `"}`,
		"include/node/common.gypi": "{}", "include/node/config.gypi": "{}",
	}
	return r
}

func TestInstallScripts(t *testing.T) {
	t.Parallel()
	registry := scripted.withHeaders(sharedBuilder(t).definition.Node).serve(t)
	b := ownBuilder(t, func(c *Config) { c.NPMRegistry = registry })
	const made = `cat ../node_modules/indirect/made 2>&1 | grep -o '^2\|No such file'`
	for name, c := range map[string]struct {
		packages, scripts []string
		// sentence is in the error; without one, made is what the script has left.
		sentence, made string
		log            string
	}{
		"not asked for": {
			packages: []string{"top", "compiled", "prebuilt"},
			sentence: "may not work: compiled, indirect; let them run with install_scripts: [compiled, indirect] in dep",
		},
		"one of two": {
			packages: []string{"top", "compiled"}, scripts: []string{"indirect"},
			sentence: "may not work: compiled; let them run with install_scripts: [compiled, indirect] in dependencies",
		},
		"asked for": {packages: []string{"top"}, scripts: []string{"indirect"}, made: "2\n"},
		"optional": {
			packages: []string{"lenient"}, made: "No such file\n",
			log: "install scripts of optional packages do not run: indirect",
		},
		"not installed": {
			packages: []string{"peer"}, scripts: []string{"indirekt"}, sentence: "names what is not installed: indirekt",
		},
		"no packages at all": {scripts: []string{"indirect"}, sentence: "the pack has no npm packages"},
		"failing": {
			packages: []string{"hopeless"}, scripts: []string{"hopeless"},
			sentence: "node_modules/hopeless; npm error command sh -c exit 3",
		},
		"without a compiler": {
			packages: []string{"compiled"}, scripts: []string{"compiled"},
			sentence: "compiled takes a compiler, which the image lacks; add it to pack.yaml as " +
				"dependencies: {system: [build-essential]}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPack("scripted", nil)
			p.manifest.Dependencies.NodeJS = &attune.LanguageDependencies{Packages: c.packages, InstallScripts: c.scripts}
			image, log, err := build(t, b, p)
			switch {
			case c.sentence != "":
				if attune.CodeOf(err) != attune.CodeInvalid || !strings.Contains(err.Error(), c.sentence) {
					t.Errorf("error is %v\n%s", err, log)
				}
			case err != nil:
				t.Fatalf("%v\n%s", err, log)
			default:
				if got := runIn(t, b, image, made); got != c.made {
					t.Errorf("the script left %q, want %q\n%s", got, c.made, log)
				}
			}
			if !strings.Contains(log, c.log) {
				t.Errorf("log lacks %q:\n%s", c.log, log)
			}
		})
	}
}

// npm installs the peers that a package.json names, and so does a build.
func TestPeerDependencies(t *testing.T) {
	t.Parallel()
	registry := scripted.serve(t)
	b := ownBuilder(t, func(c *Config) { c.NPMRegistry = registry })
	p := newPack("peers", map[string]string{
		"package.json": `{"peerDependencies": {"peer": "^1", "absent": "^1"},
			"peerDependenciesMeta": {"absent": {"optional": true}}}`,
	})
	image, log := mustBuild(t, b, p)
	if got := runIn(t, b, image, "ls ../node_modules"); got != "peer\n" {
		t.Errorf("got %q\n%s", got, log)
	}
}

// An .npmrc can name the program that npm takes for git. A pack's is not read, and git is not used.
func TestNPMUsesNoGit(t *testing.T) {
	t.Parallel()
	registry := scripted.serve(t)
	b := ownBuilder(t, func(c *Config) { c.NPMRegistry = registry })
	p := newPack("swapped", map[string]string{
		"package.json": `{"dependencies": {"swapped": "1.0.0"}}`,
		".npmrc":       "git=/opt/attune/pack/evil.sh\nignore-scripts=false\nallow-git=all\n",
		"evil.sh":      "#!/bin/sh\necho EVIL >&2\n",
	})
	p.files["evil.sh"].Mode = 0o755
	_, log, err := build(t, b, p)
	if attune.CodeOf(err) != attune.CodeInvalid || !strings.Contains(err.Error(), `fetch "evil@git+`) {
		t.Errorf("error is %v\n%s", err, log)
	}
	if strings.Contains(log, "EVIL") {
		t.Errorf("the pack's program ran:\n%s", log)
	}
}
