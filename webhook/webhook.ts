// The parts of the webhook, put together: caches, admission, the controller with its lease, health.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import type { CertificatePair } from '../certs/source.ts';
import { createAdmissionApp } from './admission/app.ts';
import { createAdmissionMetrics } from './admission/metrics.ts';
import { type AdmissionServer, createAdmissionServer } from './admission/server.ts';
import type { Api } from './cluster/api.ts';
import type { Clock } from './cluster/clock.ts';
import { type Cluster, startCluster } from './cluster/cluster.ts';
import { type Log, seldom, sentenceOf } from './cluster/log.ts';
import { createController } from './controller/controller.ts';
import { createEvents } from './controller/events.ts';
import { startLease } from './controller/lease.ts';
import { createMemory } from './controller/remember.ts';
import { createExplain } from './explain/handler.ts';
import type { Flags } from './flags.ts';
import type { Settings } from './intent/model.ts';
import { createHealth, createOps } from './ops/app.ts';
import { createWebhookMetrics } from './ops/metrics.ts';

export interface RunningWebhook {
  cluster: Cluster;
  ports: Flags['ports'];
  useCertificates(pair: CertificatePair): void;
  /** Answers for `drainMs` more, gives the lease to another at once; settles when all has ended. */
  stop(drainMs: number): Promise<void>;
}

export interface WebhookDeps {
  api: Api;
  settings: Settings;
  certificates: CertificatePair;
  host: string | undefined;
  ports: Flags['ports'];
  /** Of this process and no other. */
  identity: string;
  clock: Clock;
  log: Log;
  /** A mistake of ours ended a part that must not end: the process should begin anew. */
  onBroken: (error: Error) => void;
}

/** Rejects with `listen on <address>: <cause>. <what to do>`. */
export async function startWebhook(deps: WebhookDeps): Promise<RunningWebhook> {
  const { api, settings, certificates, host, identity, clock, log, onBroken } = deps;
  await using undo = new AsyncDisposableStack();
  const cluster = startCluster({ api, settings, clock, log });
  undo.defer(() => cluster.stop());
  const memory = createMemory({ api, cluster, clock, log });
  undo.defer(() => memory.stop());
  const events = createEvents({ api, cluster, clock, log, instance: identity });
  const controller = createController({ api, cluster, clock, log, onDesired: events.observe });

  const registry = new Registry();
  const admission = createAdmissionServer(
    createAdmissionApp({
      view: cluster,
      remember: memory.remember,
      log,
      metrics: createAdmissionMetrics(registry),
    }),
    certificates,
    seldom((sentence) => log.warn(sentence), clock.now),
  );
  const onMistake = (error: Error) => log.error(`answer a request: ${error.stack ?? error}`);
  const inTheWay = () => reasonsAgainst(cluster, admission);
  const servers = {
    admission: admission.server,
    health: createServer(createHealth({ inTheWay, onMistake })),
    ops: createServer(createOps({ metrics: registry, explain: createExplain(cluster), onMistake })),
  };
  const ports = { ...deps.ports };
  for (const [name, server] of entriesOf(servers)) {
    ports[name] = await listen(server, host, deps.ports[name], name);
    if (name !== 'admission') undo.defer(() => close(server));
    server.on('error', (error) => log.error(`${name}: ${sentenceOf(error)}`));
  }

  const lease = startLease({
    api,
    namespace: settings.ownNamespace,
    identity,
    clock,
    log,
    lead: async (signal) => {
      await Promise.all([controller.lead(signal), events.lead(signal)]).catch(onBroken);
    },
  });
  createWebhookMetrics(registry, { cluster, controller, lease, memory, events }, { process: true });

  const parts = undo.move();
  return {
    cluster,
    ports,
    useCertificates: admission.useCertificates,
    async stop(drainMs) {
      await Promise.all([admission.drain({ graceMs: drainMs }), lease.stop()]);
      await parts.disposeAsync();
    },
  };
}

/** While the API server is away, what is known still decides: that is no reason to be taken out of service. */
function reasonsAgainst(cluster: Cluster, admission: AdmissionServer): string[] {
  const unread = cluster.sources().filter(({ synced }) => !synced);
  return [
    ...(admission.draining() ? ['it is stopping'] : []),
    ...(cluster.synced() ? [] : unread.map(({ name }) => `${name}: not listed yet`)),
  ];
}

const entriesOf = <K extends string, V>(record: Record<K, V>) => Object.entries(record) as [K, V][];

const flagOf = { admission: '--port', health: '--health-port', ops: '--ops-port' };

function listen(
  server: Pick<Server, 'listen' | 'once' | 'off' | 'address'>,
  host: string | undefined,
  port: number,
  name: keyof typeof flagOf,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const failed = (cause: Error) =>
    reject(
      new Error(
        `listen on ${host ?? ''}:${port}: ${cause.message}. Write another --host or ${flagOf[name]}`,
        {
          cause,
        },
      ),
    );
  server.once('error', failed);
  server.listen({ port, ...(host !== undefined && { host }) }, () => {
    server.off('error', failed);
    resolve((server.address() as AddressInfo).port);
  });
  return promise;
}

async function close(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}
