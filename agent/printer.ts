// `--print`: exchanges as JSON lines instead of a processor.
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { jsonLines, type WireBatch } from './jsonline.ts';
import type { Deliver, Outcome } from './pump.ts';

const contract = fileURLToPath(new URL('../processor/exchange.proto', import.meta.url));

/** Decodes one encoded ExchangeBatch. Throws when the bytes are none. */
export function batchDecoder(): (bytes: Buffer) => WireBatch {
  const type = protobuf.loadSync(contract).lookupType('podmirror.v1.ExchangeBatch');
  return (bytes) => type.toObject(type.decode(bytes), { longs: String, enums: String }) as WireBatch;
}

/**
 * Writes batches to `output`; a batch is delivered once the reader has taken it.
 * `onEnd` is called once when nothing more can be written: without an error when the reader has gone
 * (`| head`), which is no fault, otherwise with what to do about it (a full disk).
 */
export function createPrinter({
  output,
  onEnd,
}: {
  output: Writable;
  onEnd: (error: Error | undefined) => void;
}): Deliver {
  const decode = batchDecoder();
  let ended = false;
  output.on('error', (cause: NodeJS.ErrnoException) => {
    if (ended) return;
    ended = true;
    const readerGone = cause.code === 'EPIPE' || cause.code === 'ERR_STREAM_DESTROYED';
    onEnd(
      readerGone
        ? undefined
        : new Error(`print: ${writeRemedies[cause.code ?? ''] ?? cause.message}`, { cause }),
    );
  });

  return ({ bytes }, signal) => {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const giveUp = () => resolve({ dropped: 'shutdown' });
    if (ended || signal.aborted) {
      giveUp();
      return promise;
    }
    // A reader that has stopped reading must not hold up the end.
    signal.addEventListener('abort', giveUp, { once: true });
    output.write(jsonLines(decode(bytes)), (error) => (error ? giveUp() : resolve('delivered')));
    return promise.finally(() => signal.removeEventListener('abort', giveUp));
  };
}

const writeRemedies: Record<string, string> = {
  ENOSPC: 'the disk that stdout goes to is full. Make room and start again',
  EIO: 'stdout is broken. Start again with another one',
};
