import { TooLargeError } from './api-error.ts';

const newline = 0x0a;

/** Lines of a stream of bytes, without their ends. A last line without an end is given too. */
export async function* linesOf(chunks: AsyncIterable<Buffer>, maxLineBytes: number): AsyncGenerator<string> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  const hold = (part: Buffer) => {
    heldBytes += part.length;
    if (heldBytes > maxLineBytes) throw new TooLargeError(`a line is longer than ${maxLineBytes} bytes`);
    held.push(part);
  };
  const release = () => {
    const line = (held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held)).toString('utf8');
    held = [];
    heldBytes = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      hold(chunk.subarray(from, end));
      from = end + 1;
      yield release();
    }
    if (from < chunk.length) hold(chunk.subarray(from));
  }
  if (heldBytes > 0) yield release();
}
