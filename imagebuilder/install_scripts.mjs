// Run in a build after npm, with the names of the packages whose install scripts may run. Ends with 1 where another
// package has some, or a name is not that of an installed package.
import {existsSync, readFileSync} from 'node:fs';

const allowed = process.argv.slice(2);
const installed = new Set();
const refused = new Set();
const skipped = new Set();

const read = (file) => JSON.parse(readFileSync(file, 'utf8').replace(/^\ufeff/, ''));
const hidden = 'node_modules/.package-lock.json'; // npm's list of what it has installed
for (const [path, {optional}] of Object.entries(existsSync(hidden) ? read(hidden).packages : {})) {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  installed.add(name);
  const {scripts = {}, gypfile} = read(path + '/package.json');
  const compiles = gypfile !== false && existsSync(path + '/binding.gyp');
  if (!allowed.includes(name) && (compiles || scripts.preinstall || scripts.install || scripts.postinstall)) {
    (optional ? skipped : refused).add(name);
  }
}

const sorted = (names) => [...names].sort().join(', ');
if (skipped.size > 0) {
  console.log(`install scripts of optional packages do not run: ${sorted(skipped)}; ` +
    'if their absence hurts, name them in dependencies.nodejs.install_scripts');
}
const unknown = allowed.filter((name) => !installed.has(name));
if (unknown.length > 0) {
  console.error(`npm error install_scripts names what is not installed: ${sorted(unknown)}`);
  process.exitCode = 1;
} else if (refused.size > 0) {
  console.error(`npm error install scripts do not run unless the pack asks for it, and without them these may not work: ` +
    `${sorted(refused)}; let them run with install_scripts: [${sorted([...allowed, ...refused])}] ` +
    'in dependencies.nodejs of pack.yaml');
  process.exitCode = 1;
}
