/** Which certificate it is: the one in a Secret, and the one that a server shows. */
import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import type { Cluster } from '../cluster/cluster.ts';
import { NAMESPACE } from './install.ts';

/** undefined: there is none. */
export async function serialInSecret({ kubectl }: Cluster, name: string): Promise<string | undefined> {
  const path = ['-o', 'jsonpath={.data.tls\\.crt}'];
  const { stdout } = await kubectl.attempt(['get', 'secret', name, '-n', NAMESPACE, ...path]);
  return stdout ? new X509Certificate(Buffer.from(stdout, 'base64')).serialNumber : undefined;
}

/** To a new connection; undefined: it did not come about. */
export function serialServed(address: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  // Whom it lets in is not asked here: the certificate comes before.
  const socket = connect({ host: address, port: 8443, rejectUnauthorized: false }, () => {
    resolve(socket.getPeerX509Certificate()?.serialNumber);
    socket.destroy();
  });
  socket.once('error', () => resolve(undefined));
  return promise;
}
