/** The guest's file system: the capture, a server and a client for it, and the libraries that these are linked with. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packInitramfs } from './archive.ts';

const DIRECTORIES = [
  'bin',
  'dev',
  'etc',
  'proc',
  'sys',
  'tmp',
  'usr/bin',
  'usr/sbin',
  'var/lib/nginx',
  'var/log/nginx',
];
const OWN = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export interface Parts {
  /** The program under test: examples/capture.rs. */
  capture: string;
  /** Linked statically. */
  busybox: string;
}

/** Writes the archive into `directory` and returns its path. */
export function makeInitramfs({ capture, busybox }: Parts, directory: string): string {
  const root = join(directory, 'root');
  for (const name of DIRECTORIES) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(busybox, join(root, 'bin/busybox'));
  copyFileSync(OWN('init'), join(root, 'init'));
  chmodSync(join(root, 'init'), 0o755);
  copyFileSync(OWN('nginx.conf'), join(root, 'etc/nginx.conf'));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
  putProgram(root, capture, '/usr/bin/capture');
  putProgram(root, '/usr/sbin/nginx', '/usr/sbin/nginx');
  putProgram(root, '/usr/bin/openssl', '/usr/bin/openssl');
  makeCertificate(join(root, 'etc'));
  return packInitramfs({ root, busybox, directory });
}

/** With the libraries where the dynamic linker looks for them; symbolic links become what they lead to. */
function putProgram(root: string, from: string, to: string) {
  const libraries = execFileSync('ldd', [from], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
  for (const [source, place] of [[from, to], ...libraries.map((library) => [library, library])] as const) {
    mkdirSync(join(root, dirname(place)), { recursive: true });
    copyFileSync(source, join(root, place));
  }
}

function makeCertificate(directory: string) {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem'];
  const args = ['req', '-x509', '-subj', '/CN=guest', '-days', '3650', ...key, '-out', 'certificate.pem'];
  execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
}
