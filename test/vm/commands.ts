/** What a guest and its host say to each other over one connection: a line of JSON each, and a connection a command. */

export const PORT = 2000;

/** The host, once. When it says no more, the command is to end. */
export interface Order {
  command: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
}

/** The guest; `code` is the last. */
export type Word = { stdout: string } | { stderr: string } | { code: number };

export const line = (value: Order | Word): string => `${JSON.stringify(value)}\n`;
