// The API server's webhook configurations, as far as they say which CA the webhook's certificate is from.
import { z } from 'zod';
import { type Api, type CallOptions, pathOf } from '../cluster/api.ts';
import { isStatus } from '../cluster/api-error.ts';

const NAME = 'podmirror-webhook';
const paths = ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'].map((resource) =>
  pathOf({ group: 'apis/admissionregistration.k8s.io/v1' }, resource, NAME),
);

const shape = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  webhooks: z
    .array(z.looseObject({ clientConfig: z.looseObject({ caBundle: z.string().optional() }) }))
    .nullish(),
});

export interface Configuration {
  path: string;
  object: z.infer<typeof shape>;
}

/** Those that exist: they may be applied after the webhook has started. */
export async function readConfigurations(
  api: Pick<Api, 'get'>,
  options: CallOptions,
): Promise<Configuration[]> {
  const found = await Promise.all(
    paths.map(async (path) => {
      try {
        return [{ path, object: shape.parse(await api.get(path, options)) }];
      } catch (error) {
        if (isStatus(error, 404)) return [];
        throw error;
      }
    }),
  );
  return found.flat();
}

/** The bundles of all webhooks in it, base64. */
export const bundlesOf = ({ object }: Configuration): (string | undefined)[] =>
  (object.webhooks ?? []).map(({ clientConfig }) => clientConfig.caBundle);

/** Rejects with ApiError 409 when it was changed since it was read. Does nothing when it is so already. */
export async function trust(
  api: Pick<Api, 'mergePatch'>,
  configuration: Configuration,
  ca: string,
  options: CallOptions,
): Promise<void> {
  const caBundle = Buffer.from(ca).toString('base64');
  if (bundlesOf(configuration).every((bundle) => bundle === caBundle)) return;
  const { metadata, webhooks } = configuration.object;
  await api.mergePatch(
    configuration.path,
    {
      metadata: { resourceVersion: metadata.resourceVersion },
      webhooks: (webhooks ?? []).map((webhook) => ({
        ...webhook,
        clientConfig: { ...webhook.clientConfig, caBundle },
      })),
    },
    options,
  );
}
