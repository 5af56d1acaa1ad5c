// Which certificates podmirror's services need, and where they are kept.
import type { LeafOptions } from '../../certs/authority.ts';

/** A certificate to be: its Secret, and what it says. */
export interface Leaf extends Omit<LeafOptions, 'days'> {
  namespace: string;
  secret: string;
}

/** The one that the webhook serves with. */
export const WEBHOOK_SECRET = 'podmirror-webhook-tls';
/** The CA with its key. */
export const AUTHORITY_SECRET = 'podmirror-own-ca';

/** All are kept in podmirror's own namespace. */
export function leavesOf(namespace: string): [webhook: Leaf, ...others: Leaf[]] {
  const server = (service: string, secret: string): Leaf => ({
    namespace,
    secret,
    commonName: service,
    // The first one is what API server and agents call.
    dnsNames: [`${service}.${namespace}.svc`, `${service}.${namespace}.svc.cluster.local`],
    usages: ['server'],
  });
  return [
    server('podmirror-webhook', WEBHOOK_SECRET),
    server('podmirror-processor', 'podmirror-processor-tls'),
    { namespace, secret: 'podmirror-agent-tls', commonName: 'podmirror-agent', usages: ['client'] },
  ];
}
