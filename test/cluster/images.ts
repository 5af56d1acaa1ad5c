/** The images that every cluster has. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { certManagerProgram, corednsProgram } from '../kube/programs.ts';
import type { ImageRecipe } from './image.ts';
import { nodeProgram } from './programs.ts';

const TOOLS = 'sh cat cp date echo env grep head id ls mkdir mv rm sleep sort tail touch true uname wc'
  .split(' ')
  .map((name) => `/usr/bin/${name}`);

/** Holds a pod's namespaces. */
export const pause = (): ImageRecipe => ({
  name: 'podmirror.test/pause:1',
  entrypoint: ['/pause', '-P'],
  files: { '/pause': nodeProgram('usr/bin/catatonit') },
});

export const coredns = (): ImageRecipe => ({
  name: 'podmirror.test/coredns:1',
  entrypoint: ['/coredns'],
  files: { '/coredns': corednsProgram() },
});

/** Its first argument says which part of it runs. */
export const certManager = (): ImageRecipe => ({
  name: 'podmirror.test/cert-manager:1',
  entrypoint: ['/cert-manager'],
  files: { '/cert-manager': certManagerProgram() },
});

/** Serves /var/www at port 80 by /etc/nginx/nginx.conf, and logs to where `kubectl logs` reads. */
export const nginx = (): ImageRecipe => ({
  name: 'podmirror.test/nginx:1',
  entrypoint: ['/usr/sbin/nginx', '-g', 'daemon off;'],
  programs: ['/usr/sbin/nginx', '/usr/bin/curl', ...TOOLS],
  folders: ['/var/lib/nginx', '/var/log/nginx'],
  texts: {
    '/var/www/index.html': 'hello from nginx\n',
    '/etc/nginx/nginx.conf': `
worker_processes 2;
pid /run/nginx.pid;
error_log /dev/stderr;
events {}
http {
  access_log /dev/stdout;
  server {
    listen 80;
    root /var/www;
  }
}
`,
  },
});

/** curl, wrk and Python; sleeps unless told otherwise. */
export const client = (): ImageRecipe => {
  const library = python();
  return {
    name: 'podmirror.test/client:1',
    entrypoint: ['/bin/sleep', 'infinity'],
    programs: ['/usr/bin/curl', '/usr/bin/wrk', '/usr/bin/python3', ...TOOLS, ...extensions(library)],
    files: { [library]: library },
  };
};

/** /usr/lib/python3.11 on Debian 12. */
function python(): string {
  const name = readdirSync('/usr/lib').find((entry) => /^python3\.\d+$/.test(entry));
  if (!name) throw new Error('pack the client image: no Python. Install it: apt-get install python3');
  return join('/usr/lib', name);
}

/** Load libraries that the interpreter itself does not. */
const extensions = (library: string): string[] =>
  readdirSync(join(library, 'lib-dynload')).map((file) => join(library, 'lib-dynload', file));
