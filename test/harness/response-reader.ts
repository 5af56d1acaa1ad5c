/** Reads the responses of one connection, in order, knowing what was asked. */
import type { Socket } from 'node:net';

export interface ReadResponse {
  status: number;
  /** Names in lower case. */
  headers: Map<string, string>;
  /** Content-Length as declared, null without. */
  declaredLength: number | null;
  /** The server will close after this one. */
  last: boolean;
}

export interface ResponseReader {
  /** The next message, interim ones (1xx but 101) too. Throws when the server closes before its end. */
  next(method: string): Promise<ReadResponse>;
  /** Waits for so many bytes that are no HTTP, after a 101. */
  raw(length: number): Promise<Buffer>;
  /** Waits for the server's end. */
  end(): Promise<void>;
}

export function readResponses(socket: Socket): ResponseReader {
  let buffered: Buffer = Buffer.alloc(0);
  let ended = false;
  let failure: Error | undefined;
  let wake = () => {};
  socket.on('data', (bytes) => {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    buffered = buffered.length === 0 ? data : Buffer.concat([buffered, data]);
    wake();
  });
  socket.on('end', () => {
    ended = true;
    wake();
  });
  socket.on('error', (error) => {
    failure = error;
    ended = true;
    wake();
  });
  socket.on('close', () => {
    ended = true;
    wake();
  });

  const more = async (): Promise<boolean> => {
    if (ended) return false;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    return true;
  };
  const needMore = async (wanted: string): Promise<void> => {
    if (!(await more())) throw new Error(`read ${wanted}: the server closed`, { cause: failure });
  };
  const skip = async (length: number): Promise<void> => {
    let left = length;
    while (left > buffered.length) {
      left -= buffered.length;
      buffered = Buffer.alloc(0);
      await needMore('a body');
    }
    buffered = buffered.subarray(left);
  };
  const line = async (): Promise<string> => {
    for (;;) {
      const end = buffered.indexOf('\r\n');
      if (end >= 0) {
        const text = buffered.toString('latin1', 0, end);
        buffered = buffered.subarray(end + 2);
        return text;
      }
      await needMore('a line');
    }
  };
  const skipChunked = async (): Promise<void> => {
    for (;;) {
      const size = Number.parseInt(await line(), 16);
      if (Number.isNaN(size)) throw new Error('read a body: a chunk has no size');
      await skip(size);
      if ((await line()) === '' && size === 0) return;
    }
  };

  return {
    async next(method) {
      const start = await line();
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(start)?.[1];
      if (status === undefined) throw new Error(`read a response: it begins with ${JSON.stringify(start)}`);
      const headers = new Map<string, string>();
      for (let text = await line(); text !== ''; text = await line()) {
        const colon = text.indexOf(':');
        headers.set(text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim());
      }
      const response = describe(Number(status), headers);
      if (bodiless(method, response.status)) return response;
      if (headers.get('transfer-encoding') === 'chunked') await skipChunked();
      else if (response.declaredLength !== null) await skip(response.declaredLength);
      else {
        while (await more()) buffered = Buffer.alloc(0);
        response.last = true;
      }
      return response;
    },
    async raw(length) {
      while (buffered.length < length) await needMore('raw bytes');
      const bytes = buffered.subarray(0, length);
      buffered = buffered.subarray(length);
      return bytes;
    },
    async end() {
      while (await more());
    },
  };
}

function describe(status: number, headers: Map<string, string>): ReadResponse {
  const length = headers.get('content-length');
  return {
    status,
    headers,
    declaredLength: length === undefined ? null : Number(length),
    last: headers.get('connection')?.toLowerCase() === 'close',
  };
}

function bodiless(method: string, status: number): boolean {
  return method === 'HEAD' || status < 200 || status === 204 || status === 304;
}
