// Who asks: somebody in the same network namespace (kubectl port-forward and exec), or anybody of the pod network?
//
// A mesh's sidecar forwards from loopback, so behind one everybody seems to be inside: exclude the ops port there
// (traffic.sidecar.istio.io/excludeInboundPorts, config.linkerd.io/skip-inbound-ports).
import { isIPv6 } from 'node:net';

/** Of a socket; undefined when it is closed. */
interface Ends {
  remoteAddress?: string | undefined;
  localAddress?: string | undefined;
}

/**
 * A connection from loopback, or from our own address to itself, that means us by its Host header too: a page of
 * evil.example, whose name was made to point to 127.0.0.1, reaches a port-forward from the user's browser.
 */
export function isInside({ remoteAddress, localAddress }: Ends, host: string | undefined): boolean {
  if (remoteAddress === undefined || host === undefined) return false;
  const local = localAddress === undefined ? undefined : plain(localAddress);
  const isOurs = (address: string) => isLoopback(address) || address === local;
  const name = plain(hostnameOf(host));
  return isOurs(plain(remoteAddress)) && (name === 'localhost' || isOurs(name));
}

/** Without the port, and without the brackets of IPv6. */
function hostnameOf(host: string): string {
  const [, bracketed, name = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host.trim()) ?? [];
  if (bracketed === undefined) return name;
  return isIPv6(bracketed) ? bracketed : '';
}

/** IPv4 on a socket that takes both comes as ::ffff:10.0.0.1. */
function plain(address: string): string {
  return address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '');
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}
