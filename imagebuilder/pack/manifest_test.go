package pack

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"attune"
)

// problemsIn opens the pack and returns what is wrong with it, as people see it.
func problemsIn(tb testing.TB, files map[string]string) []string {
	tb.Helper()
	_, err := open(tb, zipBytes(tb, files, nil), DefaultLimits())
	if err == nil {
		assertSchemaAgrees(tb, files, nil)
		return nil
	}
	refused, ok := errors.AsType[*attune.Error](err)
	if !ok || refused.Code != attune.CodeInvalid {
		tb.Fatalf("got %v, want an invalid pack", err)
	}
	assertSchemaAgrees(tb, files, refused.Problems)
	var texts []string
	for _, p := range refused.Problems {
		texts = append(texts, p.String())
	}
	return texts
}

func TestManifestWithEverything(t *testing.T) {
	t.Parallel()
	archive := mustOpen(t, zipBytes(t, with(weather,
		"pack.yaml", `# A comment
ref: weather
label: Weather
description: >-
  Two lines
  in one
version: 1.2.0-rc.1
author: Somebody
tags: [a, "b"]
dependencies:
  python: {version: ">=3.9,<4.0", packages: ["requests[socks]>=2.28.0; python_version < '4'", xmltodict]}
  nodejs:
    version: ">=20"
    packages: ["got@^14", "@scope/name@1.x || 2.x", plain, "tagged@latest"]
  system: [git, g++, "jq=1.6-2.1"]
`,
		"actions/forecast.yaml", `ref: weather.forecast
label: Forecast
runner_type: python
entry_point: forecast.py:run_it
parameters:
  type: object
  required: [city]
  properties:
    city: {type: string}
    days: {type: integer, default: 1_000, maximum: 12345678901234567890123}
output_schema: {type: array}
secrets: [api_key, OTHER]
env: {LOG_LEVEL: info, EMPTY: ""}
timeout: 60
retry: {max_attempts: 1}
network: egress
runtime: runsc
resources: {cpu: 500m, memory: 1Gi, pids: 64, tmp: 1.5Mi, tmp_files: 5000, open_files: 4096, log: 10M}
policy: {concurrency: {limit: 2}}
warm: 0
`,
		"actions/plain.yml", "ref: plain\nentry_point: sub/plain.mjs\n", "actions/sub/plain.mjs", "export {}",
		"actions/script.yaml", "ref: script\nentry_point: script\nrunner_type: shell\n", "actions/script", "true",
		"config.schema.yaml", "type: object\n",
	), nil))
	zero := 0
	rest := func(name string, runner attune.RunnerType, entry string) attune.Action {
		return attune.Action{
			Ref: "weather." + name, Pack: "weather", RunnerType: runner, EntryPoint: entry, TimeoutSeconds: 300, Network: "none",
			Resources: attune.Resources{CPU: 1, MemoryBytes: 256 << 20, Pids: 128, TmpBytes: 64 << 20},
		}
	}
	forecast := attune.Action{
		Ref: "weather.forecast", Pack: "weather", Label: "Forecast",
		RunnerType: "python", EntryPoint: "forecast.py", Function: "run_it",
		Parameters: json.RawMessage(`{"type":"object","required":["city"],"properties":{"city":{"type":"string"},` +
			`"days":{"type":"integer","default":1000,"maximum":12345678901234567890123}}}`),
		OutputSchema: json.RawMessage(`{"type":"array"}`),
		Secrets:      []string{"api_key", "OTHER"}, Env: map[string]string{"LOG_LEVEL": "info", "EMPTY": ""},
		TimeoutSeconds: 60, Network: "egress", Runtime: attune.RuntimeRunsc,
		Resources: attune.Resources{
			CPU: 0.5, MemoryBytes: 1 << 30, Pids: 64, TmpBytes: 3 << 19, TmpFiles: 5000, OpenFiles: 4096, LogBytes: 10_000_000,
		},
		Policy: attune.Policy{Concurrency: &attune.Concurrency{Limit: 2}},
		Warm:   &zero,
	}
	want := attune.Manifest{
		Ref: "weather", Label: "Weather", Description: "Two lines in one", Author: "Somebody",
		Version: "1.2.0-rc.1", Tags: []string{
			"a", "b",
		},
		Dependencies: attune.Dependencies{
			Python: &attune.LanguageDependencies{
				Version: ">=3.9,<4.0", Packages: []string{"requests[socks]>=2.28.0; python_version < '4'", "xmltodict"},
			},
			NodeJS: &attune.LanguageDependencies{
				Version: ">=20", Packages: []string{"got@^14", "@scope/name@1.x || 2.x", "plain", "tagged@latest"},
			},
			System: []string{"git", "g++", "jq=1.6-2.1"},
		},
		Actions: []attune.Action{forecast, rest("plain", "nodejs", "sub/plain.mjs"), rest("script", "shell", "script")},
	}
	if diff := cmp.Diff(want, archive.Manifest); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
}

func TestWrongPack(t *testing.T) {
	t.Parallel()
	const head = "ref: weather\nversion: 1.2.0\n"
	for text, want := range map[string][]string{
		"":                             {"pack.yaml:1: is empty"},
		"- a\n":                        {"pack.yaml:1: must be an object, is a list"},
		"label: x\n":                   {"pack.yaml:1: ref: is required", "pack.yaml:1: version: is required"},
		"ref:\nversion: 1.2.0\n":       {"pack.yaml:1: ref: is required"},
		"ref: Weather\n" + head[13:]:   {"pack.yaml:1: ref: must be lower-case letters"},
		"ref: weather\nversion: 1.2\n": {"pack.yaml:2: version: must be a semantic version of three numbers"},
		"ref: weather\nversion: [1]\n": {"pack.yaml:2: version: must be a string, is a list"},
		"ref: weather\nversion: 1.2.0\nlabel: a: b\n": {
			`pack.yaml:3: is not valid YAML, here or in the next line: wrong indentation, or a text with ": " in it`,
		},
		"ref: weather\nversion: v1.2.0\n": {
			"pack.yaml:2: version: must be a semantic version",
		},
		head + "verson: 1\nlabl: x\n": {
			`pack.yaml:3: verson: is an unknown field; did you mean "version"?`,
			`pack.yaml:4: labl: is an unknown field; did you mean "label"?`,
		},
		head + "something: x\n": {
			"pack.yaml:3: something: is an unknown field; known are ref, label",
		},
		head + "tags: x\n": {
			"pack.yaml:3: tags: must be a list, is a string",
		},
		head + "tags:\n- a\n- 5\n- a\n- ''\n": {
			"pack.yaml:5: tags[1]: must be a string, is a number",
			"pack.yaml:6: tags[2]: is there twice",
			"pack.yaml:7: tags[3]: is empty",
		},
		head + "label: " + strings.Repeat("x", 201) + "\n": {
			"pack.yaml:3: label: must have at most 200 bytes, has 201",
		},
		head + "label: a\nlabel: b\n": {
			`pack.yaml:4: has the key "label" twice; the first is in line 3`,
		},
		head + "dependencies: {ruby: {}}\n": {
			"pack.yaml:3: dependencies.ruby: is an unknown field",
		},
		head + "dependencies:\n  python: {version: '3.11 or so'}\n": {
			"pack.yaml:4: dependencies.python.version: must be a range of versions",
		},
		head + "dependencies:\n  python: {version: '>=3.12'}\n": {
			"pack.yaml:4: dependencies.python.version: excludes Python 3.11",
		},
		head + "dependencies:\n  python: {version: '3.11'}\n": {
			"pack.yaml:4: dependencies.python.version: must be a range of versions",
		},
		head + "dependencies:\n  nodejs: {version: '<18'}\n": {
			"pack.yaml:4: dependencies.nodejs.version: excludes Node.js 24",
		},
		head + "dependencies:\n  nodejs: {version: 'new'}\n": {
			"pack.yaml:4: dependencies.nodejs.version: must be a range",
		},
		head + "dependencies:\n  system: [git, Bad_Name, -y, 'a b']\n": {
			"pack.yaml:4: dependencies.system[1]: must be the name of a Debian package", "system[2]", "system[3]",
		},
		head + "dependencies:\n  python:\n    packages: [requests]\n    mirror: x": {
			"pack.yaml:6: dependencies.python.mirror: is an unknown field",
		},
	} {
		assertProblems(t, text, want, problemsIn(t, with(weather, "pack.yaml", text+" ")))
	}
}

// Everything that is wrong is named at once, file by file.
func TestManifestProblemsTogether(t *testing.T) {
	t.Parallel()
	files := with(weather, "pack.yaml", "ref: weather\nverson: 1\n", "requirements.txt", "-r x",
		"actions/forecast.yaml", "ref: forecast\nentry_point: x.py\ntimeout: 0\n")
	assertProblems(t, "three files", []string{
		"actions/forecast.yaml:2: entry_point: ", "actions/forecast.yaml:3: timeout: ",
		"pack.yaml:1: version: is required", "pack.yaml:2: verson: ", "requirements.txt:1: ",
	}, problemsIn(t, files))
}

func TestManyProblemsAreCut(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString(weather["pack.yaml"])
	for i := range 500 {
		fmt.Fprintf(&text, "unknown_%d: x\n", i)
	}
	got := problemsIn(t, with(weather, "pack.yaml", text.String()))
	if len(got) != 101 || got[100] != "and 400 more" {
		t.Errorf("got %d problems, the last is %q", len(got), got[len(got)-1])
	}
}

// assertProblems wants these problems, each given by a part of its text, in any order, and no others.
func assertProblems(t *testing.T, what string, want, got []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%.200q: got %d problems, want %d:\n  %s", what, len(got), len(want), strings.Join(got, "\n  "))
		return
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(got, "\n"), w) {
			t.Errorf("%.200q: no problem with %q:\n  %s", what, w, strings.Join(got, "\n  "))
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(weather["pack.yaml"], weather["actions/forecast.yaml"], "max_waiting: 5", "requests>=2\n",
		`{"dependencies": {"a": "1"}}`)
	f.Add("ref: a\nversion: 1.0.0\ndependencies: {python: {packages: [x]}}",
		"ref: b\nentry_point: forecast.py\nparameters: {type: object, properties: {a: {}}}",
		"action: b\nconcurrency: {limit: 1, key: [a]}", "", "")
	f.Add("ref: [", "a: &b *b", "action: [", "-r \\\n", "[")
	f.Fuzz(func(t *testing.T, pack, action, policy, requirements, npm string) {
		files := fstest.MapFS{}
		var names []packFile
		for name, text := range with(weather,
			"pack.yaml", pack+" ", "actions/forecast.yaml", action+" ", "policies/a.yaml", policy+" ",
			"requirements.txt", requirements+" ", "package.json", npm+" ") {
			files[name] = &fstest.MapFile{Data: []byte(text)}
			names = append(names, packFile{name: name, size: int64(len(text))})
		}
		manifest, problems, err := readManifest(files, names, mostResources())
		if err != nil {
			t.Fatalf("an internal error: %v", err)
		}
		if len(problems) > 0 {
			return
		}
		text, err := json.Marshal(manifest)
		if err != nil || strings.Contains(string(text), `\u0000`) {
			t.Fatalf("the manifest cannot be stored: %s, %v", text, err)
		}
	})
}
