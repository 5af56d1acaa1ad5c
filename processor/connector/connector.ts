// From an exchange: who sent it to which host, and whether the configuration wants it inspected.
import type { Exchange } from '../exchange.ts';
import { type Client, clientOf, type Proxies, proxiesOf } from './client.ts';
import { compileHostGlob, originalHost, sentHost } from './host.ts';
import { compileInputFilters } from './input-filter.ts';
import { parseNetwork } from './network.ts';
import { pathForms } from './path.ts';
import { compileRoutes } from './route.ts';
import type { ConnectorConfig, RealIpConfig } from './schema.ts';

export interface Origin {
  client: Client;
  /** As the client asked for it, perhaps with a port; empty: it named none. */
  host: string;
  /** Absent: no route says one. */
  application?: number;
}

/** Why the configuration does not want an exchange inspected. */
export type Exclusion = 'host_not_allowed' | 'bypassed' | 'not_selected' | 'mode_off';

export interface Reading {
  origin: Origin;
  /** Absent: it is to be inspected. */
  excluded?: Exclusion;
}

export interface ConnectorSettings {
  connector: ConnectorConfig;
  realIp: RealIpConfig;
}

// A name of the DNS has 253 at most; it is recorded with each hit.
const maxHostChars = 300;

export function createConnector({
  connector,
  realIp,
}: ConnectorSettings): (exchange: Pick<Exchange, 'connection' | 'request'>) => Reading {
  const rules = connector.proxy_headers.map(({ trusted_networks, real_ip, original_host }) =>
    proxies(trusted_networks ?? null, real_ip, original_host),
  );
  const balancer = proxies(realIp.trustedCIDRs, [realIp.header], []);
  const allowedHosts = connector.allowed_hosts.map(compileHostGlob);
  const filter = compileInputFilters(connector.input_filters);
  const route = compileRoutes(connector.route_config);

  return ({ connection, request }) => {
    const peer = connection.clientAddress;
    const rule = proxiesOf(peer, rules);
    // A rule about hosts alone leaves the address to the load balancer's header.
    const ofAddress = rule && rule.realIp.length > 0 ? rule : proxiesOf(peer, [balancer]);
    const sent = sentHost(request).slice(0, maxHostChars);
    const host = originalHost(request.headers, rule)?.slice(0, maxHostChars) ?? sent;
    const paths = pathForms(request.target);
    const { application, isOff } = route(host, paths);
    const origin = {
      client: clientOf(peer, request.headers, ofAddress),
      host,
      ...(application !== undefined && { application }),
    };

    const isAllowed =
      allowedHosts.length === 0 || allowedHosts.some((glob) => glob.matches(host) || glob.matches(sent));
    if (!isAllowed) return { origin, excluded: 'host_not_allowed' };
    const verdict = filter({ paths, host, headers: request.headers });
    if (verdict !== 'inspected') return { origin, excluded: verdict };
    return isOff ? { origin, excluded: 'mode_off' } : { origin };
  };
}

function proxies(
  networks: readonly string[] | null,
  realIp: readonly string[],
  originalHost: readonly string[],
): Proxies {
  const trusted = networks?.flatMap((text) => parseNetwork(text) ?? []) ?? null;
  return { trusted, realIp, originalHost };
}
