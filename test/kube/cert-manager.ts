/** cert-manager beside a test's API server: Certificates become Secrets, and webhook configurations get their caBundle. */
import { startService } from '../harness/service.ts';
import type { Kube } from './kube.ts';
import { certManagerProgram, certManagerResources } from './programs.ts';

/** Without its own webhook, which only judges what people write. Resolves with the function that ends it. */
export async function startCertManager({ kubectl, kubeconfig }: Kube): Promise<() => Promise<void>> {
  await using undo = new AsyncDisposableStack();
  // Some are larger than the annotation in which a plain `apply` would remember them.
  await kubectl(['apply', '--server-side', '-f', certManagerResources()]);
  await kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
  for (const part of ['controller', 'cainjector']) {
    const service = await startService({
      name: `cert-manager ${part}`,
      args: [certManagerProgram(), part, '--kubeconfig', kubeconfig],
      // Whoever waits for its work sees when it works.
      ready: async () => true,
    });
    undo.defer(() => service.stop());
  }
  const parts = undo.move();
  return () => parts.disposeAsync();
}
