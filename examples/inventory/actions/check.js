// Finds the services of an inventory whose version is outside their range, and prepares a webhook call about them.

import { createHmac } from 'node:crypto';

import semver from 'semver';
import { parse } from 'yaml';

export function run({ parameters, secrets }) {
  const { site } = parameters;
  const { services } = parse(parameters.inventory);
  const options = { includePrerelease: parameters.include_prerelease ?? false };

  const outdated = services.filter((service) => !fits(service, options));
  console.log(`${site}: ${services.length} services, ${outdated.length} outdated`);
  for (const { name, version, wanted } of outdated) {
    console.log(`${name} runs ${version}, wanted is ${wanted}`);
  }

  const body = JSON.stringify({ event: 'inventory.checked', site, outdated: outdated.map(({ name }) => name) });
  return { outdated, webhook: { body, headers: signed(body, secrets.webhook_secret) } };
}

function fits({ name, version, wanted }, options) {
  if (!semver.valid(version)) throw new TypeError(`${name}: ${version} is not a semantic version`);
  if (!semver.validRange(wanted)) throw new TypeError(`${name}: ${wanted} is not a range of versions`);
  return semver.satisfies(version, wanted, options);
}

// signed makes the headers by which the receiver checks who sent the body, and that it is unchanged. The secret goes
// into the digest and nowhere else.
function signed(body, secret) {
  const digest = createHmac('sha256', secret).update(body).digest('hex');
  return { 'Content-Type': 'application/json', 'X-Signature-256': `sha256=${digest}` };
}
