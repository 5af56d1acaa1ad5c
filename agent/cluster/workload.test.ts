import test from 'ava';
import type { Owner } from '../../webhook/cluster/view.ts';
import { workloadOf } from './workload.ts';

const owner = (kind: string, name: string): Owner => ({ apiVersion: 'v1', kind, name, uid: 'u' });
const rows: [owner: Owner | undefined, hash: string | undefined, workload: string][] = [
  [undefined, undefined, 'Pod/web-1'],
  [owner('ReplicaSet', 'web-6f7'), '6f7', 'Deployment/web'],
  [owner('ReplicaSet', 'web-6f7'), '8aa', 'ReplicaSet/web-6f7'],
  [owner('ReplicaSet', 'web'), undefined, 'ReplicaSet/web'],
  [owner('StatefulSet', 'db'), undefined, 'StatefulSet/db'],
  [owner('DaemonSet', 'log'), '6f7', 'DaemonSet/log'],
  [owner('Job', 'report-29000001'), undefined, 'CronJob/report'],
  [owner('Job', 'migrate'), undefined, 'Job/migrate'],
  [owner('Node', 'node-a'), undefined, 'Pod/web-1'],
];
for (const [one, hash, workload] of rows) {
  test(`a pod of ${one ? `${one.kind} ${one.name}` : 'nobody'}, hash ${hash}, is of ${workload}`, (t) => {
    const labels: Record<string, string> = hash === undefined ? {} : { 'pod-template-hash': hash };
    t.is(workloadOf({ name: 'web-1', labels, owner: one }), workload);
  });
}
