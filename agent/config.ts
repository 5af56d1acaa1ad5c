// podmirror.yaml: what to mirror on this machine and where to send it.
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { ConfigError, mistakesOf } from './mistakes.ts';
import { patternMistake } from './pattern.ts';
import { parseSource } from './source.ts';
import { tlsModes } from './tls-mode.ts';

const kinds = ['cgroup', 'unit', 'pid', 'containerd'] as const;

const text = z.string().min(1).max(4096);
const glob = text.superRefine((value, context) => {
  const message = patternMistake(value);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

const cgroup = glob
  .refine((value) => value.startsWith('/'), 'it does not begin with /')
  .refine((value) => value === '/' || !value.endsWith('/'), 'it ends with /')
  .refine((value) => value !== '/', 'that is the whole machine, and only named workloads are mirrored');

const target = z
  .strictObject({
    name: text.max(253).optional(),
    cgroup: cgroup.optional(),
    unit: glob.optional(),
    pid: z.int().min(1).max(4_194_304).optional(),
    containerd: glob.optional(),
  })
  .superRefine((value, context) => {
    const written = kinds.filter((kind) => value[kind] !== undefined);
    if (written.length === 1) return;
    const message =
      written.length === 0 ? 'nothing says what to mirror' : `${written.join(' and ')} in one target`;
    context.addIssue({ code: 'custom', message });
  });

const bytes = (least: number, most: number) => z.int().min(least).max(most).optional();
const [kib, mib, gib] = [2 ** 10, 2 ** 20, 2 ** 30];

const limits = z.strictObject({
  ringBytes: z
    .int()
    .min(64 * kib)
    .max(gib)
    .refine((value) => Number.isInteger(Math.log2(value)), 'not a power of two')
    .optional(),
  maxFlows: z.int().min(16).max(4_194_304).optional(),
  maxConnectionsBytes: bytes(mib, 2 * gib),
  maxFlowBytes: bytes(4 * kib, gib),
  maxQueueBytes: bytes(mib, 2 * gib),
  maxBatchBytes: bytes(4 * kib, 64 * mib),
  maxBodyBytes: bytes(0, 16 * mib),
  responseHeaders: z
    .array(text.max(256).regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/))
    .max(256)
    .optional(),
});

const processor = z.strictObject({
  url: text
    .refine((value) => URL.canParse(value), 'not a URL')
    .refine((value) => !URL.canParse(value) || new URL(value).protocol === 'https:', 'not https'),
  ca: text,
  cert: text,
  key: text,
  serverName: text.max(253).optional(),
});

/** `host:port`, `[::1]:port`; port 0 lets the kernel choose. */
const address = text.regex(/^(\[[0-9a-fA-F:.%]+\]|[^\s:[\]]+):\d{1,5}$/).refine((value) => {
  return Number(value.slice(value.lastIndexOf(':') + 1)) <= 65_535;
}, 'no such port');

const cluster = z.strictObject({
  node: text.max(253).optional(),
  namespace: text.max(63).optional(),
  events: z.boolean().default(true),
});

const schema = z
  .strictObject({
    node: text.max(253).optional(),
    targets: z.array(target).min(1).max(4096).optional(),
    cluster: cluster.optional(),
    processor: processor.optional(),
    limits: limits.prefault({}),
    tls: z.strictObject({ mode: z.enum(tlsModes).default('auto') }).prefault({}),
    listen: z
      .strictObject({
        health: address.default('127.0.0.1:11226'),
        metrics: address.default('127.0.0.1:9090'),
      })
      .prefault({}),
    log: z
      .strictObject({
        level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
        style: z.enum(['text', 'json']).default('text'),
      })
      .prefault({}),
    // A restarted service gets a new cgroup; this long at most its requests are missed.
    resolveIntervalMs: z.int().min(100).max(3_600_000).default(2000),
    shutdownGraceMs: z.int().min(0).max(600_000).default(10_000),
  })
  .superRefine(({ targets, cluster }, context) => {
    if ((targets === undefined) !== (cluster === undefined)) return;
    const message =
      targets === undefined ? 'nothing says what to mirror' : 'targets: and cluster: in one file';
    context.addIssue({
      code: 'custom',
      message: `${message}. Write targets: on a single machine, or cluster: {} in a pod of a cluster`,
    });
  });

export type Config = z.output<typeof schema>;
export type TargetConfig = NonNullable<Config['targets']>[number];
export type ClusterConfig = NonNullable<Config['cluster']>;
export type ProcessorConfig = NonNullable<Config['processor']>;

/**
 * Reads the text of a configuration. Certificate paths are taken from the folder of `file`.
 * Throws ConfigError with every mistake, each as `<file>:<line>: <where>: <what is wrong>. <what to write>`.
 */
export function parseConfig(yaml: string, file: string): Config {
  const source = parseSource(yaml, file);
  const result = schema.safeParse(source.value);
  if (!result.success) throw new ConfigError(mistakesOf(result.error.issues, source));
  const config = result.data;
  if (config.processor) config.processor = absolutePaths(config.processor, dirname(file));
  return config;
}

function absolutePaths(processor: ProcessorConfig, dir: string): ProcessorConfig {
  const { ca, cert, key } = processor;
  return { ...processor, ca: resolve(dir, ca), cert: resolve(dir, cert), key: resolve(dir, key) };
}
