// The command line of the webhook: what the Deployment's args may say.
import { parseArgs } from 'node:util';
import type { CertificateFiles } from '../certs/source.ts';
import { isNamespaceName } from './explain/question.ts';
import { isQualifiedName } from './intent/filter-schema.ts';
import { defaultSettings, type Settings } from './intent/model.ts';

export const usage = `usage: node webhook/main.ts [options]

Decides which pods are mirrored: answers the API server's admission reviews, and keeps the ConfigMap podmirror-intent.

  --namespace <name>          podmirror's own namespace (POD_NAMESPACE, or that of the ServiceAccount)
  --cert-file <file>          certificate that the API server sees (/etc/podmirror/tls/tls.crt)
  --key-file <file>           its key (/etc/podmirror/tls/tls.key)
  --ca-file <file>            its CA (/etc/podmirror/tls/ca.crt)
  --self-signed               without cert-manager: makes certificates for itself, processor and agent, keeps them in
                              Secrets, and renews them; the three files above are not read
  --ca-spread-seconds <n>     how long a new CA is made known before anything is signed with it (900)
  --host <address>            where to listen (all addresses)
  --port <port>               admission, HTTPS (8443)
  --health-port <port>        /live and /ready (11226)
  --ops-port <port>           /metrics; /explain, from inside the pod only (9090)
  --label-key <key>           label of namespaces (wallarm-mirror)
  --annotation-key <key>      annotation of pods (mirror.wallarm.com/enabled)
  --exclude-namespace <name>  never mirrored, as kube-system is anyway; may be given again
  --drain-seconds <n>         goes on answering this long after SIGTERM (10)
  --kubeconfig <file>         instead of the pod's ServiceAccount (KUBECONFIG)
  --log-level <level>         error, warn, info or debug (info)
  --log-style <style>         text or json (text)
  --version, --help
`;

export interface Flags {
  /** undefined: as the connection says. */
  namespace: string | undefined;
  kubeconfig: string | undefined;
  certificates: CertificateFiles;
  selfSigned: SelfSignedFlags | undefined;
  /** undefined: all addresses, of IPv6 too where there is any. */
  host: string | undefined;
  ports: Ports;
  drainMs: number;
  log: { level: string; style: 'text' | 'json' };
  settings: Omit<Settings, 'ownNamespace'>;
}

export interface SelfSignedFlags {
  /** How long a new CA is made known before anything is signed with it. */
  spreadMs: number;
}

export interface Ports {
  admission: number;
  health: number;
  ops: number;
}

export type Command = { run: Flags } | { print: 'usage' | 'version' };

/** Throws with every mistake at once; each says which flag and what to write. */
export function readFlags(args: string[], env: Record<string, string | undefined>): Command {
  const values = parse(args);
  if (values.help) return { print: 'usage' };
  if (values.version) return { print: 'version' };
  const mistakes: string[] = [];
  const take = <T>(flag: string, value: T, isRight: (value: T) => boolean, instead: string): T => {
    if (!isRight(value)) mistakes.push(`--${flag} ${JSON.stringify(value)}: write ${instead}`);
    return value;
  };
  const port = (flag: 'port' | 'health-port' | 'ops-port') =>
    take(flag, Number(values[flag]), isPort, 'a number from 0 to 65535 (0: any that is free)');
  const key = (flag: 'label-key' | 'annotation-key') =>
    take(flag, values[flag], isQualifiedName, 'a Kubernetes key, such as example.com/mirror');
  const name = (flag: string, value: string) =>
    take(flag, value, isNamespaceName, 'the name of a namespace: lower case letters, digits and hyphens');

  const spreadMs =
    1000 * take('ca-spread-seconds', Number(values['ca-spread-seconds']), isSpread, 'seconds, 0 to 86400');

  const namespace = values.namespace ?? env.POD_NAMESPACE;
  const flags: Flags = {
    namespace: namespace === undefined ? undefined : name('namespace', namespace),
    kubeconfig: values.kubeconfig ?? env.KUBECONFIG,
    certificates: {
      certFile: values['cert-file'],
      keyFile: values['key-file'],
      caFile: values['ca-file'],
    },
    selfSigned: values['self-signed'] ? { spreadMs } : undefined,
    host: values.host,
    ports: { admission: port('port'), health: port('health-port'), ops: port('ops-port') },
    drainMs:
      1000 *
      take('drain-seconds', Number(values['drain-seconds']), (n) => n >= 0 && n <= 600, 'seconds, up to 600'),
    log: {
      level: take('log-level', values['log-level'], (word) => levels.includes(word), levels.join(', ')),
      style: take('log-style', values['log-style'], isStyle, 'text or json') === 'json' ? 'json' : 'text',
    },
    settings: {
      labelKey: key('label-key'),
      annotationKey: key('annotation-key'),
      excludedNamespaces: [
        ...new Set([
          ...alwaysExcluded,
          ...values['exclude-namespace'].map((value) => name('exclude-namespace', value)),
        ]),
      ],
    },
  };
  if (mistakes.length > 0) throw new Error(mistakes.join('\n'));
  return { run: flags };
}

const folder = '/etc/podmirror/tls';
const levels = ['error', 'warn', 'info', 'debug'];
const { labelKey, annotationKey, excludedNamespaces: alwaysExcluded } = defaultSettings('');

function parse(args: string[]) {
  return parseArgs({
    args,
    options: {
      namespace: { type: 'string' },
      'cert-file': { type: 'string', default: `${folder}/tls.crt` },
      'key-file': { type: 'string', default: `${folder}/tls.key` },
      'ca-file': { type: 'string', default: `${folder}/ca.crt` },
      'self-signed': { type: 'boolean', default: false },
      'ca-spread-seconds': { type: 'string', default: '900' },
      host: { type: 'string' },
      port: { type: 'string', default: '8443' },
      'health-port': { type: 'string', default: '11226' },
      'ops-port': { type: 'string', default: '9090' },
      'label-key': { type: 'string', default: labelKey },
      'annotation-key': { type: 'string', default: annotationKey },
      'exclude-namespace': { type: 'string', multiple: true, default: [] },
      'drain-seconds': { type: 'string', default: '10' },
      kubeconfig: { type: 'string' },
      'log-level': { type: 'string', default: 'info' },
      'log-style': { type: 'string', default: 'text' },
      version: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  }).values;
}

const isPort = (port: number) => Number.isInteger(port) && port >= 0 && port <= 65_535;
const isSpread = (seconds: number) => seconds >= 0 && seconds <= 86_400;
const isStyle = (word: string) => word === 'text' || word === 'json';
