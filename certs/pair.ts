// Is this certificate, key and CA bundle fit to be used? Pure: the clock is an argument.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { CertificateFiles, CertificatePair } from './source.ts';

const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Throws `load certificate <path>: <cause>. <what to do>` unless every certificate parses, the key belongs to the
 * first one, that one is valid at `nowMs` (milliseconds since the epoch), and OpenSSL takes them for TLS 1.3.
 */
export function checkPair(pair: CertificatePair, files: CertificateFiles, nowMs: number): void {
  const [leaf] = parseChain(pair.cert, files.certFile);
  parseChain(pair.ca, files.caFile);
  const key = parseKey(pair.key, files.keyFile);

  const refuse = (cause: string) => new Error(`load certificate ${files.certFile}: ${cause}`);
  if (!leaf.checkPrivateKey(key)) {
    throw refuse(
      `the key in ${files.keyFile} belongs to another certificate. Put both files of one pair there`,
    );
  }
  if (nowMs > leaf.validToDate.getTime()) {
    throw refuse(`it expired on ${leaf.validToDate.toISOString()}. Issue a new one in its place`);
  }
  if (nowMs < leaf.validFromDate.getTime()) {
    throw refuse(
      `it is not valid before ${leaf.validFromDate.toISOString()}. Correct this machine's clock, or wait`,
    );
  }
  try {
    createSecureContext({ ...pair, minVersion: 'TLSv1.3' });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new Error(
      `load certificate ${files.certFile}: OpenSSL refuses it (${code ?? message}). Issue one with a stronger key, such as RSA 2048 or EC P-256, signed with SHA-256`,
      { cause },
    );
  }
}

function parseChain(pem: Buffer, path: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.toString('latin1').match(pemBlock) ?? [];
  const [leaf, ...rest] = blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      const { message } = cause as Error;
      throw new Error(
        `load certificate ${path}: certificate ${index + 1} of ${blocks.length} does not parse (${message}). Write it again, whole`,
        { cause },
      );
    }
  });
  if (!leaf) {
    throw new Error(
      `load certificate ${path}: no certificate in it. Write PEM: -----BEGIN CERTIFICATE----- and what follows`,
    );
  }
  return [leaf, ...rest];
}

function parseKey(pem: Buffer, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(
      `load certificate ${path}: the private key does not parse (${message}). Write an unencrypted PEM key`,
      { cause },
    );
  }
}
