import test from 'ava';
import fc from 'fast-check';
import { anyGrant } from './fake/arbitrary.ts';
import { compactGrants, grantedContainers } from './grant.ts';

const because = 'filter 1';
const pod = { containers: ['web', 'proxy'], ephemeralContainers: ['debug'] };
const rows: [title: string, containers: string[], nodes: string[], names: string[]][] = [
  ['a star stands for all containers, the ephemeral ones too', ['*'], ['*'], ['web', 'proxy', 'debug']],
  ['names are patterns', ['w*', 'd?bug'], ['*'], ['web', 'debug']],
  ['everything but one', ['!proxy'], ['*'], ['web', 'debug']],
  ['another node', ['*'], ['worker-2'], []],
  ['a pattern that includes the node', ['*'], ['master', 'worker-[12]'], ['web', 'proxy', 'debug']],
  ['a pattern that is none matches nothing', ['['], ['*'], []],
  ['a node pattern that is none matches nothing', ['*'], ['{'], []],
];

for (const [title, containers, nodes, names] of rows) {
  test(title, (t) =>
    t.deepEqual(grantedContainers([{ containers, nodes, because }], pod, 'worker-1'), names),
  );
}

test('several grants add up, and name a container once', (t) => {
  const grants = [
    { containers: ['web'], nodes: ['*'], because },
    { containers: ['web', 'debug'], nodes: ['worker-1'], because },
  ];
  t.deepEqual(grantedContainers(grants, pod, 'worker-1'), ['web', 'debug']);
  t.deepEqual(grantedContainers(grants, pod, 'worker-2'), ['web']);
});

test('compact grants give agents the same containers, and are not more', (t) => {
  fc.assert(
    fc.property(
      fc.array(anyGrant, { maxLength: 6 }),
      fc.array(fc.constantFrom('web', 'shop', 'app', 'ops', 'b'), { maxLength: 4 }),
      fc.constantFrom('shop', 'team', 'node-1'),
      (grants, containers, node) => {
        const pod = { containers, ephemeralContainers: [] };
        const compact = compactGrants(grants);
        t.deepEqual(grantedContainers(compact, pod, node), grantedContainers(grants, pod, node));
        t.true(compact.length <= grants.length);
      },
    ),
  );
});
