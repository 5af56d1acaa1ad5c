// A Node server that answers numbered requests. Arguments: port, certificate, key, access log.
import { createWriteStream, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { TLSSocket } from 'node:tls';

const [port, certificate = '', key = '', log = ''] = process.argv.slice(2);
const out = createWriteStream(log);
const big = Buffer.alloc(65_536, 'HTTP/1.1 200 OK\r\n\r\nnot a response\n');

const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  (request, response) => {
    const socket = request.socket as TLSSocket;
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    request.on('end', () => {
      const { method, url: target = '' } = request;
      const id = String(request.headers['x-id']);
      const first = target.split('/')[1];
      const status = first === 'big' ? 200 : Number(first);
      const [version, suite] = [socket.getProtocol(), socket.getCipher().standardName];
      const reused = socket.isSessionReused() ? 'r' : '.';
      out.write(
        `${JSON.stringify({ id, method, target, status, body: String(length), version, suite, reused })}\n`,
      );
      const body = first === 'big' ? big : Buffer.from(`${id}\n`);
      response.writeHead(status, { 'X-Id': id, 'Content-Length': body.length }).end(body);
    });
  },
);
server.keepAliveTimeout = 60_000;
server.listen(Number(port), '127.0.0.1');
