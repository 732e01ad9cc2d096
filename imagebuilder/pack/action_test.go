package pack

import (
	"strings"
	"testing"
)

func TestWrongAction(t *testing.T) {
	t.Parallel()
	const head = "ref: forecast\nentry_point: forecast.py\n"
	for text, want := range map[string][]string{
		"":           {"actions/forecast.yaml:1: is empty"},
		"label: x\n": {"ref: is required", "entry_point: is required"},
		"ref: other.forecast\n" + head[14:]: {
			`:1: ref: belongs to the pack "other", and this is the pack "weather"`,
		},
		"ref: weather.Forecast\n" + head[14:]: {":1: ref: must be lower-case letters"},
		"ref: a.b.c\n" + head[14:]:            {":1: ref: belongs to the pack"},
		"ref: second\n" + head[14:]:           nil,
		"ref: x\nentry_point: missing.py\n": {
			"actions/forecast.yaml:2: entry_point: is the file actions/missing.py, and the pack does not have it",
		},
		"ref: x\nentry_point: ../pack.yaml\n":  {":2: entry_point: must be a path below actions/"},
		"ref: x\nentry_point: /etc/passwd\n":   {":2: entry_point: must be a path below actions/"},
		"ref: x\nentry_point: ./forecast.py\n": {":2: entry_point: must be a path below actions/"},
		"ref: x\nentry_point: sub\n": {
			":2: entry_point: is the file actions/sub, and the pack does not have it",
		},
		"ref: x\nentry_point: forecast.py:a-b\n": {":2: entry_point: must name a function behind the colon"},
		"ref: x\nentry_point: forecast.py:\n":    {"is not valid YAML"},
		"ref: x\nentry_point: actions/forecast.py\n": {
			`:2: entry_point: is already relative to actions/: write "forecast.py"`,
		},
		"ref: x\nentry_point: run.sh:main\n": {
			`:2: entry_point: names a function, and a shell action is run as a whole; leave ":main" out`,
		},
		"ref: x\nentry_point: data.txt\n": {
			`runner_type: is required: the extension of "data.txt" does not tell`,
		},
		head + "runner_type: ruby\n":   {":3: runner_type: must be one of python, nodejs, shell"},
		head + "runner_type: nodejs\n": {":2: entry_point: must end in .js, .mjs or .cjs"},
		head + "parameters: {city: {type: string}}\n": {
			`:3: parameters.city: is not a keyword of JSON Schema; parameters are named below "properties"`,
		},
		head + "parameters: {type: string}\n":   {":3: parameters.type: must be object"},
		head + "parameters: {properties: {}}\n": {":3: parameters.type: must be object"},
		head + "parameters: []\n":               {":3: parameters: "},
		head + "parameters:\n  type: object\n  properties:\n    a.b:\n      type: strin\n": {
			":7: parameters.properties.a.b.type: fits none",
		},
		head + "parameters:\n  type: object\n  required:\n  - a\n  - 5\n": {
			":7: parameters.required[1]: must be a string, is a number",
		},
		head + "parameters:\n  type: object\n  $ref: file:///etc/passwd\n": {
			":5: parameters.$ref: must point into this schema",
		},
		head + "parameters:\n  type: object\n  properties: {a: {default: 1, type: string}}": {
			":5: parameters.properties.a.default: must be a string, is a number",
		},
		"ref: x\nentry_point: run.sh\nparameters:\n  type: object\n  properties: {a-b: {}}": {
			":5: parameters.properties.a-b: must be letters, digits and _, to be the shell variable",
		},
		head + "output_schema: {type: nothing}\n": {":3: output_schema.type: "},
		head + "secrets: [api-key, 1st, ok, ok]\n": {
			":3: secrets[0]: must be letters", ":3: secrets[1]: must be letters", ":3: secrets[3]: is there twice",
		},
		head + "env: {PATH: x, ATTUNE_X: x, LD_PRELOAD: x, PYTHONPATH: x}\n": {
			"env.PATH: is a variable that the runner sets", "env.ATTUNE_X", "env.LD_PRELOAD", "env.PYTHONPATH",
		},
		head + "env:\n  a-b: x\n  PORT: 80\n  NOTHING:\n": {
			":4: env.a-b: must be letters",
			`:5: env.PORT: must be a string, is a number; write it in quotes: "80"`,
			":6: env.NOTHING: is required",
		},
		head + "env: [a]\n":       {":3: env: must be an object, is a list"},
		head + "timeout: 0\n":     {":3: timeout: must be a whole number from 1 to 86400"},
		head + "timeout: 86401\n": {":3: timeout: must be a whole number"},
		head + "timeout: 1.5\n":   {":3: timeout: must be a whole number"},
		head + "timeout: '5'\n":   {":3: timeout: must be a whole number, is a string"},
		head + "network: host\n":  {":3: network: must be one of none, egress"},
		head + "warm: -1\n":       {":3: warm: must be a whole number from 0 to 64"},
		head + "resources: {memory: 1Mi, disk: 5}\n": {
			":3: resources.disk: is an unknown field", ":3: resources.memory: must be from 16 MiB to 64 GiB",
		},
		head + "resources: {memory: lots, tmp: [1]}\n": {
			":3: resources.memory: must be a size such as 256Mi", ":3: resources.tmp: must be a size such as 256Mi, is a list",
		},
		head + "resources: {cpu: 0, pids: 1, log: 1Ki}\n": {
			"resources.cpu: must be a number from 0.01 to 128",
			"resources.log: must be from 128 KiB to 1 GiB",
			"resources.pids: must be a whole number",
		},
		head + "resources: {cpu: 500}\n": {"resources.cpu: must be a number from 0.01 to 128"},
		head + "runtime: docker\n":       {":3: runtime: must be one of runc, runsc"},
		head + "resources: {tmp_files: 1, open_files: 1}\n": {
			"resources.tmp_files: must be a whole number from 64 to 1048576",
			"resources.open_files: must be a whole number from 64 to 65536",
		},
		head + "resources: {cpu: half}\n": {
			"resources.cpu: must be a number from 0.01 to 128, or thousandths",
		},
		head + "resources: {tmp: 1000000.5}\n": {"resources.tmp: must be from 1 MiB"},
		head + "resources: {tmp: 2000000.5}\n": {"resources.tmp: must be a whole number of bytes"},
		head + "entrypoint: x\n": {
			`:3: entrypoint: is an unknown field; did you mean "entry_point"?`,
		},
		head + "env: &a {A: x}\n":   {":3: has an anchor"},
		head + "env: {<<: {}}\n":    {":3: has an anchor, an alias or a merge key"},
		head + "label: !!str x\n":   {":3: has a tag"},
		head + "label: \"a\\0b\"\n": {":3: has a NUL character"},
		head + "label: \xff\n":      {":3: is not UTF-8"},
		head + "---\nref: x\n":      {":4: begins a second document"},
		head + "label: [\n":         {":3: is not valid YAML"},
		head + "\tlabel: x\n": {
			":3: is not valid YAML, here or in the next line: indented with a tab",
		},
		head + "parameters: {a: .inf}\n":                         {":3: has something that JSON does not"},
		head + "env: " + strings.Repeat("[", 100):                {":3: nests deeper than 64 levels"},
		head + "env:\n" + strings.Repeat("- ", 100):              {":4: nests deeper than 64 levels"},
		head + "tags: [" + strings.Repeat("x, ", 30_000) + "]\n": {"has more than 50000 elements"},
		head + "label: " + strings.Repeat("x", 1<<20):            {"actions/forecast.yaml: is larger than 1 MiB"},
		head + "? a\n: b\n":                                      {":3: has a key that begins with a question mark"},
		"%YAML 1.1\n---\n" + head:                                {":1: has a directive"},
	} {
		files := with(weather, "actions/forecast.yaml", text+" ", "actions/run.sh", "true",
			"actions/data.txt", "x", "actions/sub/x", "x")
		assertProblems(t, text, want, problemsIn(t, files))
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
