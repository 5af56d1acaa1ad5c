// Why a connection did not come about, in words, with what to do.

/** What `tlsClientError` brings. */
export type HandshakeError = NodeJS.ErrnoException & { reason?: string };

const distrust =
  'the client does not trust this certificate. If it is the API server: caBundle in the webhook configuration must be the CA that issued it, and the certificate must name the Service';

const causes: Record<string, string> = {
  ECONNRESET: 'the client went away in the handshake',
  ERR_SSL_HTTP_REQUEST: 'the client speaks plain HTTP. Write https: in its URL',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'the client speaks no TLS 1.2 or newer. Use a newer one',
  // What Go sends for any certificate that it does not take, the API server among them.
  'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE': distrust,
  // What OpenSSL sends for a CA that it does not know.
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: distrust,
};

export function handshakeSentence({ code = '', reason, message }: HandshakeError, address?: string): string {
  // A socket that is gone no longer knows whose it was.
  const client = address === undefined ? '' : ` of ${address}`;
  const cause =
    causes[code] ?? `TLS handshake: ${reason ?? message.trim()}. Check that the client is an API server`;
  return `refused a connection${client}: ${cause}`;
}
