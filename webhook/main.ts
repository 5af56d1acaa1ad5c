// The webhook's process: command line, certificates, the API server, signals. The only file here with side effects.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { watchCertificates } from '../certs/source.ts';
import { createApi } from './cluster/api.ts';
import { systemClock } from './cluster/clock.ts';
import { findConnection } from './cluster/connection.ts';
import { type Flags, readFlags, type SelfSignedFlags, usage } from './flags.ts';
import { createLog } from './log.ts';
import { exitCodes, Refusal } from './refusal.ts';
import { keepCertificates, usualTiming } from './self-signed/keeper.ts';
import { leavesOf } from './self-signed/leaf.ts';
import { type RunningWebhook, startWebhook } from './webhook.ts';

const refuse = (exitCode: number) => (cause: unknown) => {
  throw new Refusal((cause as Error).message, exitCode, { cause });
};

async function main(): Promise<void> {
  const command = readCommand();
  if ('print' in command) {
    process.stdout.write(command.print === 'usage' ? usage : `${version()}\n`);
    return;
  }
  await run(command.run);
}

function readCommand(): ReturnType<typeof readFlags> {
  try {
    return readFlags(process.argv.slice(2), process.env);
  } catch (cause) {
    throw new Refusal(`${(cause as Error).message}\n\n${usage}`, exitCodes.usage, { cause });
  }
}

async function run(flags: Flags): Promise<void> {
  const log = createLog(flags.log);
  const clock = systemClock;
  const connection = await findConnection({ env: process.env, clock, kubeconfig: flags.kubeconfig }).catch(
    refuse(exitCodes.config),
  );
  const ownNamespace = flags.namespace ?? connection.namespace;
  if (ownNamespace === undefined) {
    throw new Refusal(
      'the own namespace is not known. Write --namespace, or set POD_NAMESPACE',
      exitCodes.config,
    );
  }
  const state: { webhook?: RunningWebhook } = {};
  const api = createApi({ connection });
  const certificates = flags.selfSigned
    ? await ownCertificates(flags.selfSigned, ownNamespace)
    : openCertificates();
  const webhook = await startWebhook({
    api,
    settings: { ...flags.settings, ownNamespace },
    certificates: certificates.current(),
    host: flags.host,
    ports: flags.ports,
    // A host name alone is the same after a restart of the container.
    identity: `${process.env.POD_NAME ?? hostname()}_${randomUUID()}`,
    clock,
    log,
    onBroken(error) {
      log.error(`a part that must not end has ended, which is a bug: ${error.stack ?? error}`);
      process.exit(exitCodes.software);
    },
  }).catch(refuse(exitCodes.config));
  state.webhook = webhook;
  // It may have been read again while the servers were being started.
  webhook.useCertificates(certificates.current());

  const { admission, health, ops } = webhook.ports;
  log.info(
    `podmirror webhook ${version()} runs in namespace ${ownNamespace}: admission on ${admission}, health on ${health}, metrics and explain on ${ops}`,
  );
  const forget = webhook.cluster.onChange(() => {
    if (!webhook.cluster.synced()) return;
    forget();
    log.info(`the cluster is known: ${webhook.cluster.podCount()} pods`);
  });

  let stopping = false;
  const stop = async (signal: string) => {
    log.info(`${signal}: answering ${flags.drainMs / 1000} s more`);
    await webhook.stop(flags.drainMs);
    certificates.close();
    connection.close();
    log.info('stopped');
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      void stop(signal).then(() => process.exit());
    });
  }

  function ownCertificates({ spreadMs }: SelfSignedFlags, namespace: string) {
    return keepCertificates({
      api,
      leaves: leavesOf(namespace),
      clock,
      log,
      timing: { ...usualTiming, spreadMs },
      onReload(pair) {
        state.webhook?.useCertificates(pair);
        log.info('a new certificate from the Secret podmirror-webhook-tls is in use');
      },
    });
  }

  function openCertificates() {
    try {
      return watchCertificates({
        ...flags.certificates,
        onReload(pair) {
          state.webhook?.useCertificates(pair);
          log.info(`a new certificate from ${flags.certificates.certFile} is in use`);
        },
        onError: (error) => log.warn(`${error.message}. The old certificate stays in use`),
      });
    } catch (cause) {
      throw new Refusal((cause as Error).message, exitCodes.config, { cause });
    }
  }
}

function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

try {
  await main();
} catch (error) {
  const refused = error instanceof Refusal;
  process.stderr.write(`podmirror: ${refused ? error.message : ((error as Error).stack ?? String(error))}\n`);
  process.exit(refused ? error.exitCode : exitCodes.software);
}
