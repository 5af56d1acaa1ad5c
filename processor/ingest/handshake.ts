// Why a connection did not come about, in words, with what to do.
import type { TLSSocket } from 'node:tls';

/** What `tlsClientError` brings. A certificate that did not pass is told by the socket; the error is a mere "hang up" then. */
export type HandshakeError = NodeJS.ErrnoException & { reason?: string };
export type RefusedSocket = Pick<TLSSocket, 'remoteAddress'> & { authorizationError?: unknown };

const certificateRemedies: Record<string, string> = {
  CERT_HAS_EXPIRED: 'Renew it',
  CERT_NOT_YET_VALID: 'Correct the clock of this machine or of the agent',
};
const certificateRemedy = 'Have the CA in ingest.caFile issue it, for client authentication';

const causes: Record<string, string> = {
  ECONNRESET:
    'the client went away in the handshake. If it is an agent, it does not trust ingest.certFile: write the CA that issued it in its processor.ca',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    'the client sent no certificate. Only agents with processor.cert and processor.key are served here',
  ERR_SSL_HTTP_REQUEST: 'the client speaks plain HTTP. Write https: in its processor.url',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'the client does not speak TLS 1.3. Run agent and processor of one version',
};

export function handshakeSentence(error: HandshakeError, socket: RefusedSocket): string {
  // A socket that is gone no longer knows whose it was.
  const client = socket.remoteAddress === undefined ? '' : ` of ${socket.remoteAddress}`;
  return `refused a connection${client}: ${causeOf(error, socket)}`;
}

function causeOf(
  { code = '', reason, message }: HandshakeError,
  { authorizationError }: RefusedSocket,
): string {
  if (authorizationError) {
    const verdict = String(authorizationError);
    return `the client's certificate is not accepted (${verdict}). ${certificateRemedies[verdict] ?? certificateRemedy}`;
  }
  return causes[code] ?? `TLS handshake: ${reason ?? message.trim()}. Check that the client is an agent`;
}
