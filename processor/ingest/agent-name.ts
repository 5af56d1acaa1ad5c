// Whom a client certificate names.
import type { PeerCertificate } from 'node:tls';

/** Common name and DNS names. Empty when there is no certificate. */
export function namesOf({ subject, subjectaltname }: Partial<PeerCertificate>): string[] {
  const common: unknown = subject?.CN;
  // "DNS:agent, IP Address:10.0.0.1"; Node quotes names with special characters as JSON, which are no host names.
  const dns = (subjectaltname ?? '')
    .split(', ')
    .flatMap((name) => (name.startsWith('DNS:') ? [name.slice(4)] : []));
  return [...new Set([...(typeof common === 'string' ? [common] : []), ...dns])];
}
