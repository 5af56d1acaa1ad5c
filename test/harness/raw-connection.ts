/** One keep-alive connection that a test drives by hand. */
import { connect, type Socket } from 'node:net';
import { type ReadResponse, readResponses } from './response-reader.ts';

export interface RawConnection {
  write(text: string): void;
  /** The next response to a request of this method. */
  response(method?: string): Promise<ReadResponse>;
  /** Sends a GET and reads its response. */
  get(target: string, id: string): Promise<ReadResponse>;
  close(): void;
  socket: Socket;
}

export async function openConnection(port: number, host = '127.0.0.1'): Promise<RawConnection> {
  const socket = connect({ host, port, noDelay: true });
  const reader = readResponses(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject);
  });
  const response = (method = 'GET') => reader.next(method);
  const write = (text: string) => void socket.write(text, 'latin1');
  return {
    socket,
    write,
    response,
    get(target, id) {
      write(getRequest(target, id));
      return response();
    },
    close: () => socket.destroySoon(),
  };
}

export function getRequest(target: string, id: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: shop.example\r\nX-Id: ${id}\r\n\r\n`;
}
