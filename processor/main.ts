// The processor: keeps what agents send, inspects it, tells about attacks. The only file here with side effects.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { watchCertificates } from '../certs/source.ts';
import { createApi } from './api/app.ts';
import { readTokenFile } from './api/token-file.ts';
import { type Config, readConfig } from './config.ts';
import { notesOf } from './connector/notes.ts';
import { createAgents } from './coverage/agents.ts';
import { createIngest } from './ingest/app.ts';
import { createIngestServer, useCertificates } from './ingest/server.ts';
import { inspectBatch, isCareful } from './inspection/inspect-batch.ts';
import { createPool } from './inspection/pool.ts';
import { startPump } from './inspection/pump.ts';
import { createLog, seldom } from './log.ts';
import { createOps } from './ops/app.ts';
import { createMetrics } from './ops/metrics.ts';
import { assembleRules } from './rules/folder.ts';
import { watchStore } from './store/health.ts';
import { openSqlite } from './store/sqlite.ts';
import { StoreUnavailable } from './store/store.ts';

const usage = 'Usage: node processor/main.ts --config <file.yaml>';
const pruneIntervalMs = 60_000;
const storeProbeIntervalMs = 2000;
// Strangers can cause these at will.
const seldomIntervalMs = 60_000;

try {
  await start(loadConfig());
} catch (error) {
  process.stderr.write(`podmirror processor: ${(error as Error).message}\n`);
  process.exit(1);
}

function loadConfig(): Config {
  const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  return readConfig(values.config === undefined ? '' : readText(values.config), process.env);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const advice = 'Give the path of a YAML file that this user may read in --config';
    throw new Error(`read configuration ${file}: ${(cause as Error).message}. ${advice}`, { cause });
  }
}

/** Beside the store, where no cleaner of /tmp takes it from workers that start later. Gone with the process. */
function makeRulesFolder(storeFile: string): string {
  const folder = mkdtempSync(`${storeFile}-rules-`);
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function start(config: Config): Promise<void> {
  const { ingest, api, ops, inspection } = config;
  const log = createLog(config.log);
  const notes = notesOf(config.connector);
  for (const warning of notes.warnings) log.warn(`configuration: ${warning}`);
  if (notes.ignored !== undefined) log.info(notes.ignored);
  const now = () => Date.now();
  const warnSeldom = seldom((message) => log.warn(message), seldomIntervalMs, now);
  const errorSeldom = seldom((message) => log.error(message), seldomIntervalMs, now);
  const onInternal = (error: Error) => void log.error(`answer a request: ${error.stack ?? error.message}`);
  let stopping = false;

  const token = api.token ?? readTokenFile(String(api.tokenFile), log);
  const store = openSqlite(config.store.file);
  const health = watchStore({
    store,
    intervalMs: storeProbeIntervalMs,
    onTrouble: (message) => log.error(`${message}. Agents are told to wait; this recovers by itself`),
    onRecovered: () => {
      log.info('the store takes writes again');
      pump.wake();
    },
  });
  const onStoreError = (error: Error) => {
    if (error instanceof StoreUnavailable) health.failed(error);
    else errorSeldom(`store: ${error.stack ?? error.message}`);
  };

  const rulesFiles = assembleRules({ ...inspection, folder: makeRulesFolder(config.store.file) });
  const pool = createPool({
    workers: inspection.workers,
    timeoutMs: inspection.timeoutMs,
    settings: {
      rulesFiles,
      connector: { connector: config.connector, realIp: config.realIp },
      maxBodyBytes: inspection.maxBodyBytes,
      maxArguments: inspection.maxArguments,
      threshold: inspection.threshold,
      maxRecordedBodyBytes: inspection.maxRecordedBodyBytes,
    },
    onTrouble: (message) => {
      metrics.workerTroubles.inc();
      warnSeldom(`inspection: ${message}`);
    },
  });
  const coverage = createAgents({ now });
  const metrics = createMetrics({
    stats: store.stats,
    backlog: store.backlog,
    workers: pool.alive,
    agents: coverage.count,
  });
  await pool.ready;

  const pump = startPump({
    store,
    maxBatches: inspection.workers + 1,
    runsAlone: isCareful,
    onTrouble: onStoreError,
    inspect: (pending) =>
      inspectBatch({
        maxRecordedBodyBytes: inspection.maxRecordedBodyBytes,
        pending,
        pool,
        suspect: (index) => store.suspect(pending.seq, index),
        onDrop: (message) => warnSeldom(`not inspected: ${message}`),
      }),
  });

  const certificates = watchCertificates({
    ...ingest,
    intervalMs: ingest.reloadIntervalMs,
    onReload: (pair) => {
      useCertificates(ingestServer, pair);
      log.info('new certificates are in use');
    },
    onError: (error) => log.error(`${error.message}; the old pair stays in use`),
  });
  const ingestApp = createIngest({
    ...ingest,
    store,
    coverage,
    isStopping: () => stopping,
    now,
    onAccepted: () => pump.wake(),
    onRefused: (code, what) => metrics.refused[what].inc({ code }),
    onStoreUnavailable: onStoreError,
    onInternal,
  });
  const ingestServer = createIngestServer(ingestApp, certificates.current(), warnSeldom);
  const apiServer = createServer(createApi({ store, stats: store.stats, coverage, token, onInternal }));
  const inTheWay = () => [
    ...(stopping ? ['it is stopping'] : []),
    ...(health.trouble() === undefined ? [] : [String(health.trouble())]),
    ...(pool.alive() === 0 ? ['no inspection worker is alive'] : []),
  ];
  const opsServer = createServer(createOps({ inTheWay, metrics: metrics.registry, onInternal }));

  const pruning = setInterval(() => {
    try {
      store.prune(config.store, now());
    } catch (error) {
      onStoreError(error as Error);
    }
  }, pruneIntervalMs);

  const servers: [string, Server, { host: string; port: number }][] = [
    ['ingest', ingestServer, ingest],
    ['api', apiServer, api],
    ['ops', opsServer, ops],
  ];
  for (const [name, server, { host, port }] of servers) {
    server.on('error', (error) => warnSeldom(`${name}: ${error.message}`));
    log.info(`${name} listens on ${await listen(server, host, port, name)}`);
  }
  log.info(`ready: ${rulesFiles.length} files of rules, ${inspection.workers} workers`);

  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info(`${signal}: finishing what is under way`);
    clearInterval(pruning);
    certificates.close();
    await Promise.all([close(ingestServer, config.shutdownGraceMs), close(apiServer, 1000)]);
    await pump.stop(config.shutdownGraceMs);
    await pool.close();
    health.close();
    store.close();
    await close(opsServer, 100);
    log.info('stopped');
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
}

/** Resolves with the address, or rejects with `listen on <address>: <cause>. <what to do>`. */
function listen(server: Server, host: string, port: number, section: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  server.on('error', (cause) => {
    const advice = `Write another ${section}.host or ${section}.port`;
    reject(new Error(`listen on ${host}:${port}: ${cause.message}. ${advice}`, { cause }));
  });
  server.listen({ host, port }, () => {
    const { address, port } = server.address() as AddressInfo;
    resolve(address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);
  });
  return promise;
}

/** Takes no new connections; requests under way have `graceMs` to end. */
async function close(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
