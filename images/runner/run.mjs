// Runs one action written in JavaScript.
//
//     node run.mjs [--preload=got ...] actions/forecast.js [function]
//
// The document on stdin is {"secrets": {}, "parameters": {}, "execution": {"id", "action", "attempt", "env"}}. Secrets
// stay in memory: they are never put into the environment, the arguments or a file. Node.js 22.15 or newer.
//
// A sandbox may wait for its document long before its execution exists. Until then nothing of the pack runs, but for
// what the action names under preload.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { createRequire, registerHooks } from 'node:module';
import { networkInterfaces } from 'node:os';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inspect } from 'node:util';

const resultFile = process.env.ATTUNE_RESULT ?? '/run/attune/result';
const failureFile = process.env.ATTUNE_FAILURE ?? '/run/attune/failure';
const self = fileURLToPath(import.meta.url);

// What the host keeps of a failure.
const maxError = 8 << 10;
const maxTraceback = 48 << 10;
// What is said of an error's causes.
const maxChain = 16;

// How long an action is waited for in silence after it has returned, in milliseconds.
const patience = 5000;

// InvalidResult: the action returned something that JSON cannot express.
class InvalidResult extends Error {
  name = 'InvalidResult';
}

// The action finds an empty stdin: the lowest free descriptor is the one just closed.
const stdin = openSync('/proc/self/fd/0', 'r');
closeSync(0);
openSync('/dev/null', 'r');

// given waits for the document, once, and sets what depends on it.
let waiting = true;
function given() {
  if (!waiting) return;
  waiting = false;
  const text = readFileSync(stdin, 'utf8');
  closeSync(stdin);
  const document = decode(text);
  const { id = '', action = '', attempt = '', env } = document.execution ?? {};
  Object.assign(process.env, env ?? {}, {
    ATTUNE_EXECUTION_ID: String(id),
    ATTUNE_ACTION_REF: String(action),
    ATTUNE_ATTEMPT: String(attempt),
  });
  globalThis.parameters = document.parameters ?? {};
  globalThis.secrets = document.secrets ?? {};
}

function decode(text) {
  try {
    // Without numbers for exact to look at, without its cost: 0.1 s for each MiB of short ones.
    return JSON.parse(text, /\d{16}|\d[eE]/.test(text) ? exact : undefined);
  } catch (problem) {
    // What JSON.parse says quotes the document.
    throw problem instanceof RangeError ? problem : new Error('the document on stdin cannot be read');
  }
}

// exact makes a BigInt of an integer beyond 2^53 - 1, where a Number has lost digits, and refuses what is none.
function exact(key, value, { source }) {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  if (/^-?\d+$/.test(source)) return BigInt(source);
  if (!Number.isFinite(value)) throw new RangeError(`the number ${source} is too large for JavaScript`);
  return value;
}

// preload imports what the action's preload names: files of the pack as ./lib/models.js, and packages, in the variant
// that the action's own import or require takes.
async function preload(names) {
  if (names.length === 0) return;
  const [here, action] = [import.meta.url, pathToFileURL(path).href];
  const hooks = registerHooks({
    resolve: (specifier, { parentURL, ...context }, next) => (
      next(specifier, { ...context, parentURL: parentURL === here ? action : parentURL })),
  });
  const load = isModule() ? (specifier) => import(specifier) : createRequire(path);
  for (const specifier of names) {
    await (specifier.startsWith('./') ? import(pathToFileURL(resolve(specifier))) : load(specifier));
  }
  hooks.deregister();
}

// isModule reports whether the name of the action's file says that it is an ES module.
function isModule() {
  if (!path.endsWith('.js')) return path.endsWith('.mjs');
  return existsSync('package.json') && JSON.parse(readFileSync('package.json', 'utf8')).type === 'module';
}

// entry returns a function that calls what the file exports, on the object that has it, or undefined for a script,
// which has done its work.
function entry(module) {
  for (const key of name ? [name] : ['run', 'main']) {
    // A CommonJS file has its exports in its default export, and only some of them beside it.
    const owner = [module.default, module].find((object) => typeof object?.[key] === 'function');
    if (owner) return (input) => owner[key](input);
  }
  const file = relative('', path);
  if (name) throw new TypeError(`${file} exports no function ${name}`);
  if (typeof module.default === 'function') return module.default;
  if (exportsAnything(module)) throw new TypeError(`${file} exports neither run nor main, and no function by default`);
  return undefined;
}

// A CommonJS file without exports shows an empty object as its default export, under two names.
function exportsAnything(module) {
  const names = Object.keys(module).filter((key) => key !== 'default' && key !== 'module.exports');
  return names.length > 0 || Object.keys(Object(module.default)).length > 0;
}

// Neither undefined nor null is a result; both leave the file empty.
function writeResult(value) {
  if (value === undefined || value === null) return;
  let text;
  try {
    text = encode(value);
  } catch (error) {
    throw new InvalidResult(`the action's return value is not JSON: ${error.message.split('\n')[0]}`);
  }
  if (text === undefined) {
    throw new InvalidResult(`the action's return value is not JSON: it is a ${typeof value}`);
  }
  writeFileSync(resultFile, text);
}

// encode returns JSON that every reader takes: a BigInt with all its digits, and U+FFFD for half a surrogate pair, the
// only character that JSON.stringify writes as \ud….
function encode(value) {
  const text = JSON.stringify(value, (key, member) => (typeof member === 'bigint' ? JSON.rawJSON(member) : member));
  return text?.replace(/\\(?:\\|ud...)/g, (escape) => (escape === '\\\\' ? escape : '\ufffd'));
}

// misspelled returns the location of a syntax error in the action's file: file, line, code and a mark below it. Node
// shows the location in an ES module only for an uncaught error, so a second Node checks the file.
function misspelled(thrown) {
  if (!(thrown instanceof SyntaxError) || thrown.stack.includes(`${path}:`)) return '';
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8', timeout: 10_000 });
  const end = (stderr ?? '').search(/\n\s*SyntaxError: /);
  return end < 0 ? '' : `${stderr.slice(0, end).trimEnd()}\n\n`;
}

// chainOf returns what was thrown, its causes, and the errors that it gathers.
function chainOf(thrown) {
  const chain = new Set([thrown]); // It grows while it is walked, and may be a ring.
  for (const one of chain) {
    if (!(one instanceof Error)) continue;
    for (const next of [one.cause, ...(one instanceof AggregateError ? one.errors : [])]) {
      if (next !== undefined && chain.size < maxChain) chain.add(next);
    }
  }
  return [...chain];
}

// told returns the message of each error, one a line, and other values as Node shows them.
function told(chain) {
  return chain.map((one) => {
    if (one instanceof Error && String(one.message)) return String(one.message);
    return typeof one === 'string' ? one : shown(one);
  }).join('\n');
}

// shown returns a value as Node shows it, with the members of an error and its cause, and the action's own frames:
// around them lie this file and Node itself.
function shown(value) {
  const text = typeof value === 'string' ? value : inspect(value);
  // The brace behind a frame opens the members of its error.
  return text.replace(/\n +at [^\n]*?( \{)?(?=\n|$)/g, (frame, brace = '') => (
    frame.includes(self) || /\bnode:/.test(frame) ? brace : frame));
}

// offline returns a hint where an error comes from a network that the sandbox does not have.
function offline(chain) {
  const unreachable = (one) => /^(ENOTFOUND|EAI_AGAIN|ENETUNREACH)$/.test(one?.code) || /^query/.test(one?.syscall);
  if (!chain.some(unreachable)) return '';
  if (Object.values(networkInterfaces()).flat().some(({ internal }) => !internal)) return '';
  return '\nthe action runs with network: none; network: egress in its file lets it reach the internet';
}

// diskFull reports whether the action has no space left: an exception says so, or /tmp or the folder of its output is full.
function diskFull(chain = []) {
  if (chain.some((one) => one?.code === 'ENOSPC')) return true;
  return ['/tmp', dirname(failureFile)].some((folder) => {
    const { bavail, ffree } = statfsSync(folder);
    return bavail === 0 || ffree === 0;
  });
}

// fail writes the exception to the failure file and its traceback to stderr, and ends the process.
function fail(thrown) {
  settled = true;
  let failure;
  try {
    given(); // An end before it belongs to the execution that gets this sandbox.
    failure = describe(thrown);
  } catch (problem) {
    failure = describe(problem); // A member of what the action throws can throw, too.
  }
  process.stderr.write(`${failure.traceback}\n`);
  failure.error = failure.error.slice(0, maxError);
  failure.traceback = failure.traceback.slice(0, maxTraceback);
  writeFileSync(failureFile, encode(failure));
  failed = true;
  process.exit(1);
}

function describe(thrown) {
  const chain = chainOf(thrown);
  const hint = offline(chain);
  return {
    error: told(chain) + hint,
    error_type: thrown instanceof Error ? String(thrown.name || thrown.constructor.name) : typeof thrown,
    traceback: misspelled(thrown) + shown(thrown) + hint,
    disk_full: diskFull(chain),
  };
}

// leftOpen names what keeps Node running, such as "2 Timeout, 1 TCPSocketWrap".
function leftOpen() {
  const kinds = Map.groupBy(process.getActiveResourcesInfo(), (kind) => kind);
  return [...kinds].map(([kind, all]) => `${all.length} ${kind}`).join(', ');
}

// terminate ends the action as process.exit does. An action that listens for SIGTERM itself decides itself.
function terminate() {
  if (process.listenerCount('SIGTERM') > 1) return;
  if (resting) process.stderr.write(`attune: cut off before the end of ${leftOpen()}\n`);
  process.exit(143);
}

// awaitRest lets Node run what the action has left behind, as without this file, and says so once.
function awaitRest() {
  resting = true;
  setTimeout(() => {
    process.stderr.write(`attune: the action has returned; waiting for what it left open: ${leftOpen()}\n`);
  }, patience).unref();
}

let settled = false;
let failed = false;
let resting = false;
process.on('exit', (status) => {
  given();
  if (status !== 0 && !failed && diskFull()) writeFileSync(failureFile, JSON.stringify({ disk_full: true }));
});
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
process.on('beforeExit', () => {
  if (!settled) fail(new Error('nothing is left to do, and the promise that the action returned has not settled'));
});

const argv = process.argv.slice(2);
const names = argv.filter((word) => word.startsWith('--preload=')).map((word) => word.slice('--preload='.length));
const path = resolve(argv[names.length]);
const name = argv[names.length + 1] ?? '';
process.argv.splice(1, process.argv.length, path);

// start is not awaited, so that Node has nothing to say of this file when the action never settles.
async function start() {
  await preload(names);
  given();
  process.on('SIGTERM', terminate);
  const action = entry(await import(pathToFileURL(path)));
  if (action) {
    writeResult(await action({ parameters: globalThis.parameters, secrets: globalThis.secrets }));
    awaitRest();
  }
  settled = true;
}

start().catch(fail);
