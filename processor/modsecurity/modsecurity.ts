// The addon of this folder, with its types. `make` builds modsecurity.node.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Name and value as sent. */
export interface RawHeader {
  name: Uint8Array;
  value: Uint8Array;
}

export interface RawTransaction {
  /** IP addresses as text. */
  clientAddress: string;
  clientPort: number;
  serverAddress: string;
  serverPort: number;
  method: Uint8Array;
  target: Uint8Array;
  /** "1.1", without "HTTP/". */
  version: string;
  headers: RawHeader[];
  body: Uint8Array;
  /** Absent: no response was seen. */
  status?: number;
  responseHeaders: RawHeader[];
}

/** A rule that matched. Texts hold one character per byte (ISO 8859-1). */
export interface Match {
  id: number;
  message: string;
  /** The rule's logdata, at most 200 bytes of it. */
  data: string;
  /** 2 critical, 3 error, 4 warning, 5 notice; 0 where the rule names none. */
  severity: number;
  tags: string[];
  /** For example "ARGS:file"; empty when libmodsecurity does not tell. */
  variable: string;
}

export interface Inspector {
  /** All phases; about a millisecond, blocking, not to be interrupted. At most 256 matches. */
  inspect(transaction: RawTransaction): Match[];
}

interface Addon {
  Inspector: new (rulesFiles: string[]) => Inspector;
}

/** Throws `load <file>: <cause>. <what to do>` when the addon is not built or libmodsecurity3 is missing. */
export function loadInspector(rulesFiles: string[]): Inspector {
  const file = fileURLToPath(new URL('modsecurity.node', import.meta.url));
  let addon: Addon;
  try {
    addon = createRequire(import.meta.url)(file) as Addon;
  } catch (cause) {
    const advice = 'Run make, and apt-get install libmodsecurity3';
    throw new Error(`load ${file}: ${(cause as Error).message}. ${advice}`, { cause });
  }
  return new addon.Inspector(rulesFiles);
}
