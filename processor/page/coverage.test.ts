import test from 'ava';
import { createAgents } from '../coverage/agents.ts';
import { javaProcess, nginxProcess, sampleReport, sampleTarget } from '../coverage/fake/report.ts';
import type { CoverageReport } from '../coverage/report.ts';
// @ts-expect-error: the page is plain JavaScript.
import { agentCard, agentView } from './coverage.js';
import { type FakeElement, fakeDocument } from './fake/document.ts';

Object.assign(globalThis, { document: fakeDocument });

/** Both views of an agent that told this, `silentForMs` later. */
function shown(report: CoverageReport, silentForMs = 0): { card: FakeElement; view: FakeElement } {
  const clock = { ms: 1_000_000 };
  const agents = createAgents({ now: () => clock.ms });
  agents.take(['podmirror-agent'], report);
  clock.ms += silentForMs;
  const [summary] = agents.list();
  const detail = agents.get(summary?.id ?? '');
  return { card: agentCard(summary) as never, view: agentView(detail) as never };
}

const byClass = (element: FakeElement, name: string) =>
  element.all().filter(({ attributes }) => attributes.class?.split(' ').includes(name));

test('a target shows its library, version, build id and probe, and what is not covered stands out', (t) => {
  const { card, view } = shown(sampleReport());
  for (const element of [card, view]) {
    t.is(
      byClass(element, 'uncovered')[0]?.text().replace(' of shop', ''),
      `Not coveredJava in /usr/bin/java: ${javaProcess.probe}`,
    );
  }
  const rows = view.all().filter(({ tag }) => tag === 'tr');
  const cells = rows.at(2)?.children.map((cell) => (cell as FakeElement).text());
  t.deepEqual(cells, [
    '/usr/sbin/nginx pid 7',
    '/usr/lib/x86_64-linux-gnu/libssl.so.3',
    'OpenSSL 3.0.19',
    '48b5aaf1d60a…',
    'proven inner keylog function at +0x32e50, push · 3 secrets logged, 2 connections verified',
  ]);
  const whole = view.all().find(({ attributes }) => attributes.title === nginxProcess.buildId);
  t.is(whole?.text(), '48b5aaf1d60a…');
  t.regex(view.text(), /3 of 4TLS connections decrypted, 1 dark/);
  t.regex(byClass(view, 'notes')[0]?.text() ?? '', /1 TLS connections are not read: no secret was logged/);
  t.regex(view.text(), /12 exchanges: 9 delivered, 2 dropped \(queue full 2\), 1 on the way/);
});

test('a pod is named by its parts, with the rule that asks for it', (t) => {
  const identity = { name: 'shop/web-1/web', namespace: 'shop', pod: 'web-1', container: 'web' };
  const target = { ...sampleTarget(), identity, because: 'filter 1 (namespace shop-*)' };
  const refused = [
    { namespace: 'shop', pod: 'web-1', container: 'istio-proxy', because: 'filter 1 names web only' },
  ];
  const text = shown(sampleReport({ targets: [target], refused })).view.text();
  t.regex(text, /shop\/web-1 · web/);
  t.regex(text, /Mirrored: filter 1 \(namespace shop-\*\)/);
  t.regex(text, /Not mirrored: 1shop\/web-1 · istio-proxy: filter 1 names web only/);
});

test('an agent that was not heard for long says so, and its numbers step back', (t) => {
  const { card, view } = shown(sampleReport(), 300_000);
  for (const element of [card, view]) {
    t.is(byClass(element, 'silent').length, 1);
    t.regex(element.text(), /last heard 5 min ago/);
  }
  t.is(byClass(shown(sampleReport()).card, 'silent').length, 0);
});

test('an agent without a target says what to do, and shows why', (t) => {
  const { view } = shown(sampleReport({ targets: [], notes: ['cgroup /none: there is none'] }));
  t.regex(view.text(), /cgroup \/none: there is none.*No target.*kubectl label namespace/s);
});

test('lost bytes and an account that does not close are told', (t) => {
  const { view } = shown(sampleReport({ lostBytes: { ring_full: 4000 }, ledgerCloses: false }));
  t.regex(view.text(), /4,000 bytes were lost on their way out of the kernel \(ring full\)/);
  t.regex(view.text(), /does not close/);
});

const hostile = '<img src=x onerror=alert(1)>"\u202e\u0000';

test('what a node’s programs chose to be called is text, with what cannot be seen escaped, and never an address', (t) => {
  const process = { ...javaProcess, executable: hostile, library: hostile, version: hostile, probe: hostile };
  const covered = { ...nginxProcess, executable: hostile, buildId: `${hostile}${hostile}` };
  const target = {
    ...sampleTarget('x', [process, covered]),
    cgroup: hostile,
    identity: { name: hostile, namespace: hostile, pod: hostile, container: hostile },
    because: hostile,
    notes: [hostile],
    connections: { [hostile]: 1 },
  };
  target.tls = { ...target.tls, dark: { [hostile]: 1 }, calls: [hostile] };
  const refused = [{ namespace: hostile, pod: hostile, because: hostile }];
  const report = sampleReport({
    node: hostile,
    targets: [target],
    refused,
    notes: [hostile],
    agentVersion: hostile,
  });
  for (const element of Object.values(shown(report))) {
    const tags = new Set(element.all().map(({ tag }) => tag));
    for (const tag of ['img', 'script', 'iframe', 'style']) t.false(tags.has(tag));
    const attributes = element.all().flatMap(({ attributes }) => Object.entries(attributes));
    for (const [name, value] of attributes) {
      t.regex(name, /^(class|href|id|tabindex|title|data-column)$/);
      if (name === 'href') t.regex(value, /^#\/coverage\/[0-9a-f]{32}$/);
    }
    t.regex(element.text(), /<img src=x onerror=alert\(1\)>"\\xe2\\x80\\xae\\x00/);
  }
});
