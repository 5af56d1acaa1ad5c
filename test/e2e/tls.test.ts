/** TLS in a real pod: its first connection, and what is told of its library. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { type KubeObject, manifest } from '../cluster/manifest.ts';
import { whyNoCgroups } from '../harness/cgroup.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { addressesInUse, firstRequest } from './first-request.ts';
import { importImages, installChart, type Podmirror } from './install.ts';
import { MIRROR_LABEL, namespaceObject, nginxConfiguration, nginxPod } from './workload.ts';

let cluster: Cluster;
let podmirror: Podmirror;

const rounds = 20;
const atATime = 5;

test.before(async () => {
  if (whyNoCgroups()) return;
  cluster = await startCluster();
  podmirror = await importImages(cluster).then(() => installChart(cluster));
  const { cert, key } = issueLeaf(createAuthority({ commonName: 'e2e', days: 2 }), {
    commonName: 'shop.example',
    dnsNames: ['shop.example'],
    usages: ['server'],
    days: 2,
  });
  const configuration: KubeObject = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'shop', name: 'web' },
    data: { 'nginx.conf': nginxConfiguration(443, true), 'tls.crt': cert, 'tls.key': key },
  };
  const namespace = namespaceObject('shop', { [MIRROR_LABEL]: 'enabled' });
  await cluster.kubectl(['apply', '-f', '-'], manifest([namespace, configuration]));
});

test.after.always(async () => cluster?.stop());

rootTest("a new pod's first TLS connection is decrypted", async (t) => {
  const { kubectl, images } = cluster;
  const { record, agent } = podmirror;
  const spec = nginxPod({ image: images.nginx, configurations: 'web', containers: { nginx: 443 } });
  const firstPath = (address: string) => `/first-${address.replaceAll('.', '-')}`;
  const started: string[] = [];
  while (started.length < rounds) {
    const before = new Set(addressesInUse(cluster));
    const pods = Array.from(
      { length: atATime },
      (_, index): KubeObject => ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `pod-${started.length + index}`, namespace: 'shop' },
        spec,
      }),
    );
    await kubectl(['apply', '-f', '-'], manifest(pods));
    const asked = new Map<string, Promise<string>>();
    await until(
      () => {
        for (const address of addressesInUse(cluster)) {
          if (before.has(address) || asked.has(address)) continue;
          const target = `${firstPath(address)}?file=../../../etc/passwd`;
          asked.set(address, firstRequest(address, 443, target, 'tls'));
        }
        return asked.size === atATime;
      },
      { timeoutMs: 60_000, everyMs: 2 },
    );
    for (const line of await Promise.all(asked.values())) t.is(line, 'HTTP/1.1 200 OK');
    started.push(...asked.keys());
  }
  let seen = 0;
  for (const address of started) {
    const attack = await record
      .attackOn(firstPath(address))
      .catch((error: Error) => void t.log(error.message));
    if (!attack) continue;
    seen++;
    t.like(attack, { target: { namespace: 'shop', container: 'nginx' }, status: 200 });
  }
  t.log(`${seen} of ${started.length} first TLS connections were decrypted`);
  // The very first may win the race against the search of its library; no later one may.
  t.true(seen >= started.length - atATime, `${seen} of ${started.length}`);
  t.regex(
    await agent.log(),
    /TLS of shop\/pod-\d+ container nginx in \S*nginx \(.*libssl\.so\.3.*\) is read by the secrets/,
  );
  const memory = readFileSync(`/proc/${agent.pid()}/status`, 'utf8');
  t.log(/VmRSS:.*/.exec(memory)?.[0]);
});
