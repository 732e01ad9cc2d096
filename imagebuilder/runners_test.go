package imagebuilder

import (
	"encoding/json"
	"errors"
	"fmt"
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
	// document replaces the usual one where it is not empty.
	document string

	status int
	stdout string
	// stderr must contain it; noStderr must not.
	stderr, noStderr string
	result           string
	failure          attune.Failure // Traceback must be contained
}

// document is what a case is given unless it says otherwise.
const document = `{"secrets":{"token":"s3cret"},"parameters":{"city":"Köln","days":3},
"execution":{"id":"e1","action":"weather.forecast","attempt":2,"env":{"LEVEL":"info"}}}`

var pythonCases = []runnerCase{
	{
		name: "run", code: "def run(parameters, secrets):\n  return {'p': parameters, 's': secrets['token'][:1]}",
		result: `{"p":{"city":"K\u00f6ln","days":3},"s":"s"}`,
	},
	{name: "main", code: "def main(*, parameters, secrets): return parameters['days']", result: "3"},
	{
		name: "named function", function: "forecast",
		code:   "def run(parameters, secrets): return 0\ndef forecast(city, days): return [city, days, len(secrets)]",
		result: `["K\u00f6ln",3,1]`,
	},
	{
		name: "named function is missing", function: "nothing", code: "def run(**k): pass", status: 1,
		failure: attune.Failure{Error: "actions/action.py has no function nothing", ErrorType: "AttributeError"},
	},
	{name: "script", code: "print(parameters['city'], secrets['token'], __name__)", stdout: "Köln s3cret __main__\n"},
	{
		name: "script with a guard", code: "def work(): print(parameters['days'])\nif __name__ == '__main__':\n  work()",
		stdout: "3\n",
	},
	{
		name:   "guard beside main",
		code:   "print('once', __name__)\ndef main(parameters, secrets): return 1\nif __name__ == '__main__': main()",
		stdout: "once action\n", result: "1",
	},
	{
		name:   "imported run",
		code:   "try:\n  from helper import run\nexcept ImportError: raise\nif __name__ == '__main__': raise SystemExit(9)",
		result: `"helped"`,
	},
	{
		name:   "async",
		code:   "import asyncio\nasync def run(parameters, secrets):\n  await asyncio.sleep(0)\n  return 'later'",
		result: `"later"`,
	},
	{name: "nothing returned", code: "def run(parameters, secrets): print('done')", stdout: "done\n"},
	{
		name: "environment", code: "import os\nfor k in ('ATTUNE_EXECUTION_ID', 'ATTUNE_ACTION_REF', 'ATTUNE_ATTEMPT', " +
			"'LEVEL'): print(os.environ[k])\nassert 's3cret' not in str(os.environ)",
		stdout: "e1\nweather.forecast\n2\ninfo\n",
	},
	{name: "stdin is empty", code: "import sys\nprint(repr(sys.stdin.read()))", stdout: "''\n"},
	{
		name: "exception", code: "class Trouble(Exception): pass\ndef run(parameters, secrets):\n  raise Trouble('too bad')",
		status: 1, stderr: "Trouble: too bad", noStderr: "run.py",
		failure: attune.Failure{Error: "too bad", ErrorType: "action.Trouble", Traceback: `line 3, in run`},
	},
	{
		name: "exception in async", code: "async def run(parameters, secrets): 1/0", status: 1, noStderr: "asyncio",
		failure: attune.Failure{Error: "division by zero", ErrorType: "ZeroDivisionError", Traceback: "in run"},
	},
	{
		name: "wrong parameters", function: "f", code: "def f(): pass", status: 1,
		failure: attune.Failure{Error: "f() got an unexpected keyword argument 'city'", ErrorType: "TypeError"},
	},
	{
		name: "syntax error", code: "def run(:", status: 1, stderr: "SyntaxError",
		failure: attune.Failure{Error: "invalid syntax (action.py, line 1)", ErrorType: "SyntaxError"},
	},
	{
		name: "not JSON", code: "def run(parameters, secrets): return {1, 2}", status: 1,
		failure: attune.Failure{
			Error:     "the action's return value is not JSON: Object of type set is not JSON serializable",
			ErrorType: "InvalidResult",
		},
	},
	{
		name: "not a number", code: "def run(parameters, secrets): return float('nan')", status: 1,
		failure: attune.Failure{
			Error:     "the action's return value is not JSON: Out of range float values are not JSON compliant",
			ErrorType: "InvalidResult",
		},
	},
	{name: "exit status", code: "import sys\nsys.exit(7)", status: 7},
	{
		name: "exit with words", code: "import sys\ndef run(parameters, secrets): sys.exit('no luck')", status: 1,
		stderr: "no luck",
	},
	{name: "exit without trouble", code: "import sys\ndef run(parameters, secrets): sys.exit()"},
	{
		name: "lingering thread", code: "import threading\ndef run(parameters, secrets):\n" +
			"  threading.Thread(target=threading.Event().wait).start()\n  print('left', end='')\n  return 1",
		stdout: "left", result: "1",
	},
	{name: "exit handlers", code: "import atexit\natexit.register(lambda: print('bye'))", stdout: "bye\n"},
	{
		name: "terminated", code: "import os, signal, time\ndef run(parameters, secrets):\n  try:\n" +
			"    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(60)\n  finally: print('cleaned')",
		stdout: "cleaned\n", status: 143,
	},
	{
		name: "dataclass and pickle", code: "import dataclasses, pickle\n@dataclasses.dataclass\nclass A:\n  n: int\n" +
			"def run(parameters, secrets): return pickle.loads(pickle.dumps(A(4))).n",
		result: "4",
	},
	{
		name: "named like a module", file: "json.py",
		code: "import json\ndef run(parameters, secrets): return json.loads('[1]')", result: "[1]",
	},
	{name: "result in bytes of any kind", code: "def run(parameters, secrets): return '\\ud800'", result: `"\ud800"`},
	{
		name: "imported ahead of the document", code: "import os\nprint('loaded')\n" +
			"known = 'ATTUNE_' + 'ATTEMPT' in os.environ\ndef run(parameters, secrets): return [known, parameters['days']]",
		stdout: "loaded\n", result: "[false,3]",
	},
	{
		name: "globals of a module", code: "city = parameters['city']\ndef run(parameters, secrets): return city",
		result: `"K\u00f6ln"`,
	},
	{
		name: "globals behind a function",
		code: "def days(): return parameters['days']\nthree = days()\ndef run(**given): return three", result: "3",
	},
	{
		name:   "variables at the top",
		code:   "import os\nattempt = os.environ['ATTUNE_ATTEMPT']\ndef run(parameters, secrets): return attempt",
		result: `"2"`,
	},
	{
		name: "exception while it is imported", code: "import os\ndef run(parameters, secrets): pass\nopen('/nothing')",
		status: 1, stderr: "No such file", noStderr: "run.py",
		failure: attune.Failure{
			Error: "[Errno 2] No such file or directory: '/nothing'", ErrorType: "FileNotFoundError",
			Traceback: "line 3, in <module>",
		},
	},
	{name: "exit while it is imported", code: "def run(parameters, secrets): pass\nraise SystemExit(7)", status: 7},
	{
		name: "stdin while it is imported", code: "import subprocess, sys\nread = sys.stdin.read() + " +
			"subprocess.run(['cat'], capture_output=True, text=True).stdout\ndef run(parameters, secrets): return read",
		result: `""`,
	},
	{
		name: "exception in an exit handler", code: "import atexit\natexit.register(lambda: 1/0)\nprint('end', end='')",
		stdout: "end", stderr: "ZeroDivisionError",
	},
	{
		name: "folder in sys.path", code: "import sys\nimport helper\nfrom actions import helper as same\n" +
			"print(sys.argv[0].endswith('actions/action.py'), len(sys.argv))",
		stdout: "True 1\n",
	},
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
type outcome struct{ status, stdout, stderr, result, failure string }

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
		for name, content := range map[string]string{
			"document":          text,
			"command":           strings.Join(images.Command(runner, c.file, c.function), "\n"),
			"actions/" + c.file: c.code + "\n",
			"actions/helper.py": "def run(parameters, secrets): return 'helped'\n",
		} {
			if err := writeFile(filepath.Join(w.inputs(), fmt.Sprint(i), name), strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := makeReadable(w.inputs()); err != nil {
		t.Fatal(err)
	}
	const script = `cd ` + inputsDir + `
for i in *; do
  out=` + outputDir + `/$i; mkdir "$out"; : > "$out/result"; : > "$out/failure"; cd "` + inputsDir + `/$i"
  mapfile -t command < command
  mkdir "$out/output"; export ATTUNE_OUTPUT=$out/output
  export ATTUNE_RESULT=$out/result ATTUNE_FAILURE=$out/failure
  timeout 30 "${command[@]}" < document > "$out/stdout" 2> "$out/stderr"
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
		outcomes[i] = outcome{read("status"), read("stdout"), read("stderr"), read("result"), read("failure")}
	}
	return outcomes
}

func (o outcome) check(t *testing.T, want runnerCase) {
	t.Helper()
	if o.status != fmt.Sprint(want.status) || o.stdout != want.stdout || strings.TrimSpace(o.result) != want.result {
		t.Errorf("status %s, stdout %.300q, result %q\nwant %d, %.300q, %q", o.status, o.stdout, o.result, want.status,
			want.stdout, want.result)
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
		command := images.Command(runner, "a/b.x", "")
		if command[len(command)-1] != "actions/a/b.x" {
			t.Errorf("%s: %q", runner, command)
		}
	}
	if command := images.Command(attune.RunnerPython, "a.py", "f"); !slices.Equal(command[len(command)-2:],
		[]string{"actions/a.py", "f"}) {
		t.Errorf("with a function: %q", command)
	}
	if command := images.Command("ruby", "a.rb", ""); command != nil {
		t.Errorf("unknown runner: %q", command)
	}
}
