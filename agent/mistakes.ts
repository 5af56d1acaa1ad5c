// Mistakes in podmirror.yaml in words: the line, what is wrong, what to write.
import type { z } from 'zod';
import type { Source } from './source.ts';
import { suggest } from './suggest.ts';

export interface Mistake {
  file: string;
  line: number;
  /** `targets[0].cgroup`; empty: the file as a whole. */
  where: string;
  what: string;
}

/** Every mistake of one file; `message` has a line for each, in the order of the file. */
export class ConfigError extends Error {
  readonly mistakes: readonly Mistake[];

  constructor(mistakes: readonly Mistake[]) {
    const sorted = [...mistakes].sort((a, b) => a.line - b.line);
    super(sorted.map(renderMistake).join('\n'));
    this.name = 'ConfigError';
    this.mistakes = sorted;
  }
}

function renderMistake({ file, line, where, what }: Mistake): string {
  return [`${file}:${line}`, ...(where === '' ? [] : [where]), `${what}.`].join(': ');
}

/** What to write at each place; the keys are also what a misspelt key is compared with. */
export const remedies: Record<string, string> = {
  '': 'Write keys at the left margin: targets:, processor:',
  cluster: 'Write {} to take node and namespace from NODE_NAME and POD_NAMESPACE',
  'cluster.node':
    'Write the name of this node as `kubectl get nodes` shows it, or leave it out and set NODE_NAME',
  'cluster.namespace': 'Write the namespace that podmirror runs in, or leave it out and set POD_NAMESPACE',
  'cluster.events': 'Write true or false',
  node: "Write this machine's name, such as web-1, or leave it out",
  targets: 'Write a list with at least one target, such as - unit: nginx.service',
  'targets[]': 'Write exactly one of cgroup:, unit:, pid:, containerd:',
  'targets[].name': 'Write the name that the exchanges shall carry, such as shop',
  'targets[].cgroup':
    'Write a path or glob below the cgroup2 mount, such as /system.slice/nginx.service or /system.slice/*.service',
  'targets[].unit': 'Write a systemd unit or glob, such as nginx.service',
  'targets[].pid': 'Write the number of a running process, such as 1234',
  'targets[].containerd': 'Write the id of a container or a glob over names, such as web-*',
  processor: 'Write url:, ca:, cert: and key:',
  'processor.url': 'Write the address of the processor, such as https://127.0.0.1:8443',
  'processor.ca': "Write the file with the processor's CA, such as certs/ca.crt",
  'processor.cert': "Write the file with this agent's certificate, such as certs/agent.crt",
  'processor.key': 'Write the file with its key, such as certs/agent.key',
  'processor.serverName': "Write the name in the processor's certificate, or leave it out",
  limits: 'Write keys such as maxBodyBytes: 65536, or leave it out',
  'limits.ringBytes': 'Write a power of two in bytes, such as 8388608 (8 MiB)',
  'limits.maxFlows': 'Write a number of connections, such as 32768',
  'limits.maxConnectionsBytes': 'Write a number of bytes, such as 67108864 (64 MiB)',
  'limits.maxFlowBytes': 'Write a number of bytes, such as 262144',
  'limits.maxQueueBytes': 'Write a number of bytes, such as 33554432 (32 MiB)',
  'limits.maxBatchBytes': 'Write a number of bytes, such as 1048576 (1 MiB)',
  'limits.maxBodyBytes': 'Write a number of bytes, such as 65536; 0 keeps no bodies',
  'limits.responseHeaders': 'Write a list of header names, such as [content-type, server]',
  'limits.responseHeaders[]': 'Write the name of a header, such as server',
  tls: 'Write mode: auto, or leave it out',
  'tls.mode': 'Write auto, secrets, calls or off',
  listen: 'Write health: and metrics:, or leave it out',
  'listen.health': 'Write host:port, such as 127.0.0.1:11226',
  'listen.metrics': 'Write host:port, such as 127.0.0.1:9090',
  log: 'Write level:, or leave it out',
  'log.level': 'Write debug, info, warn or error',
  'log.style': 'Write text or json',
  resolveIntervalMs: 'Write milliseconds, such as 2000',
  shutdownGraceMs: 'Write milliseconds, such as 10000',
};

/** One mistake per problem; several unknown keys in one place are several mistakes. */
export function mistakesOf(issues: readonly z.core.$ZodIssue[], source: Source): Mistake[] {
  return issues.flatMap((issue) => {
    const path = issue.path;
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => mistakeAt(source, [...path, key], unknownKey(key, path)));
    }
    const problem = `${whatIsWrong(issue, valueAt(source.value, path))}. `;
    return [mistakeAt(source, path, problem + (hasRemedy(issue) ? '' : remedyFor(path)))].map(trimStop);
  });
}

function mistakeAt({ file, lineOf }: Source, path: readonly PropertyKey[], what: string): Mistake {
  return { file, line: lineOf(path), where: renderPath(path), what };
}

function trimStop(mistake: Mistake): Mistake {
  return { ...mistake, what: mistake.what.replace(/\.\s*$/, '') };
}

/** Our own checks may bring their remedy as a second sentence. */
function hasRemedy(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'custom' && issue.message.includes('. ');
}

function remedyFor(path: readonly PropertyKey[]): string {
  return remedies[schemaPath(path)] ?? 'See the example in README.md';
}

function unknownKey(key: string, parent: readonly PropertyKey[]): string {
  const known = keysBelow(schemaPath(parent));
  const near = suggest(key, known);
  return near ? `no such key. Write ${near}:` : `no such key. Write one of ${known.join(', ')}`;
}

function whatIsWrong(issue: z.core.$ZodIssue, value: unknown): string {
  if (value === undefined && issue.code === 'invalid_type') return 'it is missing';
  if (value === null) return 'nothing follows the colon';
  const shown = show(value);
  switch (issue.code) {
    case 'invalid_type':
      return `${shown} is not ${article(issue.expected)}`;
    case 'too_small':
      return typeof value === 'number' ? `${shown} is less than ${issue.minimum}` : 'it is empty';
    case 'too_big':
      return typeof value === 'number'
        ? `${shown} is more than ${issue.maximum}`
        : `it is longer than ${issue.maximum}`;
    case 'invalid_value':
      return `${shown} is none of ${issue.values.join(', ')}`;
    case 'custom':
      return value === undefined || typeof value === 'object' ? issue.message : `${shown}: ${issue.message}`;
    default:
      return `${shown} does not fit`;
  }
}

function article(type: string): string {
  const names: Record<string, string> = {
    object: 'a block of keys',
    array: 'a list',
    string: 'text (put it in quotes)',
    number: 'a number',
    int: 'a whole number',
  };
  return names[type] ?? `a ${type}`;
}

const maxShown = 60;

function show(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > maxShown ? `${json.slice(0, maxShown)}…` : json;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((parent, step) => {
    if (parent === null || typeof parent !== 'object') return undefined;
    return (parent as Record<PropertyKey, unknown>)[step];
  }, value);
}

function renderPath(path: readonly PropertyKey[]): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '');
}

function schemaPath(path: readonly PropertyKey[]): string {
  return renderPath(path).replace(/\[\d+\]/g, '[]');
}

function keysBelow(parent: string): string[] {
  const prefix = parent === '' ? '' : `${parent}.`;
  return Object.keys(remedies)
    .filter((path) => path !== '' && path.startsWith(prefix))
    .map((path) => path.slice(prefix.length))
    .filter((key) => !/[.[]/.test(key));
}
