// A Secret with a certificate, in the API server. A write that somebody else was faster with is refused there.
import { z } from 'zod';
import { type Api, type CallOptions, pathOf } from '../cluster/api.ts';
import { isStatus } from '../cluster/api-error.ts';
import type { Stored } from './judge.ts';

const secretShape = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  data: z.record(z.string(), z.string()).nullish(),
});

/** As it stands there; undefined: it does not exist. */
export interface SecretObject {
  stored: Stored | undefined;
  object: z.infer<typeof secretShape> | undefined;
}

type Place = { namespace: string; secret: string };

const keys = { ca: 'ca.crt', cert: 'tls.crt', key: 'tls.key' };
const texts = ['ca', 'cert', 'key'] as const;

export async function readSecret(
  api: Pick<Api, 'get'>,
  { namespace, secret }: Place,
  options: CallOptions,
): Promise<SecretObject> {
  let answer: unknown;
  try {
    answer = await api.get(pathOf({ namespace }, 'secrets', secret), options);
  } catch (error) {
    if (isStatus(error, 404)) return { stored: undefined, object: undefined };
    throw error;
  }
  const object = secretShape.parse(answer);
  const text = (key: string) => Buffer.from(object.data?.[key] ?? '', 'base64').toString('utf8');
  return { stored: { ca: text(keys.ca), cert: text(keys.cert), key: text(keys.key) }, object };
}

/** Rejects with ApiError 409 when it was changed or made since it was read. Does nothing when it is so already. */
export async function writeSecret(
  api: Pick<Api, 'create' | 'replace'>,
  { namespace, secret }: Place,
  { stored, object }: SecretObject,
  wanted: Stored,
  options: CallOptions,
): Promise<void> {
  if (stored && texts.every((key) => stored[key] === wanted[key])) return;
  const data = Object.fromEntries(
    texts.map((key) => [keys[key], Buffer.from(wanted[key]).toString('base64')]),
  );
  if (object) {
    const body = { ...object, data: { ...object.data, ...data } };
    await api.replace(pathOf({ namespace }, 'secrets', secret), body, options);
    return;
  }
  const labels = {
    'app.kubernetes.io/name': 'podmirror',
    'app.kubernetes.io/part-of': 'podmirror',
    'app.kubernetes.io/managed-by': 'podmirror-webhook',
  };
  const metadata = { name: secret, namespace, labels };
  const body = { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata, data };
  await api.create(pathOf({ namespace }, 'secrets'), body, options);
}
