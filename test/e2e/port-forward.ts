/** `kubectl port-forward`, as people reach what is in no Service. */
import type { Cluster } from '../cluster/cluster.ts';
import { freePort } from '../harness/free-port.ts';
import { startService } from '../harness/service.ts';
import { kubeProgram } from '../kube/programs.ts';

export interface ForwardedPort {
  url: string;
  stop(): Promise<void>;
}

export async function forwardPort(
  { kubeconfig }: Cluster,
  { namespace, target, port }: { namespace: string; target: string; port: number },
): Promise<ForwardedPort> {
  const local = await freePort();
  const url = `http://127.0.0.1:${local}`;
  const service = await startService({
    name: 'kubectl port-forward',
    args: [kubeProgram('kubectl'), 'port-forward', '-n', namespace, target, `${local}:${port}`],
    env: { KUBECONFIG: kubeconfig },
    ready: async () => (await fetch(url)).ok,
    readyTimeoutMs: 20_000,
  });
  return { url, stop: () => service.stop() };
}
