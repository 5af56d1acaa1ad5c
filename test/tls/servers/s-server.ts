/** `openssl s_server` of another Debian suite, in a chroot of its own: answers every GET with a page about the session. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../harness/free-port.ts';
import { runTool } from '../../harness/run-tool.ts';
import type { ServerPlace, ServerProgram } from '../server.ts';

const DEBS = fileURLToPath(new URL('../../libraries/debs.sh', import.meta.url));

export const sServer =
  (suite: string) =>
  async ({ folder, certificate, key }: ServerPlace): Promise<ServerProgram> => {
    const unpacked = join((await runTool(DEBS, [suite])).trim(), suite);
    // A copy, so that its libraries are those of nobody else.
    const root = join(folder, 'root');
    await runTool('cp', ['-a', unpacked, root]);
    mkdirSync(join(root, 'tls'));
    copyFileSync(certificate, join(root, 'tls/server.crt'));
    copyFileSync(key, join(root, 'tls/server.key'));
    const port = await freePort();
    const files = ['-cert', '/tls/server.crt', '-key', '/tls/server.key'];
    const command = [
      'chroot',
      root,
      '/usr/bin/openssl',
      's_server',
      '-accept',
      `127.0.0.1:${port}`,
      ...files,
    ] as const;
    return { port, command: [...command, '-www', '-quiet'] };
  };
