// Which kubeconfig file is meant, as kubectl would look for it.
import { delimiter, join } from 'node:path';

/** undefined: none is there, so the ServiceAccount of the pod. Throws when several are named. */
export function kubeconfigFile({
  flag,
  env,
  home,
  exists,
}: {
  flag: string | undefined;
  env: Record<string, string | undefined>;
  home: string;
  exists: (file: string) => boolean;
}): string | undefined {
  if (flag !== undefined) return flag;
  const named = (env.KUBECONFIG ?? '').split(delimiter).filter((file) => file !== '');
  if (named.length > 1) {
    throw new Error(
      'KUBECONFIG names several files. Name one with --kubeconfig, or join them: kubectl config view --flatten --minify',
    );
  }
  const usual = join(home, '.kube', 'config');
  return named[0] ?? (exists(usual) ? usual : undefined);
}
