/** nginx with four workers and a port for each AEAD, and one for each habit that a handshake or a record may have. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../harness/free-port.ts';
import type { ServerPlace, ServerProgram } from '../server.ts';
import { AEADS, type Aead, CBC } from '../suites.ts';

export interface NginxPorts {
  aead: Record<Aead, number>;
  plaintext: number;
  /** Wants a group that the client sends no share for, and asks for a certificate. */
  retry: number;
  /** Pads its records to multiples of 512 bytes. */
  padding: number;
  /** Sends records of 512 bytes at most, and knows no extended master secret. */
  fragments: number;
  earlyData: number;
  /** TLS 1.2 with a suite that is not covered. */
  cbc: number;
}

const WORKERS = 4;

export async function nginxPorts(): Promise<NginxPorts> {
  const ports: number[] = [];
  while (ports.length < 9) ports.push(await freePort());
  const [
    gcm128 = 0,
    gcm256 = 0,
    chacha = 0,
    plaintext = 0,
    retry = 0,
    padding = 0,
    fragments = 0,
    earlyData = 0,
    cbc = 0,
  ] = ports;
  const aead = { 'AES-128-GCM': gcm128, 'AES-256-GCM': gcm256, 'ChaCha20-Poly1305': chacha };
  return { aead, plaintext, retry, padding, fragments, earlyData, cbc };
}

export const nginx =
  (ports: NginxPorts) =>
  async (place: ServerPlace): Promise<ServerProgram> => {
    const { folder } = place;
    const file = join(folder, 'nginx.conf');
    writeFileSync(file, configuration(place, ports));
    writeFileSync(join(folder, 'big.bin'), hostileBytes(65_536));
    writeFileSync(join(folder, '10m.bin'), hostileBytes(10 << 20));
    const command = ['nginx', '-p', folder, '-c', file, '-e', join(folder, 'error.log')] as const;
    return { port: ports.aead['AES-128-GCM'], command };
  };

/** A response body that looks like the beginning of responses, for whoever loses his place in it. */
function hostileBytes(length: number): Buffer {
  return Buffer.alloc(length, 'HTTP/1.1 200 OK\r\n\r\nnot a response\n');
}

const LOG_FORMAT = [
  '"id":"$http_x_id"',
  '"method":"$request_method"',
  '"target":"$request_uri"',
  '"status":$status',
  '"body":"$http_content_length"',
  '"version":"$ssl_protocol"',
  '"suite":"$ssl_cipher"',
  '"reused":"$ssl_session_reused"',
].join(',');

function configuration({ folder, certificate, key }: ServerPlace, ports: NginxPorts): string {
  const suites = Object.entries(AEADS).map(([name, suite]) => {
    const more = `ssl_ciphers ${suite['1.2']}; ssl_conf_command Ciphersuites ${suite['1.3']};`;
    return server(`127.0.0.1:${ports.aead[name as Aead]} ssl`, more);
  });
  return `
daemon off;
user root;
worker_processes ${WORKERS};
pid ${folder}/nginx.pid;
error_log ${folder}/error.log notice;
worker_rlimit_nofile 16384;
events { worker_connections 4096; }
http {
  log_format exchange escape=json '{${LOG_FORMAT}}';
  access_log ${folder}/access.log exchange buffer=64k flush=200ms;
  client_body_temp_path ${folder}/tmp-body;
  proxy_temp_path ${folder}/tmp-proxy;
  fastcgi_temp_path ${folder}/tmp-fastcgi;
  uwsgi_temp_path ${folder}/tmp-uwsgi;
  scgi_temp_path ${folder}/tmp-scgi;
  keepalive_requests 1000000;
  keepalive_timeout 10m;
  client_max_body_size 16m;
  ssl_certificate ${certificate};
  ssl_certificate_key ${key};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:sessions:1m;
  root ${folder};
  add_header X-Id $http_x_id always;
  ${suites.join('\n  ')}
  ${server(`127.0.0.1:${ports.plaintext}`)}
  ${server(`127.0.0.1:${ports.retry} ssl`, 'ssl_ecdh_curve secp384r1; ssl_verify_client optional_no_ca;')}
  ${server(`127.0.0.1:${ports.padding} ssl`, 'ssl_conf_command RecordPadding 512;')}
  ${server(`127.0.0.1:${ports.fragments} ssl`, 'ssl_buffer_size 512; ssl_conf_command Options -ExtendedMasterSecret;')}
  ${server(`127.0.0.1:${ports.earlyData} ssl`, 'ssl_early_data on;')}
  ${server(`127.0.0.1:${ports.cbc} ssl`, `ssl_protocols TLSv1.2; ssl_ciphers ${CBC};`)}
  # Over a unix socket, so that it is no second exchange: reads a body to its end before it answers.
  server { listen unix:${folder}/read.sock; access_log off; location / { return 200 "read\\n"; } }
}
`;
}

function server(listen: string, more = ''): string {
  const statuses = [200, 201, 403, 404, 503].map(
    (status) => `location /${status}/ { return ${status} "$http_x_id\\n"; }`,
  );
  const files = 'location /big/ { try_files /big.bin =404; } location = /10m.bin { }';
  const upload = 'location /upload { proxy_pass http://unix:read.sock; }';
  return `server { listen ${listen} backlog=4096; ${more} ${statuses.join(' ')} ${files} ${upload} }`;
}
