import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parentsToBe } from './changes.ts';
import { lookRepeatedly } from './look.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('cgroups that hold others, or are made to, are watched, the shallowest first', (t) => {
  t.deepEqual(parentsToBe(['/', '/a/b', '/a/b/c', '/system.slice', '/kubepods/podx', '/leaf']), [
    '/',
    '/system.slice',
    '/a/b',
    '/kubepods/podx',
  ]);
});

test('a cgroup that is made is seen long before the next look, and a write into a file is no reason to look', async (t) => {
  const mount = mkdtempSync(join(tmpdir(), 'tree-'));
  t.teardown(() => rmSync(mount, { recursive: true }));
  mkdirSync(join(mount, 'system.slice'));
  writeFileSync(join(mount, 'system.slice/cgroup.procs'), '');
  let looks = 0;
  const look = async () => {
    looks++;
    return ['/', '/system.slice'];
  };
  const looking = await lookRepeatedly({ mount, intervalMs: 60_000, look });
  t.teardown(looking.close);
  t.is(looks, 1);
  for (const name of ['a', 'b', 'c']) mkdirSync(join(mount, 'system.slice', name));
  await pause(300);
  t.is(looks, 2, 'a burst is one look');
  writeFileSync(join(mount, 'system.slice/cgroup.procs'), '1');
  await pause(200);
  t.is(looks, 2);
  looking.close();
  mkdirSync(join(mount, 'd'));
  await pause(200);
  t.is(looks, 2);
});

test('without any change it looks again after the interval', async (t) => {
  let looks = 0;
  const look = async () => {
    looks++;
    return [];
  };
  const looking = await lookRepeatedly({ mount: '/none', intervalMs: 20, look });
  await pause(200);
  looking.close();
  t.true(looks >= 3);
});

test('a cgroup that concerns nobody is no reason to look', async (t) => {
  const mount = mkdtempSync(join(tmpdir(), 'tree-'));
  t.teardown(() => rmSync(mount, { recursive: true }));
  let looks = 0;
  const look = async () => {
    looks++;
    return ['/'];
  };
  const noticed: string[] = [];
  const notice = (path: string) => {
    noticed.push(path);
    return path === '/b';
  };
  const looking = await lookRepeatedly({ mount, intervalMs: 60_000, look, notice });
  t.teardown(looking.close);
  await pause(200);
  t.is(looks, 2, 'again, for what came before it was watched');
  mkdirSync(join(mount, 'a'));
  await pause(200);
  t.deepEqual([noticed, looks], [['/a'], 2]);
  mkdirSync(join(mount, 'b'));
  await pause(200);
  t.deepEqual([noticed, looks], [['/a', '/b'], 3]);
});
