// The configuration's keys `connector` and `realIp`. Names and meaning are those of the chart's `config.connector`,
// which is passed on as it is.
import { z } from 'zod';
import { compileHostGlob } from './host.ts';
import { parseNetwork } from './network.ts';
import { compilePattern } from './pattern.ts';
import { compileLocation, type RouteConfig } from './route.ts';

/** A key with nothing behind it reads as null. */
const blank = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => value ?? undefined, schema);
const list = <Schema extends z.ZodType>(schema: Schema) => blank(z.array(schema).max(1000).default([]));

/** Text that `read` takes; what it throws says what is wrong. */
const text = (read: (text: string) => unknown) =>
  z.string().superRefine((text, context) => {
    try {
      read(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: `${JSON.stringify(text)}: ${(error as Error).message}` });
    }
  });

function check(isGood: boolean, whatIsWrong: string): void {
  if (!isGood) throw new Error(whatIsWrong);
}

const network = text((text) => check(parseNetwork(text) !== undefined, 'it is no network'));
const hostGlob = text((text) => {
  check(text !== '', 'it is empty');
  compileHostGlob(text);
});
const regex = text((text) => compilePattern(text));
// It may hold a secret, as after Bearer: its mistake is told without it.
const headerRegex = z.string().superRefine((text, context) => {
  try {
    compilePattern(text);
  } catch (error) {
    const message = (error as Error).message.replace(/: `.*/s, ')');
    context.addIssue({ code: 'custom', message });
  }
});
// RFC 9110 §5.6.2.
const checkHeader = (text: string) =>
  check(/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(text), 'it is no name of a header');
const headerName = text(checkHeader);
const addressHeader = text((text) => {
  checkHeader(text);
  check(text.toLowerCase() !== 'forwarded', 'its elements (for=…) are not read');
});

const inputFilter = z
  .strictObject({
    path: regex.optional(),
    url: regex.optional(),
    headers: blank(z.record(headerName, headerRegex).optional()),
  })
  .superRefine(({ path, url, headers }, context) => {
    if (path === undefined && url === undefined && Object.keys(headers ?? {}).length === 0)
      context.addIssue({ code: 'custom', message: 'it is empty and would match everything' });
  });

// An unquoted off is false for YAML 1.1, which Helm reads.
const mode = z.preprocess(
  (value) => (value === false ? 'off' : value),
  z.enum(['off', 'monitoring', 'safe_blocking', 'block']).optional(),
);
const application = z.preprocess(
  (value) => (typeof value === 'string' && /^-?\d{1,10}$/.test(value) ? Number(value) : value),
  z.int().min(-1).optional(),
);
const anything = z.unknown().optional();
const routeSettings = {
  wallarm_application: application,
  wallarm_mode: mode,
  wallarm_partner_client_uuid: anything,
};
const route: z.ZodType<RouteConfig> = z.strictObject({
  ...routeSettings,
  host: hostGlob.optional(),
  route: text((text) => {
    check(text !== '', 'it is empty');
    compileLocation(text);
  }).optional(),
  routes: list(z.lazy(() => route)),
});

// Of the vendor's node.
const meaningless = {
  address: anything,
  allowed_networks: anything,
  blocking: anything,
  certificate: anything,
  external_health_check: anything,
  http_inspector: anything,
  log_level: anything,
  mesh: anything,
  mode: anything,
  per_connection_limits: anything,
  tls_cert: anything,
  tls_key: anything,
  url_normalize: anything,
};

/** Keys of `connector` that are accepted and do nothing. */
export const meaninglessKeys: readonly string[] = Object.keys(meaningless);

export const connectorSchema = blank(
  z
    .strictObject({
      allowed_hosts: list(hostGlob),
      input_filters: blank(
        z.strictObject({ inspect: list(inputFilter), bypass: list(inputFilter) }).prefault({}),
      ),
      proxy_headers: list(
        z.strictObject({
          trusted_networks: blank(z.array(network).min(1).max(1000).optional()),
          original_host: list(headerName),
          real_ip: list(addressHeader),
        }),
      ),
      route_config: blank(z.strictObject({ ...routeSettings, routes: list(route) }).prefault({})),
      log: blank(
        z
          .strictObject({
            level: z.enum(['debug', 'info', 'warn', 'error', 'fatal']).optional(),
            pretty: z.boolean().default(false),
            log_file: z.string().min(1).default('stdout'),
            access_log: anything,
            proton_log_mask: anything,
          })
          .prefault({}),
      ),
      ...meaningless,
    })
    .prefault({}),
);

export const realIpSchema = blank(
  z
    .strictObject({
      header: blank(addressHeader.default('X-Real-IP')),
      trustedCIDRs: list(network),
    })
    .prefault({}),
);

export type ConnectorConfig = z.infer<typeof connectorSchema>;
export type RealIpConfig = z.infer<typeof realIpSchema>;

const ignored = 'Leave it out, it means nothing here';
const aRegex = 'Write an RE2 expression such as "^/api/v[0-9]+/"';
const aMode = 'Write monitoring or "off"';
const anApplication = 'Write the number of an application, such as 1, or -1 for none';

const filterRemedies = (list: string): Record<string, string> => ({
  [list]: 'Write a list such as [{path: "^/healthz$"}], each with path: or headers:',
  [`${list}.path`]: aRegex,
  [`${list}.url`]: aRegex,
  [`${list}.headers`]: 'Write names of headers with an RE2 expression each, such as accept: "text/html"',
});
const routeRemedies = (place: string): Record<string, string> => ({
  [`${place}.wallarm_application`]: anApplication,
  [`${place}.wallarm_mode`]: aMode,
  [`${place}.wallarm_partner_client_uuid`]: ignored,
});

/** What to write at each place, as in `../config.ts`. */
export const connectorRemedies: Readonly<Record<string, string>> = {
  realIp: 'Write header: and trustedCIDRs:, or leave it out',
  'realIp.header':
    'Write the header in which the load balancer tells the client, such as X-Real-IP or X-Forwarded-For',
  'realIp.trustedCIDRs':
    'Write a list of the networks of your load balancers, such as [10.0.0.0/8, fd00::/8]',
  connector: 'Write keys such as allowed_hosts: or input_filters:, or leave it out',
  'connector.allowed_hosts': 'Write a list of hosts, such as [shop.example, "*.shop.example"]',
  'connector.input_filters': 'Write inspect: and bypass:, or leave it out',
  ...filterRemedies('connector.input_filters.inspect'),
  ...filterRemedies('connector.input_filters.bypass'),
  'connector.proxy_headers':
    'Write a list such as [{trusted_networks: [10.0.0.0/8], real_ip: [X-Forwarded-For]}]',
  'connector.proxy_headers.trusted_networks':
    'Write networks of your proxies, such as [10.0.0.0/8]; left out, all the world is trusted',
  'connector.proxy_headers.original_host': 'Write names of headers, such as [X-Forwarded-Host]',
  'connector.proxy_headers.real_ip': 'Write names of headers, such as [X-Forwarded-For]',
  'connector.route_config': 'Write wallarm_mode:, wallarm_application: and routes:, or leave it out',
  ...routeRemedies('connector.route_config'),
  'connector.route_config.routes':
    'Write a list such as [{host: shop.example, route: /admin, wallarm_mode: "off"}]',
  'connector.route_config.routes.host': 'Write a host, such as shop.example or "*.shop.example"',
  'connector.route_config.routes.route':
    'Write a path, such as /api, =/api/login, ^~/static/ or "~^/v[0-9]+/"',
  ...routeRemedies('connector.route_config.routes'),
  'connector.route_config.routes.routes': 'Write a list as on the level above',
  'connector.log': 'Write level:, pretty: or log_file:, or leave it out',
  'connector.log.level': 'Write debug, info, warn, error or fatal',
  'connector.log.pretty': 'Write true for lines to read, or false for JSON',
  'connector.log.log_file': 'Write stdout or stderr',
  'connector.log.access_log': ignored,
  'connector.log.proton_log_mask': ignored,
};
