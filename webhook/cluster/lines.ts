const newline = 0x0a;

/**
 * Lines of a stream of bytes, without their ends. A last line without an end is given too. One that is too long is
 * passed by, and undefined is given in its place as soon as that is known.
 */
export async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  maxLineBytes: number,
): AsyncGenerator<string | undefined> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let passing = false;
  /** True when the line has just become too long. */
  const hold = (part: Buffer): boolean => {
    if (passing) return false;
    held.push(part);
    heldBytes += part.length;
    passing = heldBytes > maxLineBytes;
    if (passing) forget();
    return passing;
  };
  const forget = () => {
    held = [];
    heldBytes = 0;
  };
  const release = () => {
    const line = (held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held)).toString('utf8');
    forget();
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      if (hold(chunk.subarray(from, end))) yield undefined;
      from = end + 1;
      if (!passing) yield release();
      passing = false;
    }
    if (from < chunk.length && hold(chunk.subarray(from))) yield undefined;
  }
  if (heldBytes > 0) yield release();
}
