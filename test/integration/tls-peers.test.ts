/** What a peer may do to a session, done by OpenSSL's own client to nginx. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { assertClosed } from '../harness/capture.ts';
import { rootTest } from '../harness/root-test.ts';
import { attach } from '../tls/attach.ts';
import { type NumberedRequest, numberedRequest, requestText } from '../tls/numbered.ts';
import { type Act, runSession } from '../tls/s-client.ts';
import { openServer } from '../tls/server.ts';
import { type NginxPorts, nginx, nginxPorts } from '../tls/servers/nginx.ts';
import { told } from '../tls/told.ts';

interface Stage {
  port(of: keyof Omit<NginxPorts, 'aead'>): number;
  /** A session's file, and the request that is sent early, on disk. */
  file(name: string): string;
  session(
    port: number,
    args: readonly string[],
    acts: readonly Act[],
    early?: NumberedRequest,
  ): Promise<string>;
}

interface Row {
  title: string;
  /** What the client does; every act with an answer must be delivered, nothing else may be. */
  play(stage: Stage, t: ExecutionContext): Promise<void>;
  /** But for these requests, by calls. */
  unreadByCalls?: NumberedRequest[];
}

const PREFIX = 'peer';
/** The n-th request, of a connection of its own number: a body is sent by those whose number is a multiple of five. */
const nth = (n: number) => numberedRequest(PREFIX, 0, n);
const get = (n: number): Act => ({ request: nth(n) });
const K: Act = { command: 'K' };
const k: Act = { command: 'k' };

/** One session with these arguments of s_client, to this kind of port. */
const simple =
  (port: Parameters<Stage['port']>[0], args: string[], acts = [get(2), get(5), get(1), get(95), get(4)]) =>
  async (stage: Stage) =>
    void (await stage.session(stage.port(port), args, acts));

const ROWS: Row[] = [
  {
    title: 'updates its keys',
    play: simple('fragments', ['-tls1_3'], [get(2), k, get(3), k, k, get(5), get(4)]),
  },
  {
    title: 'has both sides update their keys',
    play: simple('fragments', ['-tls1_3'], [K, get(2), K, K, get(5), K, get(1), get(4)]),
  },
  {
    title: 'updates keys in the middle of a body',
    play: simple(
      'padding',
      ['-tls1_3'],
      [{ request: nth(5), between: ['K', 'k'] }, get(6), { request: nth(95), between: ['k'] }, get(7)],
    ),
  },
  { title: 'pads its records', play: simple('padding', ['-tls1_3', '-record_padding', '1024']) },
  { title: 'sends records of 512 bytes', play: simple('fragments', ['-max_send_frag', '512']) },
  {
    title: 'sends records of 512 bytes in TLS 1.2',
    play: simple('fragments', ['-tls1_2', '-max_send_frag', '512']),
  },
  { title: 'asks for records of 512 bytes', play: simple('padding', ['-maxfraglen', '512']) },
  { title: 'sends no ChangeCipherSpec', play: simple('padding', ['-tls1_3', '-no_middlebox']) },
  {
    title: 'is asked for another group and for a certificate',
    play: simple('retry', ['-tls1_3', '-groups', 'X25519:P-384']),
  },
  {
    title: 'is asked for a certificate in TLS 1.2',
    play: simple('retry', ['-tls1_2', '-groups', 'P-384:P-256']),
  },
  { title: 'gets no extended master secret', play: simple('fragments', ['-tls1_2']) },
  { title: 'offers protocols', play: simple('padding', ['-alpn', 'http/1.1,http/1.0']) },
  {
    title: 'resumes by session id in TLS 1.2',
    play: async ({ port, session, file }, t) => {
      const args = ['-tls1_2', '-no_ticket'];
      await session(port('padding'), [...args, '-sess_out', file('session')], [get(2)]);
      t.regex(
        await session(port('padding'), [...args, '-sess_in', file('session')], [get(3), get(5)]),
        /^Reused, TLSv1\.2/m,
      );
    },
  },
  {
    title: 'sends early data that is accepted',
    // nginx reads its first byte alone: no read begins with this request.
    unreadByCalls: [nth(5)],
    play: async ({ port, session, file }, t) => {
      await session(port('earlyData'), ['-tls1_3', '-sess_out', file('session')], [get(2)]);
      const args = ['-tls1_3', '-sess_in', file('session'), '-early_data', file('request-5')];
      t.regex(await session(port('earlyData'), args, [get(3), K, get(4)], nth(5)), /Early data was accepted/);
    },
  },
  {
    title: 'sends early data that is refused, and sends it again',
    play: async ({ port, session, file }, t) => {
      // A ticket of another port's keys: a full handshake follows, and the early records are skipped.
      await session(port('earlyData'), ['-tls1_3', '-sess_out', file('session')], [get(2)]);
      const args = ['-tls1_3', '-sess_in', file('session'), '-early_data', file('request-5')];
      t.regex(await session(port('padding'), args, [get(5), get(3)]), /Early data was rejected/);
    },
  },
  {
    title: 'sends early data that is refused with HelloRetryRequest',
    play: async ({ port, session, file }, t) => {
      await session(port('earlyData'), ['-tls1_3', '-sess_out', file('session')], [get(2)]);
      const args = [
        '-tls1_3',
        '-groups',
        'X25519:P-384',
        '-sess_in',
        file('session'),
        '-early_data',
        file('request-5'),
      ];
      t.regex(await session(port('retry'), args, [get(5), get(3)]), /Early data was rejected/);
    },
  },
  {
    title: 'renegotiates, which nginx refuses',
    play: simple('padding', ['-tls1_2'], [get(2), get(5), { command: 'R' }]),
  },
  {
    title: 'refuses the certificate with an alert',
    play: simple('padding', ['-tls1_3', '-verify_return_error', '-verify', '1'], []),
  },
  {
    title: 'refuses the certificate with an alert in TLS 1.2',
    play: simple('padding', ['-tls1_2', '-verify_return_error', '-verify', '1'], []),
  },
];

/** nginx with a library that hands out its secrets, and with one whose calls are read instead. */
const WAYS = [
  { way: '', server: {}, expectations: {} },
  { way: ' by calls', server: { ownLibrary: 'keyless' }, expectations: { called: true } },
] as const;

for (const [{ title, play, unreadByCalls = [] }, { way, server: options, expectations }] of ROWS.flatMap(
  (row) => WAYS.map((way) => [row, way] as const),
)) {
  rootTest(
    `a client that ${title}: what nginx answers is delivered${way}, right, and nothing else`,
    async (t) => {
      const ports = await nginxPorts();
      const server = await openServer(t, nginx(ports), options);
      const { account, capture, quiet } = await attach(t, server);
      account.begin(PREFIX, expectations);
      server.mark();
      const file = (name: string) => join(server.folder, name);
      writeFileSync(file('request-5'), requestText(nth(5)));
      let answered = 0;
      await play(
        {
          port: (of) => ports[of],
          file,
          session(port, args, acts, early) {
            answered += acts.filter((act) => 'request' in act).length + (early ? 1 : 0);
            return runSession({ port, args, acts, ...(early && { early }) });
          },
        },
        t,
      );
      await quiet();
      const lines = (await server.accessLog(answered)).filter(({ id }) => id.startsWith(`${PREFIX}-`));
      t.is(lines.length, answered, 'the harness itself: nginx logs what was answered');
      const { right, wrong, missing } = account.compare(lines);
      const about = told(capture);
      t.deepEqual(wrong, []);
      const unread = way === '' ? [] : unreadByCalls.map(({ id, target }) => `${id} ${target}`);
      t.deepEqual(missing, unread, about);
      t.is(right, answered - unread.length, about);
      assertClosed(t, capture.ledger());
    },
  );
}
