import test from 'ava';
import { decodeBatch, type Exchange } from '../exchange.ts';
import { encodeBatch } from '../fake/batch.ts';
import { createConnector } from './connector.ts';
import { connectorSchema, realIpSchema } from './schema.ts';

const connect = (connector: object = {}, realIp: object = {}) =>
  createConnector({ connector: connectorSchema.parse(connector), realIp: realIpSchema.parse(realIp) });

/** From 10.0.0.1. */
const exchange = (target: string, ...headers: [string, string][]): Exchange =>
  decodeBatch(encodeBatch([{ target, headers }])).exchanges[0] as Exchange;

test('without configuration all is inspected, no header is believed', (t) => {
  const read = connect();
  const forged = exchange('/', ['Host', 'a.com'], ['X-Real-IP', '1.1.1.1'], ['X-Forwarded-For', '1.1.1.1']);
  t.deepEqual(read(forged), { origin: { client: { address: '10.0.0.1' }, host: 'a.com' } });
});

test("the load balancer's header is read from trusted networks", (t) => {
  const request = exchange('/', ['x-real-ip', '203.0.113.9']);
  const inside = connect({}, { trustedCIDRs: ['10.0.0.0/8'] });
  t.deepEqual(inside(request).origin.client, { address: '203.0.113.9', header: 'X-Real-IP' });
  t.deepEqual(connect({}, { trustedCIDRs: ['192.0.2.0/24'] })(request).origin.client, {
    address: '10.0.0.1',
  });
});

test('proxy_headers come before the load balancer, and leave it the address when they are about hosts alone', (t) => {
  const realIp = { header: 'X-Real-IP', trustedCIDRs: ['10.0.0.0/8'] };
  const request = exchange(
    '/',
    ['Host', 'inner'],
    ['X-Real-IP', '1.1.1.1'],
    ['X-Forwarded-For', '2.2.2.2'],
    ['X-Forwarded-Host', 'Shop.example'],
  );
  const networks = { trusted_networks: ['10.0.0.0/8'] };
  const both = connect({ proxy_headers: [{ ...networks, real_ip: ['X-Forwarded-For'] }] }, realIp);
  t.deepEqual(both(request).origin, {
    client: { address: '2.2.2.2', header: 'X-Forwarded-For' },
    host: 'inner',
  });
  const hosts = connect({ proxy_headers: [{ ...networks, original_host: ['X-Forwarded-Host'] }] }, realIp);
  t.deepEqual(hosts(request).origin, {
    client: { address: '1.1.1.1', header: 'X-Real-IP' },
    host: 'Shop.example',
  });
});

test('other hosts than the allowed ones are excluded; the original host counts too', (t) => {
  const allowed_hosts = ['shop.example', '*.shop.example'];
  const read = connect({ allowed_hosts });
  const reasonOf = (host: string) => read(exchange('/', ['Host', host])).excluded;
  t.deepEqual(['shop.example:8080', 'a.shop.example', 'other.example', ''].map(reasonOf), [
    undefined,
    undefined,
    'host_not_allowed',
    'host_not_allowed',
  ]);
  const behind = connect({ allowed_hosts, proxy_headers: [{ original_host: ['X-Forwarded-Host'] }] });
  t.is(behind(exchange('/', ['Host', 'inner'], ['X-Forwarded-Host', 'shop.example'])).excluded, undefined);
});

test('filters and modes exclude, and every reason is told apart', (t) => {
  const read = connect({
    input_filters: { inspect: [{ path: '^/api/' }, { path: '^/off' }], bypass: [{ path: '\\.png$' }] },
    route_config: {
      routes: [
        { route: '/off', wallarm_mode: false },
        { route: '/api/two', wallarm_application: '2' },
      ],
    },
  });
  const rows = ['/api/a', '/api/a.png', '/x', '/off', '/api/two'].map((target) => read(exchange(target)));
  t.deepEqual(
    rows.map(({ excluded }) => excluded),
    [undefined, 'bypassed', 'not_selected', 'mode_off', undefined],
  );
  t.is(rows[4]?.origin.application, 2);
});
