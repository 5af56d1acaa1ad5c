// The agent put together: targets in, batches out, health and account to be seen. Effects come in as arguments.
import type { Capture, CaptureOptions, Coverage } from '../bpf/index.d.ts';
import type { CgroupTree } from './cgroups.ts';
import type { ClusterLink } from './cluster/cluster.ts';
import type { Config } from './config.ts';
import type { AgentCoverage } from './coverage-report.ts';
import { ledgerLine } from './ledger.ts';
import type { Log } from './log.ts';
import { lookRepeatedly } from './look.ts';
import { createMetrics } from './metrics.ts';
import { healthPages, opsPages, serve } from './ops.ts';
import { type Deliver, pump } from './pump.ts';
import type { Reporter } from './reporter.ts';
import type { Shipper } from './shipper.ts';
import { createTargets } from './targets.ts';
import { tlsLines } from './tls-lines.ts';

export interface RunningAgent {
  /** Delivers what is queued for up to `shutdownGraceMs`, then books the rest as dropped. Again: stops waiting. */
  stop(): Promise<void>;
  /** Settles when the last batch is; rejects when the addon fails. */
  done: Promise<void>;
  ports: { health: number; metrics: number };
}

// One answer of the processor is awaited while the next batch is on its way.
const maxInFlight = 2;

// Libraries are found within milliseconds; a person reads about them later, in the log or on the processor's page.
const coverageLookMs = 3_000;

/** Rejects with `listen on …` when a port cannot be had; then nothing was attached. */
export async function startAgent({
  config,
  capture,
  tree,
  mount,
  deliver,
  shipper,
  reporter,
  cluster,
  log,
  processMetrics = true,
}: {
  config: Config;
  capture: Capture;
  tree: CgroupTree;
  mount: string;
  deliver: Deliver;
  /** Absent with --print. */
  shipper?: Shipper;
  /** As is this. */
  reporter?: Reporter;
  /** Present with `cluster:` in the configuration. */
  cluster?: ClusterLink;
  log: Log;
  processMetrics?: boolean;
}): Promise<RunningAgent> {
  const inCluster = cluster?.open({ capture, tree, mount, log });
  const targets = inCluster ?? createTargets({ targets: config.targets ?? [], capture, tree, mount, log });
  let resolved = false;
  let stopping = false;

  const coverageOf = (addon: Coverage): AgentCoverage =>
    inCluster?.coverage(addon) ?? { ...addon, notes: targets.status().notes };
  const metrics = createMetrics({
    process: processMetrics,
    cluster: inCluster !== undefined,
    read: () => ({
      ledger: capture.ledger(),
      coverage: capture.coverage(),
      attempts: shipper?.attempts(),
      openTargets: targets.status().notes.length,
      clusterAgeMs: inCluster?.ageMs(),
    }),
  });
  const inTheWay = () => [
    ...(resolved ? [] : ['targets are being looked for']),
    ...(inCluster?.unread() ?? []),
    ...(stopping ? ['shutting down'] : []),
    ...[shipper?.trouble()?.sentence].filter((sentence) => sentence !== undefined),
  ];
  const ops = opsPages({
    metrics,
    ledger: () => capture.ledger(),
    coverage: () => coverageOf(capture.coverage()),
  });
  const servers = await serveAll(config, healthPages(inTheWay), ops).catch(async (error) => {
    await inCluster?.close();
    throw error;
  });

  const looking = await lookRepeatedly({
    mount,
    intervalMs: config.resolveIntervalMs,
    look: targets.resolve,
    ...(inCluster && { notice: inCluster.notice }),
  });
  resolved = true;
  const newTlsLines = tlsLines();
  const reporting = setInterval(() => {
    const addon = capture.coverage();
    for (const { level, text } of newTlsLines(addon)) log[level](text);
    reporter?.look({ coverage: coverageOf(addon), ledger: () => capture.ledger() });
  }, coverageLookMs);

  const giveUp = new AbortController();
  const done = pump({ capture, deliver, stopped: () => stopping, giveUp: giveUp.signal, maxInFlight });

  const finish = async () => {
    stopping = true;
    looking.close();
    clearInterval(reporting);
    reporter?.stop();
    // Before it says goodbye to the API server: that may take its time.
    capture.stop();
    const left = inCluster?.close();
    const grace = setTimeout(() => giveUp.abort(), config.shutdownGraceMs);
    try {
      await done;
      log.info(ledgerLine(capture.ledger()));
    } finally {
      clearTimeout(grace);
      await left;
      capture.close();
      for (const server of servers) server.close();
    }
  };
  let finished: Promise<void> | undefined;

  return {
    done,
    ports: { health: servers[0].port, metrics: servers[1].port },
    stop() {
      if (finished !== undefined) giveUp.abort();
      finished ??= finish();
      return finished;
    },
  };
}

type Served = Awaited<ReturnType<typeof serve>>;

async function serveAll(
  { listen }: Config,
  health: Parameters<typeof serve>[0],
  ops: Parameters<typeof serve>[0],
): Promise<[Served, Served]> {
  const first = await serve(health, listen.health, 'listen.health');
  try {
    return [first, await serve(ops, listen.metrics, 'listen.metrics')];
  } catch (error) {
    first.close();
    throw error;
  }
}

/** What of the configuration is the addon's; what is not written is left to its defaults. */
export function captureOptions({ node, limits, tls }: Config, agentVersion: string): CaptureOptions {
  const written = Object.entries({ ...limits, node, agentVersion, tlsMode: tls.mode }).filter(
    ([, value]) => value !== undefined,
  );
  return Object.fromEntries(written);
}
