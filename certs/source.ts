// Certificates that are read again while the process runs: poll, compare bytes, keep the old pair when the new one is bad.
import { readFileSync } from 'node:fs';
import { checkPair } from './pair.ts';

/** PEM, as read from the files. `cert` may be a chain, leaf first; `ca` may hold several roots. */
export interface CertificatePair {
  cert: Buffer;
  key: Buffer;
  ca: Buffer;
}

export interface CertificateFiles {
  certFile: string;
  keyFile: string;
  caFile: string;
}

export interface CertificateSource {
  /** The newest good pair; the object is a new one after each reload. */
  current(): CertificatePair;
  close(): void;
}

export interface WatchOptions extends CertificateFiles {
  /** A new good pair is in use from now on. */
  onReload?: (pair: CertificatePair) => void;
  /** What is on disk is bad and the old pair stays. Once per distinct failure, not each poll. */
  onError?: (error: Error) => void;
  /** Milliseconds between two looks at the files. */
  intervalMs?: number;
}

// cert-manager and the kubelet take about a minute to swap files; ten seconds costs three small reads.
const defaultIntervalMs = 10_000;

/**
 * Loads the pair and looks again every `intervalMs`.
 * Throws `load certificate <path>: <cause>. <what to do>` when the first load is bad.
 * The timer never keeps the process alive.
 *
 * A failure is reported when two polls in a row see the same one: files are replaced one after the other,
 * so for a moment the certificate is new and the key is old.
 */
export function watchCertificates({
  certFile,
  keyFile,
  caFile,
  onReload = () => {},
  onError = () => {},
  intervalMs = defaultIntervalMs,
}: WatchOptions): CertificateSource {
  const files = { certFile, keyFile, caFile };
  let pair = load(files);
  let suspected: string | undefined;
  let reported: string | undefined;

  const poll = () => {
    let next: CertificatePair;
    try {
      next = load(files);
    } catch (cause) {
      const error = cause as Error;
      if (error.message === suspected && error.message !== reported) {
        reported = error.message;
        onError(error);
      }
      suspected = error.message;
      return;
    }
    suspected = undefined;
    reported = undefined;
    if (samePair(pair, next)) return;
    pair = next;
    onReload(next);
  };

  const timer = setInterval(poll, intervalMs).unref();
  return { current: () => pair, close: () => clearInterval(timer) };
}

function load(files: CertificateFiles): CertificatePair {
  const pair = { cert: read(files.certFile), key: read(files.keyFile), ca: read(files.caFile) };
  checkPair(pair, files, Date.now());
  return pair;
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new Error(`load certificate ${path}: ${remedies[code ?? ''] ?? message}`, { cause });
  }
}

const remedies: Record<string, string> = {
  ENOENT: 'no such file. Write the path of a PEM file, or make one with `node certs/main.ts <dir>`',
  EACCES: 'permission denied. Let the user that runs this process read it',
  EISDIR: 'it is a directory. Write the path of the file inside it, such as tls.crt',
};

function samePair(a: CertificatePair, b: CertificatePair): boolean {
  return a.cert.equals(b.cert) && a.key.equals(b.key) && a.ca.equals(b.ca);
}
