// The webhook as a process, against an API server of the tests: what a person sees, exit codes, signals.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { createAuthority, issueLeaf } from '../certs/authority.ts';
import { podObject, reviewBody } from './admission/fake/review.ts';
import {
  configMapObject,
  type FakeApiServer,
  namespaceObject,
  startFakeApiServer,
} from './cluster/fake/apiserver.ts';
import { until } from './cluster/fake/until.ts';

const main = new URL('main.ts', import.meta.url).pathname;
const authority = createAuthority({ commonName: 'test CA', days: 1 });
const configMaps = '/api/v1/namespaces/podmirror/configmaps';

function makeSite(t: ExecutionContext, server: string) {
  const folder = mkdtempSync(join(tmpdir(), 'webhook-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const leaf = issueLeaf(authority, {
    commonName: 'webhook',
    dnsNames: ['webhook'],
    usages: ['server'],
    days: 1,
  });
  return {
    file,
    args: [
      ...['--cert-file', file('tls.crt', leaf.cert), '--key-file', file('tls.key', leaf.key)],
      ...[
        '--ca-file',
        file('ca.crt', authority.cert),
        '--kubeconfig',
        file('kubeconfig', kubeconfig(server)),
      ],
      ...['--namespace', 'podmirror', '--host', '127.0.0.1', '--drain-seconds', '0'],
      ...['--port', '0', '--health-port', '0', '--ops-port', '0'],
    ],
  };
}

function kubeconfig(server: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server } }],
    users: [{ name: 'test', user: {} }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  });
}

function run(t: ExecutionContext, args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [main, ...args]);
  t.teardown(() => child.kill('SIGKILL'));
  const output = { text: '' };
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk) => (output.text += String(chunk)));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const ports = async () => {
    const line = /admission on (\d+), health on (\d+), metrics and explain on (\d+)/;
    await until(() => line.test(output.text) || child.exitCode !== null, 'it listens');
    const [, admission = '', health = '', ops = ''] = line.exec(output.text) ?? [];
    return { admission, health, ops };
  };
  return { child, output, ended, ports };
}

async function read(port: string, path: string): Promise<{ status: number | undefined; text: string }> {
  const [response] = await once(get({ host: '127.0.0.1', port, path }), 'response');
  return { status: response.statusCode, text: String(Buffer.concat(await response.toArray())) };
}

async function review(port: string, path: string, body: unknown) {
  const headers = { 'content-type': 'application/json' };
  const outgoing = request({
    ...{ host: '127.0.0.1', port, path, method: 'POST', headers },
    ...{ ca: authority.cert, servername: 'webhook' },
  });
  outgoing.end(JSON.stringify(body));
  const [response] = await once(outgoing, 'response');
  return JSON.parse(String(Buffer.concat(await response.toArray()))).response;
}

async function cluster(t: ExecutionContext): Promise<FakeApiServer> {
  const server = await startFakeApiServer();
  t.teardown(() => server.close());
  server.put('/api/v1/namespaces/shop', namespaceObject('shop', { 'wallarm-mirror': 'enabled' }));
  server.put(`${configMaps}/podmirror-filters`, configMapObject('podmirror-filters', { 'filters.yaml': '' }));
  return server;
}

test('a pod is admitted, its class is in the ConfigMap, and SIGTERM gives the lease back', async (t) => {
  const server = await cluster(t);
  const { child, output, ended, ports } = run(t, makeSite(t, server.url).args);
  const { admission, health, ops } = await ports();
  await until(() => server.get(`${configMaps}/podmirror-intent`), 'the leader has made the ConfigMap');
  t.is((await read(health, '/ready')).status, 200);
  t.is((await read(health, '/live')).status, 200);

  const pod = podObject({ name: 'web' });
  const answer = await review(admission, '/mutate', reviewBody({ name: 'web', object: pod }));
  t.like(answer, { allowed: true, patchType: 'JSONPatch' });
  const data = server.get(`${configMaps}/podmirror-intent`)?.data as Record<string, string>;
  t.is(Object.keys(data).filter((key) => key.startsWith('shop.')).length, 1);

  const { text } = await read(ops, '/metrics');
  t.regex(text, /^podmirror_admission_duration_seconds_count\{path="\/mutate",outcome="patched"\} 1$/m);
  t.regex(text, /^podmirror_leader 1$/m);
  t.regex(text, /^podmirror_admitted_classes_total\{outcome="written"\} 1$/m);
  t.is((await read(ops, '/explain?namespace=shop')).status, 200);
  t.like(await read(ops, '/'), { status: 404 });

  child.kill('SIGTERM');
  t.is(await ended, 0);
  const lease = server.get('/apis/coordination.k8s.io/v1/namespaces/podmirror/leases/podmirror-webhook');
  t.like(lease, { spec: { holderIdentity: '' } });
  t.regex(output.text, /leading as [\s\S]*SIGTERM: answering 0 s more[\s\S]*stopped\n$/);
});

test('without an API server it is live and not ready, admits everything and says why', async (t) => {
  const { child, output, ended, ports } = run(t, makeSite(t, 'http://127.0.0.1:1').args);
  const { admission, health } = await ports();
  t.is((await read(health, '/live')).status, 200);
  const { status, text } = await read(health, '/ready');
  t.is(status, 503);
  t.regex(text, /pods: not listed yet/);
  const answer = await review(admission, '/mutate', reviewBody({ object: podObject() }));
  t.like(answer, { allowed: true, patch: undefined });
  await until(() => /pods: .*ECONNREFUSED/.test(output.text), 'the log says what fails');
  child.kill('SIGTERM');
  t.is(await ended, 0);
});

test('a bad certificate at the start ends it with 78 and the remedy', async (t) => {
  const site = makeSite(t, 'http://127.0.0.1:1');
  site.file('tls.key', 'no key');
  const { output, ended } = run(t, site.args);
  t.is(await ended, 78);
  t.regex(output.text, /^podmirror: load certificate .*tls\.key: /);
});

test('a bad command line ends it with 64, the mistake first and the usage below', async (t) => {
  const { output, ended } = run(t, ['--port', 'x']);
  t.is(await ended, 64);
  t.regex(output.text, /^podmirror: --port .*: write a number.*\n\nusage: /);
});

test('outside of a cluster and without a kubeconfig it ends with 78 and says what to set', async (t) => {
  const { output, ended } = run(t, []);
  t.is(await ended, 78);
  t.regex(output.text, /KUBERNETES_SERVICE_HOST/);
});

test('a port that is taken ends it with 78 and names the flag', async (t) => {
  const server = await cluster(t);
  const { args } = makeSite(t, server.url);
  const taken = new URL(server.url).port;
  const { output, ended } = run(t, [...args, '--ops-port', taken]);
  t.is(await ended, 78);
  t.regex(output.text, /listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.* Write another --host or --ops-port/);
});
