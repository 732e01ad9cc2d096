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

var nodeCases = []runnerCase{
	{
		name: "run", file: "a.mjs",
		code:   "export const run = ({parameters, secrets}) => ({p: parameters, s: secrets.token[0]})",
		result: `{"p":{"city":"Köln","days":3},"s":"s"}`,
	},
	{
		name: "main", file: "a.mjs", code: "export async function main({parameters}) { return parameters.days }", result: "3",
	},
	{name: "default", file: "a.mjs", code: "export default async ({parameters}) => [parameters.days]", result: "[3]"},
	{name: "CommonJS function", code: "module.exports = ({parameters}) => parameters.days", result: "3"},
	{
		name: "CommonJS export", file: "a.cjs", code: "exports.run = async ({parameters}) => parameters.city",
		result: `"Köln"`,
	},
	{name: "CommonJS object", code: "const o = {run() { return 1 }}; module.exports = Object.assign({}, o)", result: "1"},
	{
		name: "modern syntax in .js", code: "import os from 'node:os'; export function run() { return typeof os.cpus }",
		result: `"function"`,
	},
	{
		name: "named function", function: "forecast",
		code: "exports.run = () => 0; exports.forecast = ({parameters}) => parameters.days", result: "3",
	},
	{
		name: "named function is missing", function: "nothing", code: "exports.run = () => 0", status: 1,
		failure: attune.Failure{Error: "actions/action.js exports no function nothing", ErrorType: "TypeError"},
	},
	{
		name: "nothing to call", code: "exports.value = 1", status: 1,
		failure: attune.Failure{
			Error: "actions/action.js exports neither run nor main, and no function by default", ErrorType: "TypeError",
		},
	},
	{
		name: "script", code: "console.log(parameters.city, secrets.token); setTimeout(() => console.log('later'), 20)",
		stdout: "Köln s3cret\nlater\n",
	},
	{name: "module script", file: "a.mjs", code: "await null; console.log(parameters.days)", stdout: "3\n"},
	{name: "exit code of a script", code: "process.exitCode = 5", status: 5},
	{name: "exit", code: "exports.run = () => process.exit(6)", status: 6},
	{name: "nothing returned", code: "exports.run = () => { console.log('done') }", stdout: "done\n"},
	{name: "null", code: "exports.run = () => null"},
	{
		name: "environment", code: "const e = process.env; console.log(e.ATTUNE_EXECUTION_ID, e.ATTUNE_ACTION_REF, " +
			"e.ATTUNE_ATTEMPT, e.LEVEL, JSON.stringify(e).includes('s3cret'))",
		stdout: "e1 weather.forecast 2 info false\n",
	},
	{name: "stdin is empty", code: "console.log(JSON.stringify(require('fs').readFileSync(0, 'utf8')))", stdout: "\"\"\n"},
	{
		name: "exception", code: "exports.run = function run() { throw new RangeError('too bad') }", status: 1,
		stderr: "RangeError: too bad", noStderr: "run.mjs",
		failure: attune.Failure{Error: "too bad", ErrorType: "RangeError", Traceback: "action.js:1"},
	},
	{
		name: "thrown text", code: "exports.run = async () => { throw 'text' }", status: 1,
		failure: attune.Failure{Error: "text", ErrorType: "string"},
	},
	{
		name: "unhandled rejection",
		code: "exports.run = () => { Promise.reject(new Error('lost')); return new Promise(() => {}) }", status: 1,
		failure: attune.Failure{Error: "lost", ErrorType: "Error"},
	},
	{
		name: "never settles", code: "exports.run = () => new Promise(() => {})", status: 1, noStderr: "run.mjs",
		failure: attune.Failure{
			Error: "nothing is left to do, and the promise that the action returned has not settled", ErrorType: "Error",
		},
	},
	{
		name: "syntax error", file: "a.mjs", code: "export function (", status: 1,
		stderr: "actions/a.mjs:1\nexport function (", noStderr: "node:internal",
		failure: attune.Failure{Error: "Function statements require a function name", ErrorType: "SyntaxError"},
	},
	{
		name: "not JSON", code: "exports.run = () => ({n: 1n})", status: 1,
		failure: attune.Failure{
			Error: "the action's return value is not JSON: Do not know how to serialize a BigInt", ErrorType: "InvalidResult",
		},
	},
	{
		name: "a function", code: "exports.run = () => () => 1", status: 1,
		failure: attune.Failure{Error: "the action's return value is not JSON: it is a function", ErrorType: "InvalidResult"},
	},
	{
		name: "imported ahead of the document", code: "console.log('loaded'); const known = 'ATTUNE_' + 'ATTEMPT' in " +
			"process.env; exports.run = ({parameters}) => [known, parameters.days]",
		stdout: "loaded\n", result: "[false,3]",
	},
	{
		name: "globals of a module", file: "a.mjs",
		code:   "const city = parameters.city; export const run = () => [city, process.env.LEVEL, parameters.days]",
		result: `["Köln","info",3]`,
	},
	{
		name: "variables at the top", code: "const attempt = process.env.ATTUNE_ATTEMPT; exports.run = () => attempt",
		result: `"2"`,
	},
	{
		name: "exception while it is imported", file: "a.mjs",
		code: "export const run = () => 1\nthrow new RangeError('too bad')", status: 1, stderr: "RangeError: too bad",
		noStderr: "run.mjs", failure: attune.Failure{Error: "too bad", ErrorType: "RangeError", Traceback: "a.mjs:2"},
	},
	{name: "exit while it is imported", code: "exports.run = () => 1; process.exit(7)", status: 7},
	{
		name: "stdin while it is imported", code: "const read = require('fs').readFileSync(0, 'utf8') + " +
			"require('child_process').execSync('cat', {stdio: 'pipe'}); exports.run = () => read",
		result: `""`,
	},
	{name: "no output folder", code: "require('fs').rmdirSync(process.env.ATTUNE_OUTPUT)"},
	{name: "lingering timer", code: "exports.run = () => { setInterval(() => {}, 1000); return 1 }", result: "1"},
	{
		name: "terminated",
		code: "exports.run = () => { process.kill(process.pid, 'SIGTERM'); return new Promise((r) => setTimeout(r, " +
			"60000)) }",
		status: 143,
	},
	{
		name: "much output", code: "exports.run = () => { console.log('x'.repeat(1 << 20)); return 1 }",
		stdout: strings.Repeat("x", 1<<20) + "\n", result: "1",
	},
}

var shellCases = []runnerCase{
	{name: "parameters and secrets", code: `echo "$PARAM_city $PARAM_days $SECRET_token"`, stdout: "Köln 3 s3cret\n"},
	{
		name: "not exported", code: `env | grep -cE 'PARAM|SECRET|s3cret'; bash -c 'echo "[$SECRET_token]"'`,
		stdout: "0\n[]\n",
	},
	{
		name: "environment", code: `bash -c 'echo "$ATTUNE_EXECUTION_ID $ATTUNE_ACTION_REF $ATTUNE_ATTEMPT $LEVEL"'`,
		stdout: "e1 weather.forecast 2 info\n",
	},
	{name: "result", code: `echo '{"ok":true}' > "$ATTUNE_RESULT"`, result: `{"ok":true}`},
	{name: "no output folder", code: "rmdir $ATTUNE_OUTPUT"},
	{name: "exit status", code: "exit 7", status: 7},
	{name: "last command", code: "false", status: 1},
	{name: "returns", code: "return 4", status: 4},
	{name: "strict mode", code: "set -euo pipefail\nfalse\necho never", status: 1},
	{
		name: "unset under strict mode", code: "set -u\necho ${attune_pairs-none} ${attune_script-none}",
		stdout: "none none\n",
	},
	{
		name: "names of the script", code: `echo "$0 ${BASH_SOURCE[0]} $#"`,
		stdout: "actions/action.sh actions/action.sh 0\n",
	},
	{name: "stdin is empty", code: `read -r line; echo "$? [$line]"`, stdout: "1 []\n"},
	{name: "exit trap", code: "trap 'echo bye' EXIT\nexit 3", stdout: "bye\n", status: 3},
	{name: "terminated", code: "kill -TERM $$\nsleep 60", status: 143},
	{
		name: "terminated with a trap",
		code: "trap 'echo cleaned; exit 5' TERM\nkill -TERM $$\nfor i in {1..600}; do sleep 0.1; done", stdout: "cleaned\n",
		status: 5,
	},
	{
		name: "hostile values", document: `{"parameters":{"quotes":"a'b\"c` + "`d`" + `$(touch /tmp/pwned)\\",
			"lines":"x\ny\n","nul":"a\u0000SECRET_fake\u0000b","glob":"*","json":{"a":[1,null,true,"x y"]},
			"big":12.5,"no":false,"none":null,"empty":""},"secrets":{"k":"-n"},"execution":{"env":{}}}`,
		code: `printf '<%s>' "$PARAM_quotes" "$PARAM_lines" "$PARAM_nul" "$PARAM_glob" "$PARAM_json" "$PARAM_big" ` +
			`"$PARAM_no" "$PARAM_none" "$PARAM_empty" "$SECRET_k" "${SECRET_fake-unset}"; ls /tmp/pwned`,
		stdout: "<a'b\"c`d`$(touch /tmp/pwned)\\><x\ny\n" +
			"><aSECRET_fakeb><*><{\"a\":[1,null,true,\"x y\"]}><12.5><false><null><><-n><unset>",
		status: 2, stderr: "No such file",
	},
	{
		name: "names that bash would run", document: `{"parameters":{"a[$(touch /tmp/pwned2)]":"1","dry-run":true,` +
			`"x y":"mapped","x_y":"exact"},"execution":{"env":{"SECRET_s":"leak","PARAM_x_y":"leak",` +
			`"bad name":"1"}},"secrets":{"s":"v"}}`,
		code:   `echo "$PARAM_dry_run $PARAM_x_y $SECRET_s"; env | grep -cE 'SECRET_s|PARAM'; ls /tmp/pwned2`,
		stdout: "true exact v\n0\n", status: 2, stderr: "No such file",
	},
	{name: "broken document", document: "{", code: "echo never", status: 1, stderr: "cannot be read"},
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
