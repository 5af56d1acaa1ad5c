/** A Job's one pod, run here in place of a kubelet: its command, with its account's token. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../harness/until.ts';
import type { Kube } from '../kube/kube.ts';

interface JobPod {
  metadata: { name: string };
  spec: { serviceAccountName: string; containers: { command: string[] }[] };
}

/** Waits for the pod, runs it, and tells the API server how it ended. Returns its exit code and output. */
export async function runJob(
  kube: Kube,
  namespace: string,
  job: string,
): Promise<{ code: number; output: string }> {
  const find = async () => {
    const list = await kube.kubectl(['get', 'pods', '-n', namespace, '-l', `job-name=${job}`, '-o', 'json']);
    return (JSON.parse(list) as { items: JobPod[] }).items.at(0);
  };
  const pod = await until(find, { timeoutMs: 60_000, everyMs: 100 });
  const [container] = pod?.spec.containers ?? [];
  if (!pod || !container) throw new Error(`no pod of ${namespace}/${job} came`);

  const tokenFile = join(kube.directory, `${job}.token`);
  writeFileSync(
    tokenFile,
    await kube.kubectl(['create', 'token', pod.spec.serviceAccountName, '-n', namespace]),
  );
  const { hostname, port } = new URL(kube.server);
  const child = spawn(process.execPath, container.command.slice(1), {
    env: {
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      NODE_EXTRA_CA_CERTS: join(kube.directory, 'ca.crt'),
      TOKEN_FILE: tokenFile,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  const phase = code === 0 ? 'Succeeded' : 'Failed';
  const patch = JSON.stringify({ status: { phase } });
  await kube.kubectl([
    ...[
      'patch',
      'pod',
      pod.metadata.name,
      '-n',
      namespace,
      '--subresource=status',
      '--type=merge',
      '-p',
      patch,
    ],
  ]);
  return { code, output };
}
