import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { cgroupTree } from './cgroups.ts';

test('what lies below a leaf is not looked at', async (t) => {
  const mount = mkdtempSync(join(tmpdir(), 'tree-'));
  t.teardown(() => rmSync(mount, { recursive: true }));
  for (const path of ['pod/web/own/deeper', 'service']) mkdirSync(join(mount, path), { recursive: true });
  const tree = cgroupTree({ mount, isLeaf: (path) => path === '/pod/web' });
  t.deepEqual([...(await tree.list()).keys()].sort(), ['/', '/pod', '/pod/web', '/service']);
  t.deepEqual([...tree.below('/pod').keys()], ['/pod', '/pod/web']);
});
