// Which kubeconfig file is meant, as kubectl would look for it.
import { join } from 'node:path';
import { kubeconfigOf } from '../cluster/connection.ts';

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
  const named = kubeconfigOf(env);
  const usual = join(home, '.kube', 'config');
  return named ?? (exists(usual) ? usual : undefined);
}
