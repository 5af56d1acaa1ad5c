// Who asks: somebody in the same network namespace (kubectl port-forward and exec), or anybody of the pod network?

/** Of a socket; undefined when it is closed. */
interface Ends {
  remoteAddress?: string | undefined;
  localAddress?: string | undefined;
}

/** A connection from loopback, or from our own address to itself. */
export function isInside({ remoteAddress, localAddress }: Ends): boolean {
  if (remoteAddress === undefined) return false;
  const remote = plain(remoteAddress);
  return isLoopback(remote) || (localAddress !== undefined && remote === plain(localAddress));
}

/** IPv4 on a socket that takes both comes as ::ffff:10.0.0.1. */
function plain(address: string): string {
  return address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '');
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}
