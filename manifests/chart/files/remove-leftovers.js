// Removes what others made for podmirror: paths in the API, as arguments behind `node --eval`. Gone already is well.
import { readFileSync } from 'node:fs';

const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = process.env;
const tokenFile = process.env.TOKEN_FILE ?? '/var/run/secrets/kubernetes.io/serviceaccount/token';
const authorization = `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`;
const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;

const timeoutMs = 10_000;
const attempts = 5;

async function remove(path) {
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(`${server}${path}`, { method: 'DELETE', headers: { authorization }, signal });
  const text = await response.text();
  if (response.ok) return `removed ${path}`;
  if (response.status === 404) return undefined;
  throw new Error(`remove ${path}: ${response.status} ${text}`);
}

/** The role is as new as this process: an API server may not know it yet. */
async function persist(path) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await remove(path);
    } catch (error) {
      if (attempt === attempts) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

const results = await Promise.allSettled(process.argv.slice(1).map(persist));
for (const { status, value, reason } of results) {
  if (status === 'rejected') console.error(reason.message, reason.cause?.message ?? '');
  else if (value) console.log(value);
}
process.exit(results.some(({ status }) => status === 'rejected') ? 1 : 0);
