// The command as a process: what a person sees, exit codes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { namespaceObject, podObject, startFakeApiServer } from '../cluster/fake/apiserver.ts';

const command = new URL('../podmirror', import.meta.url).pathname;

function folder(t: ExecutionContext): string {
  const made = mkdtempSync(join(tmpdir(), 'podmirror-'));
  t.teardown(() => rmSync(made, { recursive: true }));
  return made;
}

async function run(t: ExecutionContext, args: string[], { input = '', program = command, env = {} } = {}) {
  // The shell finds the node that runs this test.
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
  const child = spawn(program, args, { env: { PATH, HOME: folder(t), ...env } });
  t.teardown(() => child.kill('SIGKILL'));
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (output.stderr += String(chunk)));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code, ...output };
}

async function kubeconfig(t: ExecutionContext): Promise<string> {
  const server = await startFakeApiServer();
  t.teardown(server.close);
  server.put('/api/v1/namespaces/shop', namespaceObject('shop', { 'wallarm-mirror': 'enabled' }));
  server.put('/api/v1/namespaces/shop/pods/web', podObject({ name: 'web' }));
  const file = join(folder(t), 'config');
  const contexts = [{ name: 'here', context: { cluster: 'fake', user: 'me' } }];
  const clusters = [{ name: 'fake', cluster: { server: server.url } }];
  const users = [{ name: 'me', user: { token: 'secret' } }];
  writeFileSync(file, stringify({ apiVersion: 'v1', kind: 'Config', contexts, clusters, users }));
  return file;
}

test('podmirror explain answers through a kubeconfig and its context', async (t) => {
  const file = await kubeconfig(t);
  const { code, stdout, stderr } = await run(t, [
    'explain',
    'shop/web',
    '--kubeconfig',
    file,
    '--context',
    'here',
  ]);
  t.is(stderr, '');
  t.regex(stdout, /^pod shop\/web\n/);
  t.regex(stdout, /^Mirrored: namespace shop is labelled wallarm-mirror=enabled$/m);
  t.is(code, 0);
});

test('a context that is not there is told', async (t) => {
  const env = { KUBECONFIG: await kubeconfig(t) };
  const { code, stderr } = await run(t, ['explain', 'shop/web', '--context', 'there'], { env });
  t.regex(stderr, /^podmirror: connect: .*config: has no cluster.*--context$/m);
  t.is(code, 78);
});

test('podmirror check reads standard input, also when called through a link', async (t) => {
  const program = join(folder(t), 'podmirror');
  symlinkSync(command, program);
  const { code, stdout } = await run(t, ['check', '-'], { program, input: 'filters: [{namespce: shop}]\n' });
  t.regex(stdout, /^standard input: refused, 1 problem$/m);
  t.is(code, 1);
});

test('without a kubeconfig and outside of a pod, one is asked for', async (t) => {
  const { code, stderr } = await run(t, ['explain', 'shop/web']);
  t.regex(stderr, /^podmirror: connect: .*name a kubeconfig file$/m);
  t.is(code, 78);
});

test('mistakes on the command line end with 64', async (t) => {
  const { code, stdout, stderr } = await run(t, ['explain']);
  t.is(stdout, '');
  t.regex(stderr, /^podmirror: nothing is named\. Write podmirror explain/);
  t.is(code, 64);
});
