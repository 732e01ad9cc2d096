// Runs one action written in JavaScript; the first process of its sandbox.
//
//     node run.mjs actions/forecast.js [function]
//
// The document on stdin is {"secrets": {}, "parameters": {}, "execution": {"id", "action", "attempt", "env"}}. Secrets
// stay in memory: they are never put into the environment, the arguments or a file. Node.js 20 or newer.
//
// All that does not need the document is done before it is read: a sandbox may wait for it long before its execution exists.

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const resultFile = process.env.ATTUNE_RESULT ?? '/run/attune/result';
const failureFile = process.env.ATTUNE_FAILURE ?? '/run/attune/failure';
const self = fileURLToPath(import.meta.url);

// What the host keeps of a failure.
const maxError = 8 << 10;
const maxTraceback = 48 << 10;

// InvalidResult: the action returned something that JSON cannot express.
class InvalidResult extends Error {
  name = 'InvalidResult';
}

// The action finds an empty stdin: the lowest free descriptor is the one just closed.
const stdin = openSync('/proc/self/fd/0', 'r');
closeSync(0);
openSync('/dev/null', 'r');

// given reads the document, once, and sets what depends on it. Until it comes, everything waits.
let document;
function given() {
  if (document) return document;
  document = JSON.parse(readFileSync(stdin, 'utf8'));
  closeSync(stdin);
  const { id = '', action = '', attempt = '', env } = document.execution ?? {};
  Object.assign(process.env, env ?? {}, {
    ATTUNE_EXECUTION_ID: String(id),
    ATTUNE_ACTION_REF: String(action),
    ATTUNE_ATTEMPT: String(attempt),
  });
  for (const key of ['parameters', 'secrets']) {
    Object.defineProperty(globalThis, key, { value: document[key] ?? {}, writable: true, enumerable: true, configurable: true });
  }
  return document;
}

// A file that is imported ahead and uses these at its top level waits there.
for (const key of ['parameters', 'secrets']) {
  Object.defineProperty(globalThis, key, {
    get: () => (given(), globalThis[key]),
    set: (value) => { given(); globalThis[key] = value; },
    enumerable: true, configurable: true,
  });
}

// independent reports whether a file can be imported before its execution exists: it exports something, so it is not a
// script that works at once, and it does not mention the variables that only the document has.
function independent(path, name) {
  const text = readFileSync(path, 'utf8');
  const exporting = name || /^\s*export\b|\bexports\b/m.test(text);
  return exporting && !/\bATTUNE_(EXECUTION_ID|ACTION_REF|ATTEMPT)\b/.test(text);
}

// entry finds what to call; undefined means that the module was a script and has done its work.
function entry(module, path, name) {
  const exported = (key) => module[key] ?? module.default?.[key];
  if (name) {
    if (typeof exported(name) === 'function') return exported(name);
    throw new TypeError(`${relative('', path)} exports no function ${name}`);
  }
  for (const candidate of [exported('run'), exported('main'), module.default]) {
    if (typeof candidate === 'function') return candidate;
  }
  // A CommonJS file without exports shows an empty object as its default export, under two names.
  const keys = Object.keys(module).filter((key) => key !== 'default' && key !== 'module.exports');
  const fallback = module.default;
  if (keys.length > 0 || (fallback !== undefined && Object.keys(Object(fallback)).length > 0)) {
    throw new TypeError(`${relative('', path)} exports neither run nor main, and no function by default`);
  }
  return undefined;
}

// Neither undefined nor null is a result; both leave the file empty.
function writeResult(value) {
  if (value === undefined || value === null) return;
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new InvalidResult(`the action's return value is not JSON: ${error.message.split('\n')[0]}`);
  }
  if (text === undefined) {
    throw new InvalidResult(`the action's return value is not JSON: it is a ${typeof value}`);
  }
  writeFileSync(resultFile, text);
}

// misspelled returns the location of a syntax error in the action's file: file, line, code and a mark below it. Node
// shows the location in an ES module only for an uncaught error, so a second Node checks the file.
function misspelled(thrown) {
  if (!(thrown instanceof SyntaxError) || thrown.stack.includes(`${path}:`)) return '';
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8', timeout: 10_000 });
  const end = (stderr ?? '').search(/\n\s*SyntaxError: /);
  return end < 0 ? '' : `${stderr.slice(0, end).trimEnd()}\n\n`;
}

// diskFull reports whether the action has no space left: an exception says so, or /tmp or the folder of its output is full.
function diskFull(thrown) {
  for (let i = 0; i < 16 && thrown; i++, thrown = thrown.cause) {
    if (thrown.code === 'ENOSPC') return true;
  }
  return ['/tmp', dirname(failureFile)].some((folder) => {
    const { bavail, ffree } = statfsSync(folder);
    return bavail === 0 || ffree === 0;
  });
}

// fail writes the exception to the failure file and its traceback to stderr, and ends the process.
function fail(thrown) {
  given(); // An end before it belongs to the execution that gets this sandbox.
  settled = true;
  const isError = thrown instanceof Error;
  const stack = (isError && thrown.stack) || String(thrown);
  // The action's own frames; around them lie this file and Node itself.
  const lines = stack.split('\n').filter((line) => !/^\s+at .*\bnode:/.test(line));
  const end = lines.findIndex((line) => /^\s+at /.test(line) && line.includes(self));
  const traceback = misspelled(thrown) + (end < 0 ? lines : lines.slice(0, end)).join('\n');
  process.stderr.write(`${traceback}\n`);
  const failure = {
    error: (isError ? thrown.message : String(thrown)).slice(0, maxError),
    error_type: isError ? thrown.name || thrown.constructor.name : typeof thrown,
    traceback: traceback.slice(0, maxTraceback),
    disk_full: diskFull(thrown),
  };
  writeFileSync(failureFile, JSON.stringify(failure));
  failed = true;
  process.exit(1);
}

let settled = false;
let failed = false;
process.on('exit', (status) => {
  given();
  if (status !== 0 && !failed && diskFull()) writeFileSync(failureFile, JSON.stringify({ disk_full: true }));
});
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
process.on('SIGTERM', () => {
  // The kernel withholds SIGTERM from the first process of a sandbox unless it asks for it. An action that listens
  // itself decides itself.
  if (process.listenerCount('SIGTERM') === 1) process.exit(143);
});
process.on('beforeExit', () => {
  if (!settled) fail(new Error('nothing is left to do, and the promise that the action returned has not settled'));
});

const path = resolve(process.argv[2]);
const name = process.argv[3] ?? '';
process.argv.splice(1, process.argv.length, path);

// start is not awaited, so that Node has nothing to say of this file when the action never settles.
async function start() {
  if (!independent(path, name)) given();
  const module = await import(pathToFileURL(path));
  given();
  const action = entry(module, path, name);
  if (action === undefined) {
    settled = true;
    return; // A script ends when it has nothing left to do.
  }
  writeResult(await action({ parameters: globalThis.parameters, secrets: globalThis.secrets }));
  settled = true;
  // Timers and sockets that the action left behind do not hold it.
  process.exit();
}

start().catch(fail);
