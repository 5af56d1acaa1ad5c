import test from 'ava';
import { kubeconfigFile } from './kubeconfig.ts';

const find = (flag: string | undefined, KUBECONFIG: string | undefined, there: string[] = []) =>
  kubeconfigFile({ flag, env: { KUBECONFIG }, home: '/home/me', exists: (file) => there.includes(file) });
const usual = '/home/me/.kube/config';

test('a named file goes before KUBECONFIG, and that before the usual place', (t) => {
  t.is(find('/a', '/b', [usual]), '/a');
  t.is(find(undefined, '/b', [usual]), '/b');
  t.is(find(undefined, '', [usual]), usual);
  t.is(find(undefined, undefined, [usual]), usual);
});

test('none anywhere: the ServiceAccount of the pod', (t) => {
  t.is(find(undefined, undefined), undefined);
});

test('of several files in KUBECONFIG one must be named', (t) => {
  t.is(find(undefined, ':/b:'), '/b');
  t.is(find('/a', '/b:/c'), '/a');
  t.throws(() => find(undefined, '/b:/c'), { message: /Name one with --kubeconfig/ });
});
