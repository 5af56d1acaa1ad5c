// The processor's configuration: YAML, then the environment over it.
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { connectorRemedies, connectorSchema, realIpSchema } from './connector/schema.ts';
import { environmentOf } from './environment.ts';
import type { LogSettings } from './log.ts';

const mib = 1024 * 1024;

const port = (fallback: number) => z.int().min(0).max(65_535).default(fallback);
const amount = (fallback: number, min = 1) => z.int().min(min).default(fallback);
// Loopback unless someone says otherwise.
const host = z.string().min(1).default('127.0.0.1');
const file = z.string().min(1);

const schema = z.strictObject({
  ingest: z.strictObject({
    host,
    port: port(8443),
    certFile: file,
    keyFile: file,
    caFile: file,
    agents: z.array(z.string().min(1)).default([]),
    reloadIntervalMs: amount(10_000, 100),
    maxBatchBytes: amount(8 * mib, 1024),
    maxBacklogBytes: amount(256 * mib, 1024),
  }),
  api: z
    .strictObject({
      host,
      port: port(8080),
      token: z.string().min(16).optional(),
      tokenFile: file.optional(),
    })
    .refine(({ token, tokenFile }) => token !== undefined || tokenFile !== undefined, 'no token'),
  ops: z.strictObject({ host, port: port(11227) }).prefault({}),
  store: z.strictObject({
    file,
    maxHits: amount(100_000),
    keepDays: amount(30),
  }),
  inspection: z
    .strictObject({
      crsFolder: file.default(
        join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'podmirror/crs-4.25.0'),
      ),
      paranoia: z.int().min(1).max(4).default(1),
      threshold: amount(5),
      workers: amount(Math.max(1, availableParallelism() - 1)),
      timeoutMs: amount(5000, 100),
      maxBodyBytes: amount(128 * 1024, 0),
      maxArguments: amount(255),
      maxRecordedBodyBytes: amount(16 * 1024, 0),
    })
    .prefault({}),
  connector: connectorSchema,
  realIp: realIpSchema,
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).optional() }).prefault({}),
  shutdownGraceMs: amount(10_000, 0),
});

export type Config = Omit<z.infer<typeof schema>, 'log'> & { log: LogSettings };

/** What to write at each place; its keys are also all that may be written. */
export const remedies: Readonly<Record<string, string>> = {
  ingest: 'Write certFile:, keyFile: and caFile:',
  'ingest.host': 'Write an address to listen on, such as 127.0.0.1 or 0.0.0.0',
  'ingest.port': 'Write a port, such as 8443',
  'ingest.certFile': "Write the file with the processor's certificate, such as certs/processor.crt",
  'ingest.keyFile': 'Write the file with its key, such as certs/processor.key',
  'ingest.caFile': "Write the file with the CA that signs the agents' certificates, such as certs/ca.crt",
  'ingest.agents': 'Write a list of names in client certificates, such as [podmirror-agent], or leave it out',
  'ingest.reloadIntervalMs':
    'Write how often to look at the certificate files in milliseconds, such as 10000',
  'ingest.maxBatchBytes': 'Write a number of bytes from 1024, such as 8388608 (8 MiB)',
  'ingest.maxBacklogBytes': 'Write a number of bytes from 1024, such as 268435456 (256 MiB)',
  api: 'Write token: or tokenFile:',
  'api.host': 'Write an address to listen on, such as 127.0.0.1',
  'api.port': 'Write a port, such as 8080',
  'api.token': 'Write 16 characters or more, such as the output of: openssl rand -hex 24',
  'api.tokenFile':
    'Write a file with the token, such as /var/lib/podmirror/token; it is made when it is not there',
  ops: 'Write host: and port:, or leave it out',
  'ops.host': 'Write an address to listen on, such as 127.0.0.1',
  'ops.port': 'Write a port, such as 11227',
  store: 'Write file:',
  'store.file': 'Write the file of the database, such as /var/lib/podmirror/processor.db',
  'store.maxHits': 'Write how many malicious exchanges to keep, such as 100000',
  'store.keepDays': 'Write a number of days, such as 30',
  inspection: 'Write keys such as workers: 2, or leave it out',
  'inspection.crsFolder': 'Write the folder that processor/rules/crs.sh prints',
  'inspection.paranoia': 'Write 1 (few false alarms) to 4',
  'inspection.threshold': 'Write the CRS anomaly score that makes an attack, such as 5',
  'inspection.workers': 'Write a number of threads, such as 2',
  'inspection.timeoutMs': 'Write milliseconds from 100, such as 5000',
  'inspection.maxBodyBytes': 'Write a number of bytes, such as 131072; 0 inspects no bodies',
  'inspection.maxArguments': 'Write how many arguments to inspect, such as 255',
  'inspection.maxRecordedBodyBytes': 'Write a number of bytes, such as 16384; 0 records no bodies',
  ...connectorRemedies,
  log: 'Write level:, or leave it out',
  'log.level': 'Write debug, info, warn or error',
  shutdownGraceMs: 'Write milliseconds, such as 10000',
};

/** Every mistake at once, one per line: `<where>: <what is wrong>. <what to write instead>`. */
export class ConfigError extends Error {}

/**
 * `text`: the YAML, empty when there is none. `env`: PODMIRROR_PROCESSOR_API_TOKEN is `api.token`, and so on.
 * Throws ConfigError.
 */
export function readConfig(text: string, env: Readonly<Record<string, string | undefined>>): Config {
  const value = parseYaml(text) ?? {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigError(
      'configuration: not a block of keys. Write keys at the left margin: ingest:, api:, store:',
    );
  }
  const { overrides, mistakes } = environmentOf(env, Object.keys(remedies).filter(hasVariable));
  const parsed = schema.safeParse(merge(value as Block, overrides), { reportInput: true });
  const wrong = [...mistakes, ...(parsed.success ? [] : parsed.error.issues.flatMap(sentencesOf))];
  if (wrong.length > 0 || !parsed.data) throw new ConfigError(wrong.join('\n'));
  return { ...parsed.data, log: logSettings(parsed.data) };
}

/** The connector's blocks are deep and have lists of lists. */
const hasVariable = (path: string): boolean => !path.startsWith('connector');

/** Our own `log.level` over the connector's; it knows `fatal`, we end with an `error`. */
function logSettings({ log, connector }: z.infer<typeof schema>): LogSettings {
  const { level, pretty, log_file } = connector.log;
  return {
    level: log.level ?? (level === 'fatal' ? 'error' : level) ?? 'info',
    isPretty: pretty,
    toStderr: log_file === 'stderr',
  };
}

/** Tells codes and lines only: the parser's own messages quote the text, and the token is in it. */
function parseYaml(text: string): unknown {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  if (document.errors.length > 0) {
    const sentences = document.errors.map(({ code, pos }) => {
      const line = Math.max(1, lineCounter.linePos(pos[0]).line);
      return `configuration: line ${line}: no YAML (${code}). Mend it at that line; quote values with special characters`;
    });
    throw new ConfigError(sentences.join('\n'));
  }
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    throw new ConfigError('configuration: an alias (*) stands for nothing or too much. Write the values out');
  }
}

type Block = Record<string, unknown>;

/** `over` has paths of one or two steps. */
function merge(base: Block, over: Block): Block {
  const merged = { ...base };
  for (const [path, value] of Object.entries(over)) {
    const [section = '', key] = path.split('.');
    const block = merged[section];
    merged[section] =
      key === undefined ? value : { ...(typeof block === 'object' ? block : {}), [key]: value };
  }
  return merged;
}

function sentencesOf(issue: z.core.$ZodIssue): string[] {
  const where = placeOf(issue.path);
  const path = issue.path
    .filter((step) => typeof step === 'string')
    .join('.')
    // A route within a route is written as one.
    .replace(/(\.routes)+/g, '.routes');
  if (issue.code === 'unrecognized_keys') {
    const prefix = path === '' ? '' : `${path}.`;
    const known = Object.keys(remedies).flatMap((key) => {
      const name = key.slice(prefix.length);
      return key.startsWith(prefix) && !name.includes('.') ? [name] : [];
    });
    const place = where === '' ? '' : `${where}.`;
    return issue.keys.map((key) => `${place}${key}: no such key. Write one of ${known.join(', ')}`);
  }
  return [`${where}: ${whatIsWrong(issue)}. ${remedyOf(path)}`];
}

/** `connector.proxy_headers[0].real_ip`. */
const placeOf = (path: readonly PropertyKey[]): string =>
  path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .slice(1);

/** Of the place, or of the nearest one around it. */
function remedyOf(path: string): string {
  for (let place = path; place !== ''; place = place.slice(0, Math.max(0, place.lastIndexOf('.')))) {
    const remedy = remedies[place];
    if (remedy !== undefined) return remedy;
  }
  return 'See the example in README.md';
}

function whatIsWrong(issue: z.core.$ZodIssue): string {
  if (issue.code === 'custom') return issue.message;
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? 'it is no name of a header';
  if (issue.code === 'invalid_type')
    return issue.input === undefined ? 'it is missing' : `it is not a ${issue.expected}`;
  if (issue.code === 'too_small')
    return issue.origin === 'array'
      ? 'it is empty'
      : `it is less than ${issue.minimum}${issue.origin === 'string' ? ' characters' : ''}`;
  if (issue.code === 'too_big') return `it is more than ${issue.maximum}`;
  return 'it does not fit';
}
