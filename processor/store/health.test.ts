import test from 'ava';
import { watchStore } from './health.ts';
import { StoreUnavailable } from './store.ts';

test('whatever the probe meets is trouble, and the first write that works ends it', async (t) => {
  const failures = [new Error('SQL logic error'), new StoreUnavailable('full')];
  const { promise, resolve } = Promise.withResolvers<void>();
  const health = watchStore({
    store: {
      probe: () => {
        const failure = failures.shift();
        if (failure) throw failure;
      },
    },
    intervalMs: 5,
    onTrouble: () => {},
    onRecovered: resolve,
  });
  t.teardown(health.close);
  health.failed(new StoreUnavailable('full'));
  t.is(health.trouble(), 'full');
  const keepAlive = setTimeout(() => {}, 5000);
  await promise;
  clearTimeout(keepAlive);
  t.is(health.trouble(), undefined);
  t.deepEqual(failures, []);
});
