// Where the API server is and who we are there.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { isIPv6 } from 'node:net';
import { delimiter, join } from 'node:path';
import type { Clock } from './clock.ts';

export interface Connection {
  /** May end in a path: https://proxy/k8s/clusters/c-1 */
  server: URL;
  /** The namespace that we run in, when that is known. */
  namespace: string | undefined;
  /** For one request. `fresh`: the last one was answered 401, read again whatever was kept. */
  credentials(fresh?: boolean): Promise<Credentials>;
  /** Closes idle sockets. */
  close(): void;
}

export interface Credentials {
  headers: Record<string, string>;
  agent: http.Agent;
}

// Dead peers are found by TCP: first probe after 15 s of silence, then (libuv) one per second, ten of them.
export const keepAliveMs = 15_000;
const agentOptions = {
  keepAlive: true,
  keepAliveMsecs: keepAliveMs,
  maxFreeSockets: 4,
  scheduling: 'lifo',
} as const;

// Kubelets write a new token long before the old one ends; client-go looks every minute too.
const keepMs = 60_000;

/** For tests and `kubectl proxy`. */
export function plainConnection(server: string, headers: Record<string, string> = {}): Connection {
  const agent = new http.Agent(agentOptions);
  return {
    server: new URL(server),
    namespace: undefined,
    credentials: async () => ({ headers, agent }),
    close: () => agent.destroy(),
  };
}

/**
 * A pod's ServiceAccount. Done here in a few lines and not by @kubernetes/client-node, whose import alone costs
 * 85 MiB of resident memory; it is only loaded for kubeconfig files.
 */
export async function inClusterConnection({
  env,
  clock,
  root = '/var/run/secrets/kubernetes.io/serviceaccount',
}: {
  env: Record<string, string | undefined>;
  clock: Clock;
  root?: string;
}): Promise<Connection> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (!host) throw new Error('KUBERNETES_SERVICE_HOST: is not set. Run in a pod, or name a kubeconfig file');
  const read = (name: string) => readFile(join(root, name), 'utf8');
  const namespace = await read('namespace').catch(() => undefined);

  let kept: { ca: string; token: string; agent: https.Agent; at: number } | undefined;
  const renew = async () => {
    const [ca, token] = await Promise.all([read('ca.crt'), read('token')]);
    // Sockets that are in use stay with the old agent until they end.
    const agent = kept?.ca === ca ? kept.agent : new https.Agent({ ...agentOptions, ca });
    kept = { ca, token: token.trim(), agent, at: clock.now() };
    return kept;
  };
  await renew();

  return {
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    namespace: namespace?.trim(),
    async credentials(fresh) {
      const old = kept;
      const usable = old && !fresh && clock.now() - old.at < keepMs;
      // While the files cannot be read, what is known may still do.
      const { token, agent } = usable
        ? old
        : await renew().catch((error) => {
            if (old) return old;
            throw error;
          });
      return { headers: { authorization: `Bearer ${token}` }, agent };
    },
    close: () => kept?.agent.destroy(),
  };
}

/** A kubeconfig file, with all that @kubernetes/client-node understands: exec plugins, OIDC, certificates, proxies. */
export async function kubeConfigConnection({
  file,
  context,
  clock,
}: {
  file: string;
  context?: string | undefined;
  clock: Clock;
}): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromFile(file);
  if (context !== undefined) config.setCurrentContext(context);
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error(`${file}: has no cluster for its current context. Name one with --context`);
  const server = new URL(cluster.server);

  let kept: (Credentials & { material: string; at: number }) | undefined;
  const renew = async () => {
    const options: https.RequestOptions = {};
    if (server.protocol === 'https:') await config.applyToHTTPSOptions(options);
    const { ca, cert, key, servername, rejectUnauthorized, headers, auth } = options;
    const given = Object.entries({ ca, cert, key, servername, rejectUnauthorized });
    const tls = Object.fromEntries(given.filter(([, value]) => value !== undefined));
    const material = JSON.stringify(tls);
    const makeAgent = () => {
      // The client's own agents do not keep connections alive; only those to a proxy are needed.
      if (cluster.proxyUrl) return options.agent as http.Agent;
      return server.protocol === 'https:'
        ? new https.Agent({ ...agentOptions, ...tls })
        : new http.Agent(agentOptions);
    };
    const agent = kept?.material === material ? kept.agent : makeAgent();
    const basic = auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {};
    kept = { material, agent, headers: { ...basic, ...lowerCased(headers) }, at: clock.now() };
    return kept;
  };

  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    async credentials(fresh) {
      if (kept && !fresh && clock.now() - kept.at < keepMs) return kept;
      return await renew();
    },
    close: () => kept?.agent.destroy(),
  };
}

function lowerCased(headers: unknown): Record<string, string> {
  const entries = Object.entries((headers ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), String(value).trim()]));
}

/** The file that KUBECONFIG names. Throws when it names several, which kubectl would merge. */
export function kubeconfigOf({ KUBECONFIG = '' }: Record<string, string | undefined>): string | undefined {
  const [file, ...more] = KUBECONFIG.split(delimiter).filter((name) => name !== '');
  if (more.length === 0) return file;
  throw new Error(
    'KUBECONFIG names several files. Name one with --kubeconfig, or join them: kubectl config view --flatten --minify',
  );
}

/** A named kubeconfig, else KUBECONFIG, else the pod we run in. */
export async function findConnection({
  env,
  clock,
  kubeconfig = kubeconfigOf(env),
  context,
}: {
  env: Record<string, string | undefined>;
  clock: Clock;
  kubeconfig?: string | undefined;
  context?: string | undefined;
}): Promise<Connection> {
  return kubeconfig
    ? await kubeConfigConnection({ file: kubeconfig, context, clock })
    : await inClusterConnection({ env, clock });
}
