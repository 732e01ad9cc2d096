package imagebuilder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"attune"
	"attune/images"
)

// runnerCase is an action, what it is given, and what must come of it.
type runnerCase struct {
	name, file, function, code string
	preload, env               []string
	// document replaces the usual one where it is not empty.
	document string

	status int
	stdout string
	// ahead is what it has printed before its document comes, the first part of stdout.
	ahead string
	// stderr must contain it; noStderr must not.
	stderr, noStderr string
	result           string
	failure          attune.Failure // Traceback must be contained
}

// document is what a case is given unless it says otherwise.
const document = `{"secrets":{"token":"s3cret"},"parameters":{"city":"Köln","days":3},
"execution":{"id":"e1","action":"weather.forecast","attempt":2,"env":{"LEVEL":"info"}}}`

// beside are the other files of the pack of each case. None may be taken for a module of the language.
var beside = map[string]string{
	"actions/helper.py":    "def run(parameters, secrets): return 'helped'\n",
	"actions/token.py":     "raise SystemExit('this is not the module token')\n",
	"actions/string.py":    "raise SystemExit('this is not the module string')\n",
	"actions/traceback.py": "raise SystemExit('this is not the module traceback')\n",
	"lib/heavy.py":         "import os\nprint('heavy', 'ATTUNE_' + 'ATTEMPT' in os.environ)\nvalue = 7\n",
	"lib/raises.py":        "value = 1 / 0\n",
	"lib/exits.py":         "print('before')\nraise SystemExit(5)\n",

	"lib/heavy.js":                   "console.log('heavy', 'ATTUNE_' + 'ATTEMPT' in process.env); exports.value = 7\n",
	"lib/throws.mjs":                 "throw new RangeError('too early')\n",
	"lib/exits.js":                   "console.log('before'); process.exit(5)\n",
	"node_modules/both/a.mjs":        "console.log('imported'); export default 1\n",
	"node_modules/both/a.cjs":        "console.log('required'); module.exports = 2\n",
	"node_modules/both/package.json": `{"exports":{"import":"./a.mjs","require":"./a.cjs"}}`,
}

func TestRunners(t *testing.T) {
	t.Parallel()
	for runner, set := range map[attune.RunnerType]struct {
		file  string
		cases []runnerCase
	}{
		attune.RunnerPython: {"action.py", pythonCases},
		attune.RunnerNodeJS: {"action.js", nodeCases},
		attune.RunnerShell:  {"action.sh", shellCases},
	} {
		t.Run(string(runner), func(t *testing.T) {
			t.Parallel()
			for i := range set.cases {
				if set.cases[i].file == "" {
					set.cases[i].file = set.file
				}
			}
			outcomes := runCases(t, runner, set.cases)
			for i, c := range set.cases {
				t.Run(c.name, func(t *testing.T) { outcomes[i].check(t, c) })
			}
		})
	}
}

// outcome is what one case left behind.
type outcome struct{ status, stdout, ahead, stderr, result, failure string }

// runCases runs all cases in one container of the base image.
func runCases(t *testing.T, runner attune.RunnerType, cases []runnerCase) []outcome {
	t.Helper()
	b := sharedBuilder(t)
	ctx, done, err := b.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base, err := b.ensureBase(ctx, testLog{t})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.openWorkspace(ctx, base.layers)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(w.close(ctx), done()); err != nil {
			t.Error(err)
		}
	}()
	for i, c := range cases {
		text := c.document
		if text == "" {
			text = document
		}
		action := attune.Action{RunnerType: runner, EntryPoint: c.file, Function: c.function, Preload: c.preload}
		for name, content := range map[string]string{
			"document":          text,
			"command":           strings.Join(slices.Concat([]string{"env"}, c.env, images.Command(action)), "\n"),
			"actions/" + c.file: c.code + "\n",
		} {
			if err := writeFile(filepath.Join(w.inputs(), fmt.Sprint(i), name), strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
		for name, content := range beside {
			path := filepath.Join(w.inputs(), fmt.Sprint(i), name)
			if err := writeFile(path, strings.NewReader(content)); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
		}
	}
	if err := makeReadable(w.inputs()); err != nil {
		t.Fatal(err)
	}
	// What comes before the document is more than a pipe holds. When it is written, the runner reads, and has done all
	// that it does ahead. tini is not the first process here, so it is told to reap like one.
	const script = `cd ` + inputsDir + `
export TINI_SUBREAPER=
for i in *; do
  out=` + outputDir + `/$i; mkdir "$out"; : > "$out/result"; : > "$out/failure"; cd "` + inputsDir + `/$i"
  mapfile -t command < command
  mkdir "$out/output"; export ATTUNE_OUTPUT=$out/output
  export ATTUNE_RESULT=$out/result ATTUNE_FAILURE=$out/failure
  mkfifo "/tmp/stdin-$i"
  timeout 30 "${command[@]}" < "/tmp/stdin-$i" > "$out/stdout" 2> "$out/stderr" &
  exec 3> "/tmp/stdin-$i"
  head -c 100000 /dev/zero | tr '\0' ' ' >&3
  cp "$out/stdout" "$out/ahead"
  cat document >&3
  exec 3>&-
  wait $!
  echo -n $? > "$out/status"
done`
	if err := w.run(ctx, step{name: "cases", args: []string{"/bin/bash", "-c", script}, dir: "/"},
		testLog{t}); err != nil {
		t.Fatal(err)
	}
	outcomes := make([]outcome, len(cases))
	for i := range cases {
		read := func(name string) string {
			text, err := os.ReadFile(filepath.Join(w.output(), fmt.Sprint(i), name))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		outcomes[i] = outcome{read("status"), read("stdout"), read("ahead"), read("stderr"), read("result"), read("failure")}
	}
	return outcomes
}

func (o outcome) check(t *testing.T, want runnerCase) {
	t.Helper()
	if o.status != fmt.Sprint(want.status) || o.stdout != want.stdout || strings.TrimSpace(o.result) != want.result {
		t.Errorf("status %s, stdout %.300q, result %q\nwant %d, %.300q, %q", o.status, o.stdout, o.result, want.status,
			want.stdout, want.result)
	}
	if o.ahead != want.ahead {
		t.Errorf("before its document came, it has printed %q, want %q", o.ahead, want.ahead)
	}
	quiet := want.status == 0 && want.stderr == ""
	if quiet && o.stderr != "" || !strings.Contains(o.stderr, want.stderr) || want.noStderr != "" &&
		strings.Contains(o.stderr, want.noStderr) {
		t.Errorf("stderr is %q", o.stderr)
	}
	var failure attune.Failure
	if o.failure != "" {
		if err := json.Unmarshal([]byte(o.failure), &failure); err != nil {
			t.Fatal(err)
		}
	}
	if failure.Error != want.failure.Error || failure.ErrorType != want.failure.ErrorType ||
		!strings.Contains(failure.Traceback, want.failure.Traceback) {
		t.Errorf("failure is %q, want %q", failure, want.failure)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for _, runner := range []attune.RunnerType{attune.RunnerPython, attune.RunnerNodeJS, attune.RunnerShell} {
		command := images.Command(attune.Action{RunnerType: runner, EntryPoint: "a/b.x"})
		if command[len(command)-1] != "actions/a/b.x" {
			t.Errorf("%s: %q", runner, command)
		}
	}
	command := images.Command(attune.Action{
		RunnerType: attune.RunnerPython, EntryPoint: "a.py", Function: "f", Preload: []string{"json", "./lib/b.py"},
	})
	want := []string{"--preload=json", "--preload=./lib/b.py", "actions/a.py", "f"}
	if !slices.Equal(command[len(command)-4:], want) {
		t.Errorf("with a function: %q", command)
	}
	if command := images.Command(attune.Action{RunnerType: "ruby", EntryPoint: "a.rb"}); command != nil {
		t.Errorf("unknown runner: %q", command)
	}
}
