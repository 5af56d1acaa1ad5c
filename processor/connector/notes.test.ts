import test from 'ava';
import { notesOf } from './notes.ts';
import { connectorSchema } from './schema.ts';

test("nothing is told about the defaults of the vendor's chart but what they do not do here", (t) => {
  const connector = connectorSchema.parse({
    allowed_hosts: [],
    certificate: { enabled: false },
    route_config: {},
    input_filters: {},
    proxy_headers: [],
    http_inspector: {},
    per_connection_limits: { max_duration: '1m' },
    log: { pretty: false, level: 'info', log_file: 'stdout', access_log: { enabled: true, verbose: false } },
  });
  t.deepEqual(notesOf(connector), {
    warnings: [],
    ignored:
      'configuration: these keys mean nothing here: connector.certificate, connector.http_inspector, connector.per_connection_limits, connector.log.access_log',
  });
});

test('an empty block has no notes', (t) => {
  t.deepEqual(notesOf(connectorSchema.parse({})), { warnings: [], ignored: undefined });
});

test('what does not do all that it says is warned about, with its place', (t) => {
  const { warnings, ignored } = notesOf(
    connectorSchema.parse({
      proxy_headers: [{ real_ip: ['X-Forwarded-For'] }],
      route_config: {
        wallarm_mode: 'block',
        routes: [
          { host: 'a' },
          {
            host: 'b',
            routes: [{ route: '/', wallarm_mode: 'safe_blocking', wallarm_partner_client_uuid: 'x' }],
          },
        ],
      },
      log: { log_file: '/var/log/node.log' },
    }),
  );
  t.snapshot([...warnings, ignored].join('\n'));
});
