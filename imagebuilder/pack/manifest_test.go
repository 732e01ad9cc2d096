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
		Ref: "weather.forecast", Pack: "weather", Label: "Forecast", RunnerType: "python", EntryPoint: "forecast.py", Function: "run_it",
		Parameters: json.RawMessage(`{"type":"object","required":["city"],"properties":{"city":{"type":"string"},` +
			`"days":{"type":"integer","default":1000,"maximum":12345678901234567890123}}}`),
		OutputSchema: json.RawMessage(`{"type":"array"}`),
		Secrets:      []string{"api_key", "OTHER"}, Env: map[string]string{"LOG_LEVEL": "info", "EMPTY": ""},
		TimeoutSeconds: 60, Network: "egress", Runtime: attune.RuntimeRunsc,
		Resources: attune.Resources{CPU: 0.5, MemoryBytes: 1 << 30, Pids: 64, TmpBytes: 3 << 19, TmpFiles: 5000, OpenFiles: 4096, LogBytes: 10_000_000},
		Policy:    attune.Policy{Concurrency: &attune.Concurrency{Limit: 2}},
		Warm:      &zero,
	}
	want := attune.Manifest{
		Ref: "weather", Label: "Weather", Description: "Two lines in one", Author: "Somebody", Version: "1.2.0-rc.1", Tags: []string{"a", "b"},
		Dependencies: attune.Dependencies{
			Python: &attune.LanguageDependencies{Version: ">=3.9,<4.0", Packages: []string{"requests[socks]>=2.28.0; python_version < '4'", "xmltodict"}},
			NodeJS: &attune.LanguageDependencies{Version: ">=20", Packages: []string{"got@^14", "@scope/name@1.x || 2.x", "plain", "tagged@latest"}},
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
		"ref: weather\nversion: 1.2.0\nlabel: a: b\n":                              {`pack.yaml:3: is not valid YAML, here or in the next line: wrong indentation, or a text with ": " in it`},
		"ref: weather\nversion: v1.2.0\n":                                          {"pack.yaml:2: version: must be a semantic version"},
		head + "verson: 1\nlabl: x\n":                                              {`pack.yaml:3: verson: is an unknown field; did you mean "version"?`, `pack.yaml:4: labl: is an unknown field; did you mean "label"?`},
		head + "something: x\n":                                                    {"pack.yaml:3: something: is an unknown field; known are ref, label"},
		head + "tags: x\n":                                                         {"pack.yaml:3: tags: must be a list, is a string"},
		head + "tags:\n- a\n- 5\n- a\n- ''\n":                                      {"pack.yaml:5: tags[1]: must be a string, is a number", "pack.yaml:6: tags[2]: is there twice", "pack.yaml:7: tags[3]: is empty"},
		head + "label: " + strings.Repeat("x", 201) + "\n":                         {"pack.yaml:3: label: must have at most 200 bytes, has 201"},
		head + "label: a\nlabel: b\n":                                              {`pack.yaml:4: has the key "label" twice; the first is in line 3`},
		head + "dependencies: {ruby: {}}\n":                                        {"pack.yaml:3: dependencies.ruby: is an unknown field"},
		head + "dependencies:\n  python: {version: '3.11 or so'}\n":                {"pack.yaml:4: dependencies.python.version: must be a range of versions"},
		head + "dependencies:\n  python: {version: '>=3.12'}\n":                    {"pack.yaml:4: dependencies.python.version: excludes Python 3.11"},
		head + "dependencies:\n  python: {version: '3.11'}\n":                      {"pack.yaml:4: dependencies.python.version: must be a range of versions"},
		head + "dependencies:\n  nodejs: {version: '<18'}\n":                       {"pack.yaml:4: dependencies.nodejs.version: excludes Node.js 24"},
		head + "dependencies:\n  nodejs: {version: 'new'}\n":                       {"pack.yaml:4: dependencies.nodejs.version: must be a range"},
		head + "dependencies:\n  system: [git, Bad_Name, -y, 'a b']\n":             {"pack.yaml:4: dependencies.system[1]: must be the name of a Debian package", "system[2]", "system[3]"},
		head + "dependencies:\n  python:\n    packages: [requests]\n    mirror: x": {"pack.yaml:6: dependencies.python.mirror: is an unknown field"},
	} {
		assertProblems(t, text, want, problemsIn(t, with(weather, "pack.yaml", text+" ")))
	}
}

func TestWrongPackages(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"python --index-url=http://x":               "is an option of pip",
		"python -e .":                               "is an option of pip",
		"python git+https://x/y":                    "is an address",
		"python requests @ https://x/y.whl":         "is an address",
		"python ./requests.whl":                     "is a path",
		"python requests>=":                         "must be a name and versions",
		"python requests>=2.x":                      "must be a name and versions",
		"python requests 2.0":                       "must be a name and versions",
		"python requests==1||==2":                   "must be a name and versions",
		"python _requests":                          "must be a name and versions",
		"python requests; import os; $(x)":          "must be a name and versions",
		"python requests\n-r other.txt":             "must be a name and versions",
		"python requests>=1\n>=2":                   "must be a name and versions",
		"nodejs got@git+https://x/y":                "is an address",
		"nodejs got@file:../x":                      "is an address",
		"nodejs got@npm:other@1":                    "is an address",
		"nodejs user/repo":                          "must be a name and a range",
		"nodejs got@user/repo":                      "is an address",
		"nodejs git+ssh://git@x/y":                  "is an address",
		"nodejs got@":                               "must be a name and a range",
		"nodejs got@^x.y.z.1":                       "must be a name and a range",
		"nodejs --registry=x":                       "must be a name and a range",
		"nodejs Got":                                "must be a name and a range",
		"nodejs got@>=1,<2":                         "must be a name and a range",
		"nodejs " + strings.Repeat("x", 215) + "@1": "must be a name and a range",
	} {
		language, specifier, _ := strings.Cut(text, " ")
		quoted, err := json.Marshal(specifier)
		if err != nil {
			t.Fatal(err)
		}
		pack := weather["pack.yaml"] + "dependencies:\n  " + language + ":\n    packages: [" + string(quoted) + "]\n"
		assertProblems(t, text, []string{"pack.yaml:5: dependencies." + language + ".packages[0]: " + want}, problemsIn(t, with(weather, "pack.yaml", pack)))
	}
}

func TestWrongAction(t *testing.T) {
	t.Parallel()
	const head = "ref: forecast\nentry_point: forecast.py\n"
	for text, want := range map[string][]string{
		"":                                            {"actions/forecast.yaml:1: is empty"},
		"label: x\n":                                  {"ref: is required", "entry_point: is required"},
		"ref: other.forecast\n" + head[14:]:           {`:1: ref: belongs to the pack "other", and this is the pack "weather"`},
		"ref: weather.Forecast\n" + head[14:]:         {":1: ref: must be lower-case letters"},
		"ref: a.b.c\n" + head[14:]:                    {":1: ref: belongs to the pack"},
		"ref: second\n" + head[14:]:                   nil,
		"ref: x\nentry_point: missing.py\n":           {"actions/forecast.yaml:2: entry_point: is the file actions/missing.py, and the pack does not have it"},
		"ref: x\nentry_point: ../pack.yaml\n":         {":2: entry_point: must be a path below actions/"},
		"ref: x\nentry_point: /etc/passwd\n":          {":2: entry_point: must be a path below actions/"},
		"ref: x\nentry_point: ./forecast.py\n":        {":2: entry_point: must be a path below actions/"},
		"ref: x\nentry_point: sub\n":                  {":2: entry_point: is the file actions/sub, and the pack does not have it"},
		"ref: x\nentry_point: forecast.py:a-b\n":      {":2: entry_point: must name a function behind the colon"},
		"ref: x\nentry_point: forecast.py:\n":         {"is not valid YAML"},
		"ref: x\nentry_point: actions/forecast.py\n":  {`:2: entry_point: is already relative to actions/: write "forecast.py"`},
		"ref: x\nentry_point: run.sh:main\n":          {`:2: entry_point: names a function, and a shell action is run as a whole; leave ":main" out`},
		"ref: x\nentry_point: data.txt\n":             {`runner_type: is required: the extension of "data.txt" does not tell`},
		head + "runner_type: ruby\n":                  {":3: runner_type: must be one of python, nodejs, shell"},
		head + "runner_type: nodejs\n":                {":2: entry_point: must end in .js, .mjs or .cjs"},
		head + "parameters: {city: {type: string}}\n": {`:3: parameters.city: is not a keyword of JSON Schema; parameters are named below "properties"`},
		head + "parameters: {type: string}\n":         {":3: parameters.type: must be object"},
		head + "parameters: {properties: {}}\n":       {":3: parameters.type: must be object"},
		head + "parameters: []\n":                     {":3: parameters: "},
		head + "parameters:\n  type: object\n  properties:\n    a.b:\n      type: strin\n":  {":7: parameters.properties.a.b.type: fits none"},
		head + "parameters:\n  type: object\n  required:\n  - a\n  - 5\n":                   {":7: parameters.required[1]: must be a string, is a number"},
		head + "parameters:\n  type: object\n  $ref: file:///etc/passwd\n":                  {":5: parameters.$ref: must point into this schema"},
		head + "parameters:\n  type: object\n  properties: {a: {default: 1, type: string}}": {":5: parameters.properties.a.default: must be a string, is a number"},
		"ref: x\nentry_point: run.sh\nparameters:\n  type: object\n  properties: {a-b: {}}": {":5: parameters.properties.a-b: must be letters, digits and _, to be the shell variable"},
		head + "output_schema: {type: nothing}\n":                                           {":3: output_schema.type: "},
		head + "secrets: [api-key, 1st, ok, ok]\n":                                          {":3: secrets[0]: must be letters", ":3: secrets[1]: must be letters", ":3: secrets[3]: is there twice"},
		head + "env: {PATH: x, ATTUNE_X: x, LD_PRELOAD: x, PYTHONPATH: x}\n":                {"env.PATH: is a variable that the runner sets", "env.ATTUNE_X", "env.LD_PRELOAD", "env.PYTHONPATH"},
		head + "env:\n  a-b: x\n  PORT: 80\n  NOTHING:\n":                                   {":4: env.a-b: must be letters", `:5: env.PORT: must be a string, is a number; write it in quotes: "80"`, ":6: env.NOTHING: is required"},
		head + "env: [a]\n":                                      {":3: env: must be an object, is a list"},
		head + "timeout: 0\n":                                    {":3: timeout: must be a whole number from 1 to 86400"},
		head + "timeout: 86401\n":                                {":3: timeout: must be a whole number"},
		head + "timeout: 1.5\n":                                  {":3: timeout: must be a whole number"},
		head + "timeout: '5'\n":                                  {":3: timeout: must be a whole number, is a string"},
		head + "network: host\n":                                 {":3: network: must be one of none, egress"},
		head + "warm: -1\n":                                      {":3: warm: must be a whole number from 0 to 64"},
		head + "resources: {memory: 1Mi, disk: 5}\n":             {":3: resources.disk: is an unknown field", ":3: resources.memory: must be from 16 MiB to 64 GiB"},
		head + "resources: {memory: lots, tmp: [1]}\n":           {":3: resources.memory: must be a size such as 256Mi", ":3: resources.tmp: must be a size such as 256Mi, is a list"},
		head + "resources: {cpu: 0, pids: 1, log: 1Ki}\n":        {"resources.cpu: must be a number from 0.01 to 128", "resources.log: must be from 128 KiB to 1 GiB", "resources.pids: must be a whole number"},
		head + "resources: {cpu: 500}\n":                         {"resources.cpu: must be a number from 0.01 to 128"},
		head + "runtime: docker\n":                               {":3: runtime: must be one of runc, runsc"},
		head + "resources: {tmp_files: 1, open_files: 1}\n":      {"resources.tmp_files: must be a whole number from 64 to 1048576", "resources.open_files: must be a whole number from 64 to 65536"},
		head + "resources: {cpu: half}\n":                        {"resources.cpu: must be a number from 0.01 to 128, or thousandths"},
		head + "resources: {tmp: 1000000.5}\n":                   {"resources.tmp: must be from 1 MiB"},
		head + "resources: {tmp: 2000000.5}\n":                   {"resources.tmp: must be a whole number of bytes"},
		head + "entrypoint: x\n":                                 {`:3: entrypoint: is an unknown field; did you mean "entry_point"?`},
		head + "env: &a {A: x}\n":                                {":3: has an anchor"},
		head + "env: {<<: {}}\n":                                 {":3: has an anchor, an alias or a merge key"},
		head + "label: !!str x\n":                                {":3: has a tag"},
		head + "label: \"a\\0b\"\n":                              {":3: has a NUL character"},
		head + "label: \xff\n":                                   {":3: is not UTF-8"},
		head + "---\nref: x\n":                                   {":4: begins a second document"},
		head + "label: [\n":                                      {":3: is not valid YAML"},
		head + "\tlabel: x\n":                                    {":3: is not valid YAML, here or in the next line: indented with a tab"},
		head + "parameters: {a: .inf}\n":                         {":3: has something that JSON does not"},
		head + "env: " + strings.Repeat("[", 100):                {":3: nests deeper than 64 levels"},
		head + "env:\n" + strings.Repeat("- ", 100):              {":4: nests deeper than 64 levels"},
		head + "tags: [" + strings.Repeat("x, ", 30_000) + "]\n": {"has more than 50000 elements"},
		head + "label: " + strings.Repeat("x", 1<<20):            {"actions/forecast.yaml: is larger than 1 MiB"},
		head + "? a\n: b\n":                                      {":3: has a key that begins with a question mark"},
		"%YAML 1.1\n---\n" + head:                                {":1: has a directive"},
	} {
		files := with(weather, "actions/forecast.yaml", text+" ", "actions/run.sh", "true", "actions/data.txt", "x", "actions/sub/x", "x")
		assertProblems(t, text, want, problemsIn(t, files))
	}
}

func TestWrongFiles(t *testing.T) {
	t.Parallel()
	lock := func(packages string) string { return `{"lockfileVersion": 3, "packages": {` + packages + `}}` }

	for name, test := range map[string]struct {
		file, text string
		want       []string
	}{
		"no action":         {"actions/forecast.yaml", "", []string{"actions: must have at least one <name>.yaml"}},
		"same ref":          {"actions/other.yaml", "ref: weather.forecast\nentry_point: forecast.py\n", []string{"actions/other.yaml:1: ref: is the same as in actions/forecast.yaml"}},
		"config schema":     {"config.schema.yaml", "a: 1\ntype: x\n", []string{"config.schema.yaml:1: a: is not a keyword", "config.schema.yaml:2: type: fits none"}},
		"good requirements": {"requirements.txt", "# all\r\nrequests>=2 # why\n\nxmltodict==0.13.0 \\\n  --hash=sha256:ab12 \\\n  --hash=sha256:cd34\ntomli; python_version < '3.11'\n", nil},
		"bad requirements": {"requirements.txt", "requests\n-r other.txt\n--extra-index-url http://x\n\nx \\\n @ file:///x\n./y\n", []string{
			`requirements.txt:2: "-r other.txt" is an option of pip`, "requirements.txt:3: ", "requirements.txt:5: ", "requirements.txt:7: ",
		}},
		"option behind a comment": {"requirements.txt", "# see \\\n-r other.txt\n", []string{"requirements.txt:2: "}},
		"option behind a strange line end": {"requirements.txt", "requests # x\u2028--index-url=x\n", []string{
			"requirements.txt:1: has a control character",
		}},
		"option in another encoding": {"requirements.txt", "# -*- coding: utf-7 -*-\nrequests #+AAo--index-url\n", []string{
			"requirements.txt:1: declares an encoding",
		}},
		"variable":          {"requirements.txt", "${SECRET}\n", []string{"requirements.txt:1: "}},
		"good package.json": {"package.json", `{"dependencies": {"got": "^14", "a": "", "@b/c": "1 || 2"}, "overrides": {"x": {"y": "$got", "z": "1.0.0"}}, "devDependencies": {"d": "file:../d"}}`, nil},
		"bad package.json": {"package.json", "{\n\"dependencies\": {\n\"got\": \"git+https://x/y\",\n\"x\": \"user/repo\"\n},\n\"workspaces\": [],\n\"overrides\": {\"a\": \"file:x\"}\n}", []string{
			"package.json:3: dependencies.got: is an address", "package.json:4: dependencies.x: is an address", "package.json:6: workspaces: is not supported", "package.json:7: overrides.a: is an address",
		}},
		"broken package.json": {"package.json", "{\n\"dependencies\":\n}", []string{"package.json:3: dependencies: is not valid JSON"}},
		"wrong package.json":  {"package.json", "{\"dependencies\": []}", []string{"package.json:1: dependencies: has the wrong type: array"}},
		"good lock":           {"package-lock.json", lock(`"": {}, "node_modules/got": {"resolved": "https://registry.example/got.tgz"}`), nil},
		"bad lock": {"package-lock.json", lock(`"node_modules/a": {"resolved": "git+ssh://x"}, "node_modules/b": {"link": true, "resolved": "b"}`), []string{
			"package-lock.json: packages.node_modules/a: is not taken from the registry", "package-lock.json: packages.node_modules/b: ",
		}},
		"old lock": {"package-lock.json", `{"lockfileVersion": 1}`, []string{"lockfileVersion: must be 2 or 3"}},
	} {
		assertProblems(t, name, test.want, problemsIn(t, with(weather, test.file, test.text)))
	}
}

// bash would say "invalid option name" or "command not found", of a command that is there.
func TestScriptFromWindows(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"#!/bin/bash\r\ntrue\r\n":       {"actions/run.sh:1: has Windows line endings"},
		"\ufeff#!/bin/bash\ntrue\n":     {"actions/run.sh:1: begins with a byte order mark"},
		"cat <<E\r\nfor a printer\r\nE": {"actions/run.sh:1: has Windows line endings"},
		"cat <<E\nfor a printer\r\nE":   nil,
	} {
		files := with(weather, "actions/forecast.yaml", "ref: forecast\nentry_point: run.sh\n", "actions/run.sh", text)
		assertProblems(t, text, want, problemsIn(t, files))
	}
}

// Everything that is wrong is named at once, file by file.
func TestManifestProblemsTogether(t *testing.T) {
	t.Parallel()
	files := with(weather, "pack.yaml", "ref: weather\nverson: 1\n", "requirements.txt", "-r x", "actions/forecast.yaml", "ref: forecast\nentry_point: x.py\ntimeout: 0\n")
	assertProblems(t, "three files", []string{
		"actions/forecast.yaml:2: entry_point: ", "actions/forecast.yaml:3: timeout: ", "pack.yaml:1: version: is required", "pack.yaml:2: verson: ", "requirements.txt:1: ",
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
	f.Add(weather["pack.yaml"], weather["actions/forecast.yaml"], "max_waiting: 5", "requests>=2\n", `{"dependencies": {"a": "1"}}`)
	f.Add("ref: a\nversion: 1.0.0\ndependencies: {python: {packages: [x]}}", "ref: b\nentry_point: forecast.py\nparameters: {type: object, properties: {a: {}}}",
		"action: b\nconcurrency: {limit: 1, key: [a]}", "", "")
	f.Add("ref: [", "a: &b *b", "action: [", "-r \\\n", "[")
	f.Fuzz(func(t *testing.T, pack, action, policy, requirements, npm string) {
		files := fstest.MapFS{}
		var names []packFile
		for name, text := range with(weather, "pack.yaml", pack+" ", "actions/forecast.yaml", action+" ", "policies/a.yaml", policy+" ",
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
