import test from 'ava';
import { readConfig } from './config.ts';

const good = `
ingest: { certFile: a, keyFile: b, caFile: c }
api: { token: 0123456789abcdef }
store: { file: d }
`;

test('everything listens on loopback when nothing else is written', (t) => {
  const { ingest, api, ops } = readConfig(good, {});
  t.deepEqual([ingest.host, api.host, ops.host], ['127.0.0.1', '127.0.0.1', '127.0.0.1']);
});

test('the environment goes over the file', (t) => {
  const env = {
    PODMIRROR_PROCESSOR_API_TOKEN: '9999999999999999',
    PODMIRROR_PROCESSOR_INGEST_MAX_BATCH_BYTES: '2048',
    PATH: 'x',
  };
  t.like(readConfig(good, env), { api: { token: '9999999999999999' }, ingest: { maxBatchBytes: 2048 } });
});

test('all mistakes are told at once, each with what to write', (t) => {
  const text =
    'ingest: { prot: 1, port: 70000, certFile: a, keyFile: b }\napi: { token: short }\nlog: { level: loud }';
  const error = t.throws(() => readConfig(text, { PODMIRROR_PROCESSOR_X: '1' }));
  t.snapshot(error.message);
});

test('the API has a token, or a file for one', (t) => {
  const without = good.replace('token: 0123456789abcdef', '');
  t.throws(() => readConfig(without, {}), { message: /^api: no token\. Write token: or tokenFile:$/m });
  t.is(readConfig(without, { PODMIRROR_PROCESSOR_API_TOKEN_FILE: 'e' }).api.tokenFile, 'e');
});

test('a file that is no block of keys is refused', (t) => {
  t.throws(() => readConfig('- a', {}), { message: /not a block of keys/ });
  t.throws(() => readConfig('a: [', {}), { message: /line 1: no YAML \(\w+\)\. Mend/ });
});

const secret = 's3cret-token-of-api';
for (const text of [
  `api:\n  token: "${secret}`,
  `api:\n  token: ${secret}\n token: 1`,
  `api:\n  token: *${secret}`,
  `api:\n  token: !${secret} &a &b`,
  `api:\n  token: |${secret}`,
  `api:\n  token: [a] ${secret}`,
  `api:\n  token: "\\q${secret}"`,
]) {
  test(`a mistake beside the token does not tell it: ${JSON.stringify(text)}`, (t) => {
    const error = t.throws(() => readConfig(text, {}));
    t.false(error.message.includes('s3cret'), error.message);
  });
}

test("mistakes in the connector's block name the place, what is wrong and what to write", (t) => {
  const block = `${good}
realIp: { header: Forwarded, trustedCIDRs: [10.0.0.0/33] }
connector:
  allowed_hosts: ["[", ""]
  input_filters:
    inspect: [{}, { path: "(?=a)" }, { headers: { "a b": x, accept: "[s3cret" } }]
    bypas: []
  proxy_headers: [{ trusted_networks: [], real_ip: [X-Forwarded-For], realip: [] }, { real_ip: [Forwarded] }]
  route_config:
    wallarm_mode: on
    routes:
      - { host: a, routes: [{ route: api, wallarm_application: x, wallarm_mode: strict, path: / }] }
  log: { level: loud }
  allowed_host: [a]
`;
  const error = t.throws(() => readConfig(block, { PODMIRROR_PROCESSOR_CONNECTOR_ALLOWED_HOSTS: 'a' }));
  t.snapshot(error.message);
});

test('a connector block with nothing written behind its keys is empty', (t) => {
  const text = `${good}connector:\n  allowed_hosts:\n  input_filters:\n  proxy_headers:\n  route_config:\n  log:\nrealIp:\n`;
  t.like(readConfig(text, {}), {
    connector: { allowed_hosts: [], proxy_headers: [] },
    realIp: { header: 'X-Real-IP', trustedCIDRs: [] },
    log: { level: 'info', isPretty: false, toStderr: false },
  });
  t.deepEqual(readConfig(`${good}connector:\n`, {}), readConfig(good, {}));
});

test("the connector's log settings count unless our own are written", (t) => {
  const connector = 'connector: { log: { level: fatal, pretty: true, log_file: stderr } }\n';
  t.deepEqual(readConfig(good + connector, {}).log, { level: 'error', isPretty: true, toStderr: true });
  t.is(readConfig(`${good}${connector}log: { level: debug }`, {}).log.level, 'debug');
});

test('trusted networks come from the environment too', (t) => {
  const env = {
    PODMIRROR_PROCESSOR_REAL_IP_HEADER: 'X-Forwarded-For',
    PODMIRROR_PROCESSOR_REAL_IP_TRUSTED_CIDRS: '10.0.0.0/8, fd00::/8',
  };
  t.deepEqual(readConfig(good, env).realIp, {
    header: 'X-Forwarded-For',
    trustedCIDRs: ['10.0.0.0/8', 'fd00::/8'],
  });
});
