import test from 'ava';
import { type ConfigMap, createConfigMap } from './configmap.ts';

const at = (version: number, uid = 'u'): ConfigMap => ({
  name: 'c',
  uid,
  resourceVersion: String(version),
  data: {},
});

function scene() {
  let changes = 0;
  const one = createConfigMap({ name: 'c', onChange: () => void changes++ });
  return { ...one, version: () => one.get()?.resourceVersion, changes: () => changes };
}

test('an answer that comes after the deletion of what it wrote to does not bring it back', (t) => {
  const { upsert, remove, version, changes } = scene();
  upsert(at(99));
  remove(at(101));
  upsert(at(100));
  t.is(version(), undefined);
  t.is(changes(), 2);
});

test('one that is made anew after a deletion is known', (t) => {
  const { upsert, remove, version } = scene();
  upsert(at(99));
  remove(at(101));
  upsert(at(102, 'v'));
  t.is(version(), '102');
});

test('an answer of one whose deletion was heard before it was ever known does not bring it back', (t) => {
  const { upsert, remove, version } = scene();
  remove(at(101));
  upsert(at(100));
  t.is(version(), undefined);
});

test('what a list from before its creation did not show is known again when the watch shows it', (t) => {
  const { upsert, replace, version } = scene();
  upsert(at(100));
  replace([]);
  t.is(version(), undefined);
  upsert(at(100));
  t.is(version(), '100');
});

test('the deletion of an earlier one of its name does not remove it', (t) => {
  const { upsert, remove, version } = scene();
  upsert(at(102, 'v'));
  remove(at(101));
  t.is(version(), '102');
});
