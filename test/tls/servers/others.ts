/** The other servers, one function each; all answer numbered requests as nginx does. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../harness/free-port.ts';
import { runTool } from '../../harness/run-tool.ts';
import { buildPrograms } from '../programs.ts';
import type { ServerPlace, ServerProgram } from '../server.ts';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** A program of ours that takes port, certificate, key and access log. */
const ours =
  (...command: [string, ...string[]]) =>
  async ({ folder, certificate, key }: ServerPlace): Promise<ServerProgram> => {
    const port = await freePort();
    return { port, command: [...command, String(port), certificate, key, join(folder, 'access.log')] };
  };

/** Node carries OpenSSL inside. */
export const node = ours(process.execPath, here('node-server.ts'));

/** Debian's own: it has libssl as a library. */
export const python = ours('/usr/bin/python3', here('python-server.py'));

/** crypto/tls, stripped. */
export async function go({ folder, certificate, key }: ServerPlace): Promise<ServerProgram> {
  const { echo } = await buildPrograms();
  const port = await freePort();
  const files = [`-certificate=${certificate}`, `-key=${key}`, `-log=${join(folder, 'access.log')}`];
  return { port, command: [echo, `-listen=127.0.0.1:${port}`, ...files] };
}

/** The log is that of `echo` behind it, which is told of the session: haproxy's own leaves out a line in some thousands. */
export const haproxy = async ({ folder, certificate, key }: ServerPlace): Promise<ServerProgram> => {
  const [{ root, env }, { echo }, port] = await Promise.all([unpacked(), buildPrograms(), freePort()]);
  const pem = join(folder, 'both.pem');
  writeFileSync(pem, readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'));
  const file = join(folder, 'haproxy.cfg');
  const socket = join(folder, 'echo.sock');
  writeFileSync(
    file,
    `global
  nbthread 2
  maxconn 2000
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend tls
  bind 127.0.0.1:${port} ssl crt ${pem} alpn http/1.1
  http-request set-header X-Tls-Version %[ssl_fc_protocol]
  http-request set-header X-Tls-Suite %[ssl_fc_cipher]
  http-request set-header X-Tls-Reused %[ssl_fc_is_resumed]
  default_backend echo
backend echo
  server echo unix@${socket}
`,
  );
  const behind = [echo, `-listen=${socket}`, `-log=${join(folder, 'access.log')}`] as const;
  return { port, command: [join(root, 'usr/sbin/haproxy'), '-f', file], env, behind };
};

/** Threads: mpm_event. */
export const apache = async ({ folder, certificate, key }: ServerPlace): Promise<ServerProgram> => {
  const [{ root, env }, { echo }, port] = await Promise.all([unpacked(), buildPrograms(), freePort()]);
  const modules = ['mpm_event', 'authz_core', 'ssl', 'socache_shmcb', 'proxy', 'proxy_http'];
  const load = modules.map(
    (name) => `LoadModule ${name}_module ${root}/usr/lib/apache2/modules/mod_${name}.so`,
  );
  const file = join(folder, 'httpd.conf');
  const socket = join(folder, 'echo.sock');
  writeFileSync(
    file,
    `${load.join('\n')}
ServerName shop.example
ServerRoot ${folder}
Listen 127.0.0.1:${port}
PidFile httpd.pid
DefaultRuntimeDir ${folder}
ErrorLog error.log
User www-data
Group www-data
StartServers 2
ThreadsPerChild 32
MaxKeepAliveRequests 0
KeepAliveTimeout 60
LogFormat "${APACHE_LOG.replaceAll('"', '\\"')}" exchange
CustomLog access.log exchange
SSLEngine on
SSLCertificateFile ${certificate}
SSLCertificateKeyFile ${key}
SSLSessionCache shmcb:${folder}/sessions(512000)
ProxyPass / unix:${socket}|http://localhost/
`,
  );
  const command = [join(root, 'usr/sbin/apache2'), '-f', file, '-D', 'FOREGROUND'] as const;
  return { port, command, env, behind: [echo, `-listen=${socket}`] };
};

const APACHE_LOG = [
  '{"id":"%{X-Id}i","method":"%m","target":"%U%q","status":%>s,"body":"%{Content-Length}i"',
  '"version":"%{SSL_PROTOCOL}x","suite":"%{SSL_CIPHER}x","reused":"%{SSL_SESSION_RESUMED}x"}',
].join(',');

/** Debian's haproxy and Apache, unpacked into the cache. */
async function unpacked(): Promise<{ root: string; env: Record<string, string> }> {
  const root = (await runTool(here('../debs.sh'), [])).trim();
  return { root, env: { LD_LIBRARY_PATH: join(root, 'usr/lib/x86_64-linux-gnu') } };
}
