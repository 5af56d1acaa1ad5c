// Pods at the edge: objects of a watch, a list or an admission review become facts.
import { z } from 'zod';
import type { PodFacts } from '../intent/model.ts';
import type { KnownPod, Owner } from './view.ts';

/** By which a ReplicaSet is told from its Deployment. */
export const templateHashKey = 'pod-template-hash';

// Longer than any name, or group and version.
const maxTextChars = 512;
// Many times what a node can run; names decide, so all that a real pod has are kept.
const maxContainers = 1000;
// Everybody who asks for a pod's class leaves out the same, so they agree. Nobody writes such a value to be selected by.
const maxValueChars = 16 * 1024;

// The API server has validated real pods; what it would not let pass counts as absent, so that one odd field does
// not hide a pod. It does not bound all that it lets pass: an owner's name may be a megabyte.
const text = z.string().max(maxTextChars).catch('');
export const stringMap = z
  .record(z.string(), z.unknown())
  .nullish()
  .catch(undefined)
  .transform((map) => {
    const pairs = Object.entries(map ?? {}).filter(
      (pair): pair is [string, string] => typeof pair[1] === 'string',
    );
    return Object.fromEntries(pairs);
  });
const containers = z
  .array(
    z
      .object({ name: z.string().max(maxTextChars) })
      .optional()
      .catch(undefined),
  )
  .nullish()
  .catch(undefined)
  .transform((list) => (list ?? []).flatMap((container) => container?.name ?? []).slice(0, maxContainers));

const ownerShape = z.object({
  apiVersion: text,
  kind: text,
  name: text,
  uid: text,
  controller: z.boolean().optional().catch(undefined),
});

const podShape = z.object({
  kind: z.literal('Pod').optional(),
  metadata: z.object({
    name: text,
    namespace: text,
    uid: text,
    labels: stringMap,
    annotations: stringMap.transform(withoutLargeValues),
    ownerReferences: z.array(ownerShape).nullish().catch(undefined),
  }),
  spec: z.object({
    initContainers: containers,
    containers,
    ephemeralContainers: containers,
    nodeName: text,
  }),
  status: z.object({ phase: text }).nullish().catch(undefined),
});

/** Throws when it is no pod. The namespace of an admission review stands in the request, maybe not in the object. */
export function podFactsOf(object: unknown, fallbackNamespace?: string): PodFacts {
  return factsOf(parse(object), fallbackNamespace);
}

/** Of a list or a watch, where every pod has a name. */
export function knownPodOf(object: unknown): KnownPod {
  const pod = parse(object);
  const { name, uid, ownerReferences } = pod.metadata;
  if (name === '') throw new Error('metadata.name: is missing. A pod that exists has one');
  const owner = ownerReferences?.find(({ controller }) => controller);
  return {
    ...factsOf(pod, undefined),
    name,
    uid,
    owner: owner && isWhole(owner) ? ownerOf(owner) : undefined,
    phase: pod.status?.phase || 'Unknown',
  };
}

function withoutLargeValues(annotations: Record<string, string>): Record<string, string> {
  const entries = Object.entries(annotations);
  const few = entries.filter(([, value]) => value.length <= maxValueChars);
  return few.length === entries.length ? annotations : Object.fromEntries(few);
}

const isWhole = ({ apiVersion, kind, name, uid }: Owner) => apiVersion && kind && name && uid;

const ownerOf = ({ apiVersion, kind, name, uid }: Owner): Owner => ({ apiVersion, kind, name, uid });

function parse(object: unknown): z.infer<typeof podShape> {
  const { data, error } = podShape.safeParse(object);
  if (data) return data;
  const where = error.issues.map(({ path, message }) => `${path.join('.') || 'object'}: ${message}`);
  throw new Error(`This is no pod: ${where.join('; ')}. Send a Pod of version v1`);
}

function factsOf(
  { metadata, spec }: z.infer<typeof podShape>,
  fallbackNamespace: string | undefined,
): PodFacts {
  const namespace = metadata.namespace || fallbackNamespace;
  if (!namespace) throw new Error('metadata.namespace: is missing. Say which namespace the pod is in');
  return {
    namespace,
    name: metadata.name || undefined,
    labels: metadata.labels,
    annotations: metadata.annotations,
    containers: [...spec.initContainers, ...spec.containers].slice(0, maxContainers),
    ephemeralContainers: spec.ephemeralContainers,
    nodeName: spec.nodeName || undefined,
  };
}
