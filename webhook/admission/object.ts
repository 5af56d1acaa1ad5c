// Reading objects of which nothing is known. They come from the API server, which has checked them, or from anybody.
import type { AdmissionRequest } from './review.ts';

/** The value at a path of keys; undefined where it ends. Only own properties: `constructor` is nobody's label. */
export function valueAt(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (isBlock(value) && Object.hasOwn(value, key) ? value[key] : undefined),
    object,
  );
}

/** What is text in a block of keys, such as labels. A map, since keys may be called `__proto__`. */
export function textsAt(object: unknown, path: readonly string[]): ReadonlyMap<string, string> {
  const block = valueAt(object, path);
  const texts = new Map<string, string>();
  if (!isBlock(block)) return texts;
  for (const [key, value] of Object.entries(block)) if (typeof value === 'string') texts.set(key, value);
  return texts;
}

export function isBlock(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A controller is making it, such as a Deployment's ReplicaSet or its pods: nobody reads what is said to a controller.
 * When it is changed later, that is mostly somebody with kubectl.
 */
export function isMadeByController({
  operation,
  object,
}: Pick<AdmissionRequest, 'operation' | 'object'>): boolean {
  const owners = valueAt(object, ['metadata', 'ownerReferences']);
  return (
    operation === 'CREATE' &&
    Array.isArray(owners) &&
    owners.some((owner) => valueAt(owner, ['controller']) === true)
  );
}

/** `metadata.annotations[mirror.wallarm.com/enabled]`, as the API server itself writes paths. */
export function pathText(path: readonly string[], key: string): string {
  return `${path.join('.')}[${key}]`;
}
