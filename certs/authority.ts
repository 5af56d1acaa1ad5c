// A small certificate authority for development and self-signed mode. RSA, since node-forge has no EC.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import forge from 'node-forge';

/** A certificate and its key, both PEM (X.509, PKCS #8). */
export interface Issued {
  cert: string;
  key: string;
}

export interface LeafOptions {
  commonName: string;
  dnsNames?: readonly string[];
  ipAddresses?: readonly string[];
  usages: readonly ('client' | 'server')[];
  /** Never outlives the authority. */
  days: number;
}

const dayMs = 86_400_000;
// Machines that talk to each other disagree by minutes about the time.
const clockSkewMs = 5 * 60_000;

/** A self-signed root that may sign leaves only (pathlen 0). RFC 5280 §4.2.1. */
export function createAuthority({ commonName, days }: { commonName: string; days: number }): Issued {
  const { certificate, keyPem, key } = newCertificate(commonName, 3072);
  setValidity(certificate, days);
  certificate.setIssuer(subjectOf(commonName));
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  certificate.sign(key, forge.md.sha256.create());
  return { cert: pemOf(certificate), key: keyPem };
}

/**
 * A leaf under `authority`. Names go into subjectAltName, the only place that clients look (RFC 9525);
 * a server without any is refused here instead of by every client.
 */
export function issueLeaf(
  authority: Issued,
  { commonName, dnsNames = [], ipAddresses = [], usages, days }: LeafOptions,
): Issued {
  const notIp = ipAddresses.find((address) => isIP(address) === 0);
  if (notIp !== undefined)
    throw new Error(`issue ${commonName}: ${notIp} is no IP address. Write it in dnsNames`);
  if (usages.includes('server') && dnsNames.length + ipAddresses.length === 0) {
    throw new Error(`issue ${commonName}: a server needs a name. Write at least one DNS name or IP address`);
  }

  const issuer = forge.pki.certificateFromPem(authority.cert);
  const { certificate, keyPem } = newCertificate(commonName, 2048);
  setValidity(certificate, days, issuer.validity.notAfter);
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true },
    { name: 'extKeyUsage', clientAuth: usages.includes('client'), serverAuth: usages.includes('server') },
    ...subjectAltName(dnsNames, ipAddresses),
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes() },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(authority.key), forge.md.sha256.create());
  return { cert: pemOf(certificate), key: keyPem };
}

/** With the line ends of this platform's tools: node-forge writes CRLF. */
function pemOf(certificate: forge.pki.Certificate): string {
  return forge.pki.certificateToPem(certificate).replaceAll('\r', '');
}

function newCertificate(commonName: string, modulusLength: number) {
  // OpenSSL makes the key: node-forge would need seconds for it.
  const pair = generateKeyPairSync('rsa', { modulusLength });
  const keyPem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const key = forge.pki.privateKeyFromPem(keyPem);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(
    pair.publicKey.export({ type: 'spki', format: 'pem' }) as string,
  );
  certificate.serialNumber = randomSerial();
  certificate.setSubject(subjectOf(commonName));
  return { certificate, keyPem, key };
}

/** 128 random bits as hex; the first byte lies in 01..7f, so the DER integer is positive and never shorter. */
export function randomSerial(): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x01;
  return serial.toString('hex');
}

function setValidity(certificate: forge.pki.Certificate, days: number, latest = new Date(8.64e15)): void {
  const now = Date.now();
  certificate.validity.notBefore = new Date(now - clockSkewMs);
  certificate.validity.notAfter = new Date(Math.min(now + days * dayMs, latest.getTime()));
}

function subjectOf(commonName: string): forge.pki.CertificateField[] {
  // @types/node-forge asks for a class here; the library reads the number of the ASN.1 type.
  const valueTagClass = forge.asn1.Type.UTF8 as unknown as forge.asn1.Class;
  return [{ name: 'commonName', value: commonName, valueTagClass }];
}

function subjectAltName(dnsNames: readonly string[], ipAddresses: readonly string[]): object[] {
  // GeneralName choices of RFC 5280 §4.2.1.6: 2 is dNSName, 7 is iPAddress.
  const altNames = [
    ...dnsNames.map((value) => ({ type: 2, value })),
    ...ipAddresses.map((ip) => ({ type: 7, ip })),
  ];
  return altNames.length === 0 ? [] : [{ name: 'subjectAltName', altNames }];
}
