// What stands between this agent and its processor, in words, with what to do.
import type { Answer } from './post.ts';

export interface Trouble {
  /** Equal for troubles of one kind: said once, not at each attempt. */
  kind: string;
  sentence: string;
}

const trustRemedy = "Write the CA that issued the processor's certificate in processor.ca";
const ownRemedy =
  "Have the processor's CA issue this agent's certificate (processor.cert), for client authentication";
// The certificate is good, for the connection came about.
const nameRemedy =
  "Write the name of this agent's certificate (processor.cert) in ingest.agents of the processor, or take a certificate with a name that is there";

/** Codes of node:net, node:dns, node:tls and OpenSSL alerts. */
const remedies: Record<string, string> = {
  ECONNREFUSED: 'Start the processor, or correct processor.url',
  ENOTFOUND: 'Correct the host name in processor.url',
  EAI_AGAIN: 'The name server does not answer: check DNS, or write an IP address in processor.url',
  EHOSTUNREACH: 'Check the route and the firewall to the processor',
  ENETUNREACH: 'Check the route and the firewall to the processor',
  ETIMEDOUT: 'Check the firewall, and whether the processor is overloaded',
  // A TLS 1.3 server checks the client after its own handshake has ended: being refused then looks like this.
  ECONNRESET: `If it stays so, the processor does not accept this agent's certificate. ${ownRemedy}`,
  EPROTO: 'Check that processor.url is the mTLS port of the processor, with TLS 1.3',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: trustRemedy,
  UNABLE_TO_GET_ISSUER_CERT: trustRemedy,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: trustRemedy,
  SELF_SIGNED_CERT_IN_CHAIN: trustRemedy,
  DEPTH_ZERO_SELF_SIGNED_CERT: trustRemedy,
  CERT_SIGNATURE_FAILURE: trustRemedy,
  CERT_HAS_EXPIRED: "Renew the processor's certificate",
  CERT_NOT_YET_VALID: 'Correct the clock of this machine or of the processor',
  INVALID_PURPOSE: "Issue the processor's certificate for server authentication",
  ERR_TLS_CERT_ALTNAME_INVALID: "Write a name from the processor's certificate in processor.serverName",
  ERR_SSL_WRONG_VERSION_NUMBER: 'No TLS is spoken there: correct the port in processor.url',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'No TLS is spoken there: correct the port in processor.url',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'Let the processor speak TLS 1.3',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'Let the processor speak TLS 1.3',
};

// The server's alert about our certificate: unknown ca, bad, expired, revoked or missing certificate, …
const alertAboutUs =
  /^ERR_SSL_(?:TLSV1|TLSV13|SSLV3)_ALERT_(?:.*CERTIFICATE.*|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)$/;

/** `doing`: what was tried to the processor. */
export function troubleOfError(error: NodeJS.ErrnoException, url: string, doing = 'deliver'): Trouble {
  const code = error.code ?? error.name;
  // Which of the two it is, is chance.
  const kind = code === 'EPIPE' ? 'ECONNRESET' : code;
  const remedy =
    remedies[kind] ?? (alertAboutUs.test(kind) ? ownRemedy : 'Check processor.url and its certificates');
  return { kind, sentence: `${doing} to ${url}: ${causeOf(error)}. ${remedy}` };
}

export function troubleOfAnswer({ status, text }: Answer, url: string, doing = 'deliver'): Trouble {
  const said = text === '' ? '' : ` (${reasonIn(text)})`;
  return {
    kind: `status ${status}`,
    sentence: `${doing} to ${url}: status ${status}${said}. ${statusRemedy(status)}`,
  };
}

/** The sentence in a refusal of our processor, `{"error": {message, detail?}}`; any other text as it is. */
export function reasonIn(text: string): string {
  try {
    const { message, detail } = (JSON.parse(text) as { error: { message: string; detail?: string } }).error;
    return [message, detail].filter((part) => part !== undefined).join(': ');
  } catch {
    return text;
  }
}

function statusRemedy(status: number): string {
  if (status === 429 || status === 503) {
    return 'The processor takes no more just now; batches wait here. If it stays so, give it more processors or disk';
  }
  if (status === 403) return nameRemedy;
  if (status === 401) return ownRemedy;
  if (status >= 300 && status < 400)
    return 'Redirects are not followed. Write the last address in processor.url';
  if (status >= 500) return "See the processor's log";
  return 'That is not how a podmirror processor answers. Correct processor.url';
}

function causeOf(error: NodeJS.ErrnoException): string {
  // Happy Eyeballs wraps one error per address, and its own message is empty.
  const first = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  return (first?.message ?? error.message).split('\n')[0]?.replace(/\.$/, '') || (error.code ?? error.name);
}
