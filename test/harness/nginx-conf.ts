/** The nginx configuration that serves every kind of message the tests need. */

export interface NginxConf {
  /** Directory of its own: files, logs, sockets. */
  prefix: string;
  port: number;
  /** 0: no master, one process that serves. */
  workers: number;
  /** `lines`: one JSON object a request, at once. `marks`: one byte a request, buffered, for load. */
  log: 'lines' | 'marks';
  tls?: { port: number; certificate: string; key: string };
}

// One JSON object a line. Bytes above 0x7f are written as they came, so read the file as latin1.
const LOG_FORMAT = [
  '"id":"$http_x_id"',
  '"request":"$request"',
  '"method":"$request_method"',
  '"status":$status',
  '"bodyBytesSent":$body_bytes_sent',
  '"contentLength":"$http_content_length"',
  '"transferEncoding":"$http_transfer_encoding"',
  '"expect":"$http_expect"',
  '"requestLength":$request_length',
  '"connection":$connection',
  '"connectionRequests":$connection_requests',
  '"pipelined":"$pipe"',
  '"msec":$msec',
].join(',');

export function nginxConf({ prefix, port, workers, log, tls }: NginxConf): string {
  const format = log === 'lines' ? 'exchange' : 'mark buffer=64k flush=1s';
  return `
daemon off;
master_process ${workers === 0 ? 'off' : 'on'};
worker_processes ${Math.max(workers, 1)};
# The prefix is a directory that only root may enter.
user root;
pid ${prefix}/nginx.pid;
error_log ${prefix}/error.log notice;
worker_rlimit_nofile 16384;
events { worker_connections 4096; }
http {
  log_format exchange escape=json '{${LOG_FORMAT}}';
  log_format mark '';
  client_body_temp_path ${prefix}/tmp-body;
  proxy_temp_path ${prefix}/tmp-proxy;
  fastcgi_temp_path ${prefix}/tmp-fastcgi;
  uwsgi_temp_path ${prefix}/tmp-uwsgi;
  scgi_temp_path ${prefix}/tmp-scgi;
  types { text/plain txt; text/html html; }
  default_type application/octet-stream;
  keepalive_requests 1000000;
  client_max_body_size 16m;
  proxy_ignore_client_abort on;

  server {
    listen 127.0.0.1:${port} backlog=4096;
    listen [::1]:${port} backlog=4096;
${tls ? `    listen 127.0.0.1:${tls.port} ssl backlog=4096;\n    ssl_certificate ${tls.certificate};\n    ssl_certificate_key ${tls.key};\n    ssl_protocols TLSv1.2 TLSv1.3;` : ''}
    access_log ${prefix}/access.log ${format};
    root ${prefix}/files;

    # Files of a known length: /1k.txt, /1m.bin, /10m.bin, with ETag, ranges and HEAD; other methods are 405.
    location / { }
    location /text { return 200 "some text\\n"; }
    location /empty { return 204; }
    location /moved { return 302 /text; }
    location ~ ^/status/(?<wanted>200|400|401|403|404|409|410|429|500|503) { try_files /none @$wanted; }
${[200, 400, 401, 403, 404, 409, 410, 429, 500, 503]
  .map((status) => `    location @${status} { return ${status} "status ${status}\\n"; }`)
  .join('\n')}
    # Rewritten bodies have no length: chunked in HTTP/1.1, delimited by close in HTTP/1.0.
    location /chunked/ { alias ${prefix}/files/; sub_filter_types *; sub_filter_once off; sub_filter e E; }
    # Bodies are read to their end before the upstream is asked; its log has their true length.
    location /upload { proxy_pass http://unix:${prefix}/upstream.sock; }
    location /small { client_max_body_size 1k; proxy_pass http://unix:${prefix}/upstream.sock; }
    location /upgrade {
      proxy_pass http://unix:${prefix}/upgrade.sock;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }
  }

  # Over a unix socket: no TCP, so what passes here is no second exchange to a capture.
  server {
    listen unix:${prefix}/upstream.sock;
    access_log ${prefix}/upstream.log ${format};
    location / { return 200 "read\\n"; }
  }
}
`;
}
