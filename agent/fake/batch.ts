// Encoded ExchangeBatches with n GET requests each.
import protobuf from 'protobufjs';
import type { Batch } from '../../bpf/index.d.ts';

const type = protobuf
  .loadSync(new URL('../../processor/exchange.proto', import.meta.url).pathname)
  .lookupType('podmirror.v1.ExchangeBatch');

export function encodedBatch(number: number, exchanges: number): Batch {
  const id = number.toString(16).padStart(32, '0');
  const message = type.fromObject({
    id: Buffer.from(id, 'hex'),
    node: 'test',
    targets: [{ cgroup: '/web', name: 'web' }],
    exchanges: Array.from({ length: exchanges }, (_, sequence) => ({
      connection: {
        clientAddress: [127, 0, 0, 1],
        clientPort: 5,
        serverAddress: [127, 0, 0, 1],
        serverPort: 80,
      },
      protocol: 1,
      sequence,
      request: {
        method: Buffer.from('GET'),
        target: Buffer.from(`/${number}/${sequence}`),
        version: 'HTTP/1.1',
      },
      response: { status: 200 },
    })),
  });
  return { id, bytes: Buffer.from(type.encode(message).finish()), exchanges };
}
