package imagebuilder

import "attune"

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
		name:   "guard beside main",
		code:   "print('once', __name__)\ndef main(parameters, secrets): return 1\nif __name__ == '__main__': main()",
		stdout: "once action\n", result: "1",
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
	{
		name:   "half of a surrogate pair",
		code:   "def run(parameters, secrets): return ['\\ud800', '\\ud83d\\ude00', 'ü', '\\\\ud']",
		result: "[\"\ufffd\",\"😀\",\"ü\",\"\\\\ud\"]",
	},
	{
		name: "half of a surrogate pair in an exception", code: "def run(**given): raise ValueError('\\udfff')", status: 1,
		failure: attune.Failure{Error: "\ufffd", ErrorType: "ValueError"},
	},
	{
		name: "globals of a module", code: "city = parameters['city']\ndef run(parameters, secrets): return city",
		result: `"K\u00f6ln"`,
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
	{
		name: "imported run", code: "from subprocess import run\nrun(['echo', 'deployed'], check=True)",
		stdout: "deployed\n",
	},
	{
		name: "helper called run", code: "import subprocess\ndef run(cmd): return subprocess.run(cmd, text=True, " +
			"stdout=subprocess.PIPE).stdout\nprint(run(['echo', 'deployed']), end='')", stdout: "deployed\n",
	},
	{
		name:   "helper called for a variable",
		code:   "def run(word): print(word)\ndef deploy(): run('deployed')\ndone = [deploy()]",
		stdout: "deployed\n",
	},
	{
		name:   "imported asyncio.run",
		code:   "from asyncio import run, sleep\nasync def job():\n  await sleep(0.01)\n  print('job done')\nrun(job())",
		stdout: "job done\n",
	},
	{
		name: "main behind a guard", code: "import argparse\ndef main():\n  argparse.ArgumentParser().parse_args()\n" +
			"  print('doing the work')\nif __name__ == '__main__':\n  main()",
		stdout: "doing the work\n",
	},
	{name: "any keywords", code: "def run(**given): return sorted(given)", result: `["parameters","secrets"]`},
	{name: "more with a default", code: "def run(secrets, parameters, tries=3): return tries", result: "3"},
	{
		name: "defined in a condition", code: "try: import tomllib\nexcept ImportError: tomllib = None\nif tomllib:\n" +
			"  def run(parameters, secrets): return 1\nelse:\n  def run(parameters, secrets): return 2",
		result: "1",
	},
	{name: "another name of a function", code: "def f(parameters, secrets): return 4\nrun = f", result: "4"},
	{name: "lambda", code: "main = lambda parameters, secrets: 5", result: "5"},
	{
		name: "run with other arguments beside main",
		code: "def run(cmd): return 1\ndef main(parameters, secrets): return run(0)", result: "1",
	},
	{
		name: "run that does not take what it is given", code: "import logging\nlog = logging.getLogger()\n\n" +
			"def run(city, days): pass",
		status: 1, stderr: "NotCallable: actions/action.py:4: run() is called", failure: attune.Failure{
			Error: "actions/action.py:4: run() is called with the keywords parameters and secrets, and does not take them: " +
				"write def run(parameters, secrets), or name it as the entry point, action.py:run, to be called with each " +
				"parameter by its name",
			ErrorType: "NotCallable",
		},
	},
	{
		name: "threads are waited for", code: "import threading, time\ndef upload(n):\n  time.sleep(0.05)\n" +
			"  print('uploaded', n)\nthreading.Thread(target=upload, args=(1,)).start()\nprint('started')",
		stdout: "started\nuploaded 1\n",
	},
	{
		name: "futures are waited for", code: "from concurrent.futures import ThreadPoolExecutor\nimport time\n" +
			"pool = ThreadPoolExecutor(1)\ndef upload(n):\n  time.sleep(0.05)\n  print('uploaded', n)\n" +
			"def run(parameters, secrets):\n  for n in range(2): pool.submit(upload, n)\n  return 'submitted'",
		stdout: "uploaded 0\nuploaded 1\n", result: `"submitted"`,
	},
	{
		name: "threads are waited for after an exception", code: "import threading, time\ndef upload():\n" +
			"  time.sleep(0.05)\n  print('uploaded')\ndef run(parameters, secrets):\n" +
			"  threading.Thread(target=upload).start()\n  1/0",
		stdout: "uploaded\n", status: 1,
		failure: attune.Failure{Error: "division by zero", ErrorType: "ZeroDivisionError", Traceback: "line 7, in run"},
	},
	{
		name: "threads are cut off", code: "import os, signal, threading\ndef run(parameters, secrets):\n" +
			"  threading.Thread(target=threading.Event().wait, name='endless').start()\n" +
			"  threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()\n  return 1",
		status: 143, result: "1", stderr: "attune: cut off before the end of the threads endless",
	},
	{
		name: "threads are cut off with the action", code: "import os, signal, threading, time\n" +
			"def run(parameters, secrets):\n  threading.Thread(target=threading.Event().wait, name='endless').start()\n" +
			"  os.kill(os.getpid(), signal.SIGTERM)\n  time.sleep(60)",
		status: 143, stderr: "attune: cut off before the end of the threads endless",
	},
	{
		name: "daemons are not waited for", code: "import threading\ndef run(parameters, secrets):\n" +
			"  threading.Thread(target=threading.Event().wait, daemon=True).start()\n  return 1",
		result: "1",
	},
	{
		name: "terminated with what it has started", code: "import os, signal, subprocess\ndef run(parameters, secrets):\n" +
			"  child = subprocess.Popen(['sh', '-c', 'echo; exec sleep 60'], stdout=subprocess.PIPE)\n" +
			"  child.stdout.readline()\n  try:\n    os.kill(os.getppid(), signal.SIGTERM)\n    signal.pause()\n" +
			"  finally: print(child.wait())",
		status: 143, stdout: "-15\n",
	},
	{
		name: "orphans are reaped", code: `import subprocess, time
def run(parameters, secrets):
  for _ in range(20): subprocess.run(['sh', '-c', 'sleep 0.01 & exit 0'], capture_output=True)
  end = time.monotonic() + 10
  while zombies() and time.monotonic() < end: time.sleep(0.01)
  return zombies()
def zombies(): return subprocess.getoutput("grep -sl '^State:.Z' /proc/[0-9]*/status | wc -l")
`,
		result: `"0"`,
	},
	{
		name: "exception whose text cannot be made", code: "import os\nclass ApiError(Exception):\n" +
			"  def __str__(self): return self.status\ndef run(parameters, secrets):\n" +
			"  open(os.environ['ATTUNE_OUTPUT'] + '/partial.csv', 'w').write('x')\n  raise ApiError()",
		status: 1, stderr: "ApiError: <exception str() failed>", noStderr: "run.py",
		failure: attune.Failure{Error: "<exception str() failed>", ErrorType: "action.ApiError", Traceback: "line 6"},
	},
	{
		name: "exception of a file named like a module", file: "token.py",
		code: "def run(parameters, secrets): raise ValueError('the real problem')", status: 1, noStderr: "run.py",
		failure: attune.Failure{Error: "the real problem", ErrorType: "ValueError", Traceback: "token.py"},
	},
	{
		name: "processes spawned from a file with dashes", file: "my-action.py", code: "import multiprocessing\n" +
			"def double(n): return 2 * n\ndef run(parameters, secrets):\n" +
			"  with multiprocessing.get_context('spawn').Pool(1) as pool: return pool.map(double, [1, 2])",
		result: "[2,4]",
	},
	{
		name: "processes spawned from a file named like a module", file: "socket.py", code: "import multiprocessing\n" +
			"def double(n): return 2 * n\ndef run(parameters, secrets):\n" +
			"  with multiprocessing.get_context('spawn').Pool(1) as pool: return pool.map(double, [1, 2])",
		result: "[2,4]",
	},
	{
		name: "processes spawned from a script", file: "my-script.py", code: "import multiprocessing\n" +
			"def double(n): return 2 * n\nif __name__ == '__main__':\n" +
			"  with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(double, [1, 2]))",
		stdout: "[2, 4]\n",
	},
	{
		name: "nothing runs ahead", code: "import os\nfrom lib.heavy import value\nprint('loaded')\n" +
			"def run(parameters, secrets): return ['ATTUNE_ATTEMPT' in os.environ, value]",
		stdout: "heavy True\nloaded\n", result: "[true,7]",
	},
	{
		name: "preload", preload: []string{"json", "./lib/heavy.py"},
		code:   "from lib.heavy import value\nprint('loaded')\ndef run(parameters, secrets): return value",
		stdout: "heavy False\nloaded\n", ahead: "heavy False\n", result: "7",
	},
	{
		name: "preload of a neighbor", preload: []string{"./actions/helper.py"},
		code: "import sys\nknown = 'helper' in sys.modules\ndef run(parameters, secrets): return known", result: "true",
	},
	{
		name: "preload that raises", preload: []string{"./lib/raises.py"}, code: "print('never')", status: 1,
		noStderr: "run.py", failure: attune.Failure{
			Error: "division by zero", ErrorType: "ZeroDivisionError", Traceback: "lib/raises.py\", line 1",
		},
	},
	{
		name: "preload that exits", preload: []string{"./lib/exits.py"}, code: "print('never')", status: 5,
		stdout: "before\n", ahead: "before\n",
	},
	{
		name: "preload of nothing", preload: []string{"no_such_module"}, code: "print('never')", status: 1,
		failure: attune.Failure{Error: "No module named 'no_such_module'", ErrorType: "ModuleNotFoundError"},
	},
	{
		name: "time zone", env: []string{"TZ=Europe/Berlin"}, code: "import time, zoneinfo\ndef run(parameters, secrets):\n" +
			"  return [time.strftime('%H:%M %z %Z', time.localtime(1720000000)), str(zoneinfo.ZoneInfo('UTC'))]",
		result: `["11:46 +0200 CEST","UTC"]`,
	},
}
