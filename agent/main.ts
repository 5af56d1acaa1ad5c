#!/usr/bin/env node
// The agent's process: command line, configuration, addon, signals.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import type * as Addon from '../bpf/index.d.ts';
import { type CertificateSource, watchCertificates } from '../certs/source.ts';
import { captureOptions, type RunningAgent, startAgent } from './agent.ts';
import { cgroupTree } from './cgroups.ts';
import type { ClusterLink } from './cluster/cluster.ts';
import { isLeafOfPod } from './cluster/pod-cgroups.ts';
import { type ClusterConfig, type Config, type ProcessorConfig, parseConfig } from './config.ts';
import { descriptorStream } from './descriptor.ts';
import { createLog, type Log } from './log.ts';
import { createPoster } from './post.ts';
import type { Deliver } from './pump.ts';
import { exitCodes, Refusal, refusalOf } from './refusal.ts';
import { createReporter, type Reporter } from './reporter.ts';
import { createShipper, type Shipper } from './shipper.ts';
import { isTlsMode, type TlsMode } from './tls-mode.ts';

const usage = `usage: node agent/main.ts --config <podmirror.yaml> [--print | --check]

  --config <file>  what to mirror and where to send it
  --print          exchanges as JSON lines on stdout instead of a processor
  --check          read the configuration and its certificates, say what is wrong, and end
  --tls <mode>     auto, secrets, calls or off, whatever tls.mode of the configuration says
  --version        print the version
  --help           print this

With cluster: in it, the environment has NODE_NAME, POD_NAMESPACE and POD_NAME, and the pod its ServiceAccount's token.
PODMIRROR_ADDON names another build of the capture addon (a module that exports Capture and cgroup2Mount).
Ends with 0, 64 (command line), 69 (this machine lacks something), 74 (stdout), 78 (configuration).
`;

// Packets that nobody answers are sent again after 1 s and 3 s; an address that leads nowhere must not hold a batch for as
// long as an answer may take.
const connectTimeoutMs = 5000;
const requestTimeoutMs = 30_000;
// Two batches are under way at once; a report of coverage waits for neither, and neither for it.
const maxSockets = 3;

async function main(): Promise<void> {
  const flags = readFlags();
  if (flags.help) return void process.stdout.write(usage);
  if (flags.version) return void process.stdout.write(`${version()}\n`);
  if (flags.config === undefined) throw new Refusal(`--config is missing\n\n${usage}`, exitCodes.usage);
  const tlsMode = flags.tls === undefined ? undefined : tlsModeOf(flags.tls);

  const config = readConfig(flags.config);
  if (tlsMode) config.tls.mode = tlsMode;
  const log = createLog(config.log);
  const { processor } = config;
  if (!flags.print && !flags.check && !processor) {
    throw new Refusal(
      `${flags.config}: no processor:. Write one with url:, ca:, cert: and key:, or start with --print`,
      exitCodes.config,
    );
  }
  const certificates = processor && !flags.print ? openCertificates(processor, log) : undefined;
  if (flags.check) {
    certificates?.close();
    return void process.stdout.write(`${flags.config}: in order, ${whatIsMirrored(config)}\n`);
  }
  const cluster = config.cluster && (await openCluster(config.cluster));
  if (cluster) config.node ??= cluster.node;

  const addon = await loadAddon();
  const { capture, mount } = openCapture(addon, config);
  const state: { agent?: RunningAgent } = {};
  const stop = () => void state.agent?.stop().then(() => process.exit());
  const sink =
    processor && certificates
      ? shipTo(processor, certificates, log, config.node ?? hostname())
      : { deliver: await print(log, stop) };

  state.agent = await startAgent({
    config,
    capture,
    mount,
    tree: cgroupTree({ mount, ...(cluster && { isLeaf: isLeafOfPod }) }),
    log,
    ...sink,
    ...(cluster && { cluster: cluster.link }),
  }).catch((error) => {
    capture.close();
    throw new Refusal((error as Error).message, exitCodes.config, { cause: error });
  });
  process.on('SIGTERM', stop).on('SIGINT', stop);
  log.info(
    `podmirror agent ${version()} runs; health on ${config.listen.health}, metrics on ${config.listen.metrics}`,
  );
  await state.agent.done;
}

function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        config: { type: 'string', short: 'c' },
        print: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
        tls: { type: 'string' },
        version: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    return values;
  } catch (cause) {
    throw new Refusal(`${(cause as Error).message}\n\n${usage}`, exitCodes.usage, { cause });
  }
}

function tlsModeOf(text: string): TlsMode {
  if (isTlsMode(text)) return text;
  const shown = JSON.stringify(text.slice(0, 60));
  throw new Refusal(`--tls: ${shown} is none of them. Write auto, secrets, calls or off`, exitCodes.usage);
}

function readConfig(file: string): Config {
  try {
    return parseConfig(readFileSync(file, 'utf8'), file);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      code === undefined
        ? message
        : `read ${file}: ${message}. Write the path of podmirror.yaml after --config`;
    throw new Refusal(why, exitCodes.config, { cause });
  }
}

function whatIsMirrored({ targets }: Config): string {
  if (!targets) return 'what the cluster asks for';
  return `${targets.length} ${targets.length === 1 ? 'target' : 'targets'}`;
}

/** Our pod's ServiceAccount, and which node this is. */
async function openCluster({
  node = process.env.NODE_NAME,
  namespace = process.env.POD_NAMESPACE,
  events,
}: ClusterConfig): Promise<{ node: string; link: ClusterLink }> {
  const unset = (key: string, variable: string, field: string) =>
    new Refusal(
      `cluster.${key}: not known. Set ${variable} from the field ${field} in the DaemonSet, or write it in the configuration`,
      exitCodes.config,
    );
  if (!node) throw unset('node', 'NODE_NAME', 'spec.nodeName');
  // Only a cluster pays for these.
  const [{ inClusterConnection }, { createApi }, { systemClock }, { clusterLink }] = await Promise.all([
    import('../webhook/cluster/connection.ts'),
    import('../webhook/cluster/api.ts'),
    import('../webhook/cluster/clock.ts'),
    import('./cluster/cluster.ts'),
  ]);
  const clock = systemClock;
  const connection = await inClusterConnection({ env: process.env, clock }).catch((cause: Error) => {
    throw new Refusal(
      `cluster: ${cause.message}. Give the pod its ServiceAccount's token (automountServiceAccountToken)`,
      exitCodes.config,
      { cause },
    );
  });
  const ownNamespace = namespace || connection.namespace;
  if (!ownNamespace) throw unset('namespace', 'POD_NAMESPACE', 'metadata.namespace');
  const api = createApi({ connection, fieldManager: 'podmirror-agent', userAgent: 'podmirror-agent' });
  const instance = events ? (process.env.POD_NAME ?? `podmirror-agent on ${node}`) : undefined;
  return { node, link: clusterLink({ api, node, ownNamespace, instance }) };
}

function openCertificates({ ca, cert, key }: ProcessorConfig, log: Log): CertificateSource {
  try {
    return watchCertificates({
      certFile: cert,
      keyFile: key,
      caFile: ca,
      onReload: () => log.info(`new certificate from ${cert} is in use`),
      onError: (error) => log.warn(`${error.message}. The old certificate stays in use`),
    });
  } catch (cause) {
    throw new Refusal((cause as Error).message, exitCodes.config, { cause });
  }
}

async function loadAddon(): Promise<typeof Addon> {
  const path = process.env.PODMIRROR_ADDON ?? new URL('../bpf/addon.ts', import.meta.url).href;
  try {
    return (await import(path)) as typeof Addon;
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Refusal(`load the capture addon: ${why}. Build it with \`make build\``, exitCodes.unavailable, {
      cause,
    });
  }
}

function openCapture(addon: typeof Addon, config: Config): { capture: Addon.Capture; mount: string } {
  try {
    return { mount: addon.cgroup2Mount(), capture: new addon.Capture(captureOptions(config, version())) };
  } catch (error) {
    throw refusalOf(error);
  }
}

function shipTo(
  processor: ProcessorConfig,
  certificates: CertificateSource,
  log: Log,
  node: string,
): { deliver: Deliver; shipper: Shipper; reporter: Reporter } {
  const timeouts = { connectTimeoutMs, timeoutMs: requestTimeoutMs };
  const poster = createPoster({ processor, certificates, ...timeouts, maxSockets });
  const shipper = createShipper({ url: processor.url, poster, log });
  const reporter = createReporter({
    url: processor.url,
    poster,
    log,
    about: { node, agentVersion: version() },
    deliveryTrouble: shipper.trouble,
  });
  return { deliver: shipper.deliver, shipper, reporter };
}

async function print(log: Log, stop: () => void): Promise<Deliver> {
  // Only --print pays for protobufjs.
  const { createPrinter } = await import('./printer.ts');
  return createPrinter({
    output: descriptorStream(1),
    onEnd(error) {
      if (error) {
        log.error(error.message);
        process.exitCode = exitCodes.output;
      }
      stop();
    },
  });
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
