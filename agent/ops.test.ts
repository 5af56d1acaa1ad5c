import test from 'ava';
import type { Ledger } from '../bpf/index.d.ts';
import { sampleProcess } from './fake/coverage.ts';
import { ledgerLine } from './ledger.ts';
import { createMetrics, type Facts } from './metrics.ts';
import { answer, healthPages, opsPages, serve } from './ops.ts';

const ledger: Ledger = {
  exchanges: {
    captured: 12,
    delivered: 9,
    dropped: { queue_full: 2, rejected: 0 },
    inFlight: 1,
    bodiesStripped: 3,
  },
  bytes: {
    seen: 900,
    copied: 500,
    elided: { response_body: 300 },
    lost: { ring_full: 100 },
    parsed: 490,
    discarded: { retransmission: 10 },
    held: 0,
  },
  closes: true,
  incidents: { lost_calls: 6 },
};
const facts: Facts = {
  ledger,
  coverage: {
    targets: [
      {
        cgroup: '/sys/fs/cgroup/a"b',
        identity: { name: 'shop' },
        selectedAtMs: 1,
        lastExchangeAtMs: 1500,
        exchanges: 9,
        connections: { http1: 3, tls: 1 },
        tls: {
          handshakes: 3,
          decrypted: 0,
          dark: { 'its place was lost': 1 },
          called: { 'no secret was logged': 2 },
          calledLate: 1,
          processes: [
            sampleProcess,
            { ...sampleProcess, pid: 8, verified: 0, proof: 'armed' },
            { ...sampleProcess, pid: 9, attached: false, proof: 'none' },
          ],
          calls: [],
        },
        notes: [],
      },
    ],
    secrets: { secrets: 5 },
  },
  attempts: { taken: 4, refused: 0, failed: 7 },
  openTargets: 1,
};

test('the metrics show the ledger by reason and coverage by target', async (t) => {
  const text = await createMetrics({ read: () => facts, process: false }).metrics();
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const name = '{cgroup="/sys/fs/cgroup/a\\"b",name="shop"';
  t.deepEqual(samples, [
    'podmirror_exchanges_captured_total 12',
    'podmirror_exchanges_delivered_total 9',
    'podmirror_exchanges_dropped_total{reason="queue_full"} 2',
    'podmirror_exchanges_dropped_total{reason="rejected"} 0',
    'podmirror_exchanges_in_flight 1',
    'podmirror_exchange_bodies_stripped_total 3',
    'podmirror_bytes_seen_total 900',
    'podmirror_bytes_copied_total 500',
    'podmirror_bytes_parsed_total 490',
    'podmirror_bytes_elided_total{reason="response_body"} 300',
    'podmirror_bytes_lost_total{reason="ring_full"} 100',
    'podmirror_bytes_discarded_total{reason="retransmission"} 10',
    'podmirror_bytes_held 0',
    'podmirror_ledger_closes 1',
    'podmirror_incidents_total{kind="lost_calls"} 6',
    'podmirror_targets 1',
    'podmirror_targets_open 1',
    `podmirror_target_exchanges${name}} 9`,
    `podmirror_target_connections${name},kind="http1"} 3`,
    `podmirror_target_connections${name},kind="tls"} 1`,
    `podmirror_target_tls_connections${name},state="begun",reason=""} 3`,
    `podmirror_target_tls_connections${name},state="decrypted",reason=""} 0`,
    `podmirror_target_tls_connections${name},state="dark",reason="its place was lost"} 1`,
    `podmirror_target_tls_connections${name},state="called",reason="no secret was logged"} 2`,
    'podmirror_tls_secrets{kind="secrets"} 5',
    `podmirror_target_tls_probed${name}} 2`,
    `podmirror_target_tls_probes${name},proof="unknown"} 0`,
    `podmirror_target_tls_probes${name},proof="armed"} 1`,
    `podmirror_target_tls_probes${name},proof="proven"} 1`,
    `podmirror_target_tls_probes${name},proof="unarmed"} 0`,
    `podmirror_target_tls_probes${name},proof="contradicted"} 0`,
    `podmirror_target_last_exchange_seconds${name}} 1.5`,
    'podmirror_deliveries_total{result="taken"} 4',
    'podmirror_deliveries_total{result="refused"} 0',
    'podmirror_deliveries_total{result="failed"} 7',
  ]);
});

test('a scrape is one look at the account, and a second one does not count twice', async (t) => {
  let looks = 0;
  const read = () => {
    looks++;
    return facts;
  };
  const metrics = createMetrics({ read, process: false });
  const first = await metrics.metrics();
  t.is(looks, 1);
  await new Promise(setImmediate);
  t.is(await metrics.metrics(), first);
  t.is(looks, 2);
});

test('the account fits into one line', (t) => {
  t.is(
    ledgerLine(ledger),
    'ledger: captured 12 = delivered 9 + dropped 2 (queue_full 2) + in flight 1; 100 (ring_full 100) bytes lost; besides 6 (lost_calls 6)',
  );
  t.regex(ledgerLine({ ...ledger, closes: false }), /IT DOES NOT CLOSE/);
});

let inTheWay: string[] = [];
const pages = {
  ...healthPages(() => inTheWay),
  ...opsPages({
    metrics: createMetrics({ read: () => facts, process: false }),
    ledger: () => ledger,
    coverage: () => {
      throw new Error('closed');
    },
  }),
};

test.serial('ready says what is in the way, live does not mind', async (t) => {
  t.is((await answer(pages, 'GET', '/ready')).status, 200);
  inTheWay = ['the processor does not answer'];
  const { status, body } = await answer(pages, 'GET', '/ready');
  t.is(status, 503);
  t.deepEqual(JSON.parse(body), { ready: false, reasons: inTheWay });
  t.is((await answer(pages, 'GET', '/live')).status, 200);
  inTheWay = [];
});

const requests: [method: string, url: string, status: number][] = [
  ['GET', '/ledger?pretty', 200],
  ['HEAD', '/metrics', 200],
  ['POST', '/ledger', 405],
  ['GET', '/', 404],
  ['GET', '/constructor', 404],
  ['GET', '/coverage', 500],
];

for (const [method, url, status] of requests) {
  test(`${method} ${url} is answered with ${status}`, async (t) =>
    t.is((await answer(pages, method, url)).status, status));
}

test('pages are served over HTTP, and a port in use is told with what to write', async (t) => {
  const server = await serve(pages, '127.0.0.1:0', 'listen.health');
  t.teardown(server.close);
  const response = await fetch(`http://127.0.0.1:${server.port}/ledger`);
  t.deepEqual(await response.json(), ledger);
  await t.throwsAsync(serve(pages, `127.0.0.1:${server.port}`, 'listen.health'), {
    message:
      /^listen on 127\.0\.0\.1:\d+: the port is in use, perhaps by another agent\. Write another listen\.health$/,
  });
});
