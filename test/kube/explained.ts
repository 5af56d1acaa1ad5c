/** GET /explain of a replica: what it knows. undefined: it does not know the pod or namespace (yet), or does not answer. */
import type { NamespaceExplanation, PodExplanation } from '../../webhook/explain/explanation.ts';

/** `pod` is `<namespace>/<name>`. */
export function explainPod(opsUrl: string, pod: string): Promise<PodExplanation | undefined> {
  return ask(`${opsUrl}/explain?${new URLSearchParams({ pod })}`);
}

export function explainNamespace(
  opsUrl: string,
  namespace: string,
): Promise<NamespaceExplanation | undefined> {
  return ask(`${opsUrl}/explain?${new URLSearchParams({ namespace })}`);
}

async function ask<T>(url: string): Promise<T | undefined> {
  const response = await fetch(url).catch(() => undefined);
  return response?.ok ? ((await response.json()) as T) : undefined;
}
