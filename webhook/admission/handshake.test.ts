import test from 'ava';
import { handshakeSentence } from './handshake.ts';

const failure = (code: string, reason?: string) =>
  Object.assign(new Error(`${code} \n`), { code, ...(reason && { reason }) });

const rows: [title: string, error: Error, said: RegExp][] = [
  [
    'an API server without the right caBundle',
    failure('ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE'),
    /^refused a connection of 10\.0\.0\.1: the client does not trust this certificate\..* caBundle in the webhook/,
  ],
  ['a client that went away', failure('ECONNRESET'), /: the client went away in the handshake$/],
  ['plain HTTP', failure('ERR_SSL_HTTP_REQUEST'), /: the client speaks plain HTTP\. Write https:/],
  ['a fault with a reason', failure('ERR_X', 'bad record'), /: TLS handshake: bad record\. Check that/],
  ['any other fault', failure('ERR_X'), /: TLS handshake: ERR_X\. Check that/],
];

for (const [title, error, said] of rows) {
  test(`${title} is told in words`, (t) => t.regex(handshakeSentence(error, '10.0.0.1'), said));
}

test('a client that nobody knows any more is told without an address', (t) => {
  t.is(
    handshakeSentence(failure('ECONNRESET')),
    'refused a connection: the client went away in the handshake',
  );
});
