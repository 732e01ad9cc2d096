package imagebuilder

import (
	"strings"

	"attune"
)

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
	{
		name:   "CommonJS object",
		code:   "module.exports = {greeting: 'hi', hello() { return this.greeting }, async run() { return this.hello() }}",
		result: `"hi"`,
	},
	{
		name: "default object", file: "a.mjs",
		code:   "export default new class { days = 1; main({parameters}) { return this.days + parameters.days } }",
		result: "4",
	},
	{
		name: "named function of an object", function: "forecast",
		code:   "module.exports = {days: 1, run() {}, forecast({parameters}) { return this.days + parameters.days }}",
		result: "4",
	},
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
		name: "cause", code: "exports.run = () => {\n  const cause = Object.assign(new Error('refused'), {port: 17})\n" +
			"  throw new RangeError('too bad', {cause})\n}",
		status: 1, stderr: "[cause]: Error: refused", noStderr: "node:",
		failure: attune.Failure{Error: "too bad\nrefused", ErrorType: "RangeError", Traceback: "port: 17"},
	},
	{
		name: "several errors", code: "exports.run = () => Promise.any([Promise.reject(new Error('a refused')), " +
			"Promise.reject('b is away')])",
		status: 1, stderr: "Error: a refused",
		failure: attune.Failure{
			Error: "All promises were rejected\na refused\nb is away", ErrorType: "AggregateError", Traceback: "[errors]",
		},
	},
	{
		name: "cause in a ring", code: "const e = new Error('round'); e.cause = e; exports.run = () => { throw e }",
		status: 1, failure: attune.Failure{Error: "round", ErrorType: "Error", Traceback: "[Circular"},
	},
	{
		name: "rejected object", code: "exports.run = () => Promise.reject({status: 404, body: {message: 'no order'}})",
		status: 1, stderr: "no order",
		failure: attune.Failure{Error: "{ status: 404, body: { message: 'no order' } }", ErrorType: "object"},
	},
	{
		name: "object without a prototype", code: "exports.run = () => { throw Object.create(null) }", status: 1,
		failure: attune.Failure{Error: "[Object: null prototype] {}", ErrorType: "object"},
	},
	{
		name: "message that throws", code: "exports.run = () => { throw Object.defineProperty(new Error(), 'message', " +
			"{get() { throw new RangeError('of the message') }}) }",
		status: 1, failure: attune.Failure{Error: "of the message", ErrorType: "RangeError"},
	},
	{
		name: "no network", code: "exports.run = async () => { await fetch('http://api.example/') }", status: 1,
		stderr: "network: egress",
		failure: attune.Failure{
			Error: "fetch failed\ngetaddrinfo EAI_AGAIN api.example\n" +
				"the action runs with network: none; network: egress in its file lets it reach the internet",
			ErrorType: "TypeError", Traceback: "hostname: 'api.example'",
		},
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
		name: "not JSON", code: "const ring = {}; ring.of = ring; exports.run = () => ring", status: 1,
		failure: attune.Failure{
			Error:     "the action's return value is not JSON: Converting circular structure to JSON",
			ErrorType: "InvalidResult",
		},
	},
	{
		name: "long integers", document: `{"parameters":{"id":1234567890123456789,"low":-9007199254740993,` +
			`"safe":9007199254740991,"text":"1234567890123456789","f":1.0,"e":1e21}}`,
		code:   "exports.run = ({parameters}) => { console.log(String(parameters.id)); return parameters }",
		stdout: "1234567890123456789\n", result: `{"id":1234567890123456789,"low":-9007199254740993,` +
			`"safe":9007199254740991,"text":"1234567890123456789","f":1,"e":1e+21}`,
	},
	{
		name: "too large a number", document: `{"parameters":{"n":1e400}}`, code: "console.log('never')", status: 1,
		failure: attune.Failure{Error: "the number 1e400 is too large for JavaScript", ErrorType: "RangeError"},
	},
	{
		name: "broken document", document: `{"secrets":{"token":"s3cret`, code: "console.log('never')", status: 1,
		noStderr: "s3cret", failure: attune.Failure{Error: "the document on stdin cannot be read", ErrorType: "Error"},
	},
	{
		name: "half a surrogate pair", code: `exports.run = () => ({'k\udc00': ['a\ud800', '\\ud800', '\ud83d\ude00']})`,
		result: `{"k�":["a�","\\ud800","😀"]}`,
	},
	{
		name: "a function", code: "exports.run = () => () => 1", status: 1,
		failure: attune.Failure{Error: "the action's return value is not JSON: it is a function", ErrorType: "InvalidResult"},
	},
	{
		name: "nothing runs ahead", code: "console.log('loaded'); const known = 'ATTUNE_' + 'ATTEMPT' in process.env\n" +
			"exports.run = ({parameters}) => [known, parameters.days]",
		stdout: "loaded\n", result: "[true,3]",
	},
	{
		name:   "script that mentions exports",
		code:   "// Nightly job: exports the figures.\nconsole.log(process.env['ATTUNE_' + 'ATTEMPT'])",
		stdout: "2\n",
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
	{
		name: "preload by CommonJS", preload: []string{"both", "./lib/heavy.js", "node:zlib"},
		code:  "exports.run = ({parameters}) => [require('both'), require('../lib/heavy.js').value, parameters.days]",
		ahead: "required\nheavy false\n", stdout: "required\nheavy false\n", result: "[2,7,3]",
	},
	{
		name: "preload by an ES module", file: "a.mjs", preload: []string{"both", "./lib/heavy.js"},
		code:  "import both from 'both'; import {value} from '../lib/heavy.js'; export const run = () => [both, value]",
		ahead: "imported\nheavy false\n", stdout: "imported\nheavy false\n", result: "[1,7]",
	},
	{
		name: "exception in a preload", preload: []string{"./lib/throws.mjs"}, code: "console.log('never')", status: 1,
		stderr: "RangeError: too early", noStderr: "run.mjs",
		failure: attune.Failure{Error: "too early", ErrorType: "RangeError", Traceback: "throws.mjs:1"},
	},
	{
		name: "exit in a preload", preload: []string{"./lib/exits.js"}, code: "console.log('never')", ahead: "before\n",
		stdout: "before\n", status: 5,
	},
	{name: "exit while it is imported", code: "exports.run = () => 1; process.exit(7)", status: 7},
	{
		name: "stdin while it is imported", code: "const read = require('fs').readFileSync(0, 'utf8') + " +
			"require('child_process').execSync('cat', {stdio: 'pipe'}); exports.run = () => read",
		result: `""`,
	},
	{name: "no output folder", code: "require('fs').rmdirSync(process.env.ATTUNE_OUTPUT)"},
	{
		name:   "work left behind",
		code:   "exports.run = () => { setTimeout(() => console.log('later'), 20); return 1 }",
		stdout: "later\n", result: "1",
	},
	{
		name: "exception in work left behind",
		code: "exports.run = () => { setTimeout(() => { throw new Error('late') }, 20); return 1 }", status: 1, result: "1",
		failure: attune.Failure{Error: "late", ErrorType: "Error"},
	},
	{
		name: "work left behind for long", code: "exports.run = () => { setTimeout(() => {}, 5500) }",
		stderr: "attune: the action has returned; waiting for what it left open: 1 Timeout\n",
	},
	{
		name: "work left behind is cut off", code: "exports.run = () => { setInterval(() => {}, 1000); " +
			"setImmediate(() => process.kill(process.pid, 'SIGTERM')); return 1 }",
		status: 143, stderr: "attune: cut off before the end of 1 Timeout\n", result: "1",
	},
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
	{
		name: "orphans are reaped", code: `const { execSync, spawnSync } = require('child_process')
const zombies = () => execSync("grep -sl '^State:.Z' /proc/[0-9]*/status | wc -l", { encoding: 'utf8' }).trim()
exports.run = () => {
  for (let i = 0; i < 20; i++) spawnSync('sh', ['-c', 'sleep 0.01 & exit 0'])
  for (const end = Date.now() + 10000; zombies() !== '0' && Date.now() < end;);
  return zombies()
}
`,
		result: `"0"`,
	},
}
