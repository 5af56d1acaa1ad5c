// What to tell about a `connector` block that is accepted, but does not do all that it says.
import type { RouteConfig } from './route.ts';
import { type ConnectorConfig, meaninglessKeys } from './schema.ts';

/** Sentences for the log. */
export function notesOf(connector: ConnectorConfig): { warnings: string[]; ignored: string | undefined } {
  const names = ignoredKeys(connector);
  return {
    warnings: [
      ...connector.proxy_headers.flatMap(trustWarning),
      ...modeWarnings(connector.route_config, 'connector.route_config'),
      ...logWarnings(connector.log.log_file),
    ],
    ignored:
      names.length === 0 ? undefined : `configuration: these keys mean nothing here: ${names.join(', ')}`,
  };
}

function trustWarning(
  { trusted_networks }: ConnectorConfig['proxy_headers'][number],
  index: number,
): string[] {
  if (trusted_networks !== undefined) return [];
  const where = `connector.proxy_headers[${index}].trusted_networks`;
  return [
    `${where}: it is left out, so that every client may write the address under which it is recorded. Write the networks of your proxies, such as [10.0.0.0/8]`,
  ];
}

function modeWarnings({ wallarm_mode, routes = [] }: RouteConfig, where: string): string[] {
  const blocks = wallarm_mode === 'block' || wallarm_mode === 'safe_blocking';
  const warning = `${where}.wallarm_mode: ${wallarm_mode} only monitors here, nothing is ever blocked. Write monitoring`;
  const inner = routes.flatMap((route, index) => modeWarnings(route, `${where}.routes[${index}]`));
  return blocks ? [warning, ...inner] : inner;
}

function logWarnings(file: string): string[] {
  if (file === 'stdout' || file === 'stderr') return [];
  return [`connector.log.log_file: ${file} is not written, the log goes to stdout. Write stdout or stderr`];
}

function ignoredKeys({ log, route_config, ...connector }: ConnectorConfig): string[] {
  const given = Object.entries(connector).flatMap(([name, value]) =>
    meaninglessKeys.includes(name) && value !== undefined ? [`connector.${name}`] : [],
  );
  const ofLog = (['access_log', 'proton_log_mask'] as const).filter((name) => log[name] !== undefined);
  const tenants = JSON.stringify(route_config).includes('"wallarm_partner_client_uuid"');
  return [
    ...given,
    ...ofLog.map((name) => `connector.log.${name}`),
    ...(tenants ? ['wallarm_partner_client_uuid in connector.route_config'] : []),
  ];
}
