// Is what a Secret holds fit to be used? Pure: the clock is an argument. People may write anything there.
import { X509Certificate } from 'node:crypto';
import forge from 'node-forge';
import type { Issued } from '../../certs/authority.ts';
import { checkPair } from '../../certs/pair.ts';
import type { Leaf } from './leaf.ts';
import type { LeafStanding, Standing } from './plan.ts';

/** The three keys of a Secret as text; empty: not there. */
export interface Stored {
  /** ca.crt: all CAs to be trusted, the one that signs first. */
  ca: string;
  /** tls.crt */
  cert: string;
  /** tls.key */
  key: string;
}

const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The CAs in a bundle, each in one spelling; what does not parse, or is no CA, is left out. */
export function authoritiesIn(bundle: string): string[] {
  const found = (bundle.match(pemBlock) ?? []).map(parsed).filter((certificate) => certificate?.ca);
  return [...new Set(found.map((certificate) => spelled(certificate as X509Certificate)))];
}

export const bundleOf = (authorities: readonly string[]): string => authorities.join('');

export function judgeAuthority(stored: Stored | undefined, nowMs: number): Standing<{ signer: Issued }> {
  if (!stored) return { bad: 'it is missing' };
  const bad = whyUnfit({ ...stored, ca: stored.cert }, nowMs);
  if (bad !== undefined) return { bad };
  const certificate = new X509Certificate(stored.cert);
  if (!certificate.ca) return { bad: 'it is no CA' };
  // cert-manager's is of the same name, and of another kind.
  if (!canSign(stored)) return { bad: 'it is of a kind that cannot sign here, where RSA is needed' };
  const signer = { cert: spelled(certificate), key: stored.key };
  return { expiresAtMs: certificate.validToDate.getTime(), signer };
}

function canSign({ cert, key }: Stored): boolean {
  try {
    forge.pki.certificateFromPem(cert);
    forge.pki.privateKeyFromPem(key);
    return true;
  } catch {
    return false;
  }
}

/** `trusted`: CAs beside the signer. */
export function judgeLeaf(
  stored: Stored | undefined,
  leaf: Leaf,
  { signer, trusted, nowMs }: { signer: string | undefined; trusted: readonly string[]; nowMs: number },
): LeafStanding {
  if (!stored) return { bad: 'it is missing' };
  const bad = whyUnfit(stored, nowMs);
  if (bad !== undefined) return { bad };
  const certificate = new X509Certificate(stored.cert);
  const missing = (leaf.dnsNames ?? []).find((name) => certificate.checkHost(name) === undefined);
  if (missing !== undefined) return { bad: `it is not for ${missing}` };
  // A server is known by its DNS names; the processor knows its agents by this.
  if (leaf.usages.includes('client') && certificate.subject !== `CN=${leaf.commonName}`)
    return { bad: `it does not belong to ${leaf.commonName}` };
  const usages = leaf.usages.map((usage) => (usage === 'server' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2'));
  if (!usages.every((usage) => certificate.keyUsage?.includes(usage)))
    return { bad: `it is not for a ${leaf.usages.join(' and ')}` };
  const bySigner = signer !== undefined && hasIssued(signer, certificate, nowMs);
  if (!bySigner && !trusted.some((authority) => hasIssued(authority, certificate, nowMs)))
    return { bad: 'no CA that is trusted has issued it' };
  return { expiresAtMs: certificate.validToDate.getTime(), bySigner };
}

function hasIssued(authority: string, certificate: X509Certificate, nowMs: number): boolean {
  const issuer = new X509Certificate(authority);
  const isValid = nowMs >= issuer.validFromDate.getTime() && nowMs <= issuer.validToDate.getTime();
  return isValid && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** As our services judge the files they are given. */
function whyUnfit({ ca, cert, key }: Stored, nowMs: number): string | undefined {
  if (!ca || !cert || !key) return 'one of ca.crt, tls.crt, tls.key is empty';
  const pair = { ca: Buffer.from(ca), cert: Buffer.from(cert), key: Buffer.from(key) };
  try {
    checkPair(pair, { caFile: 'ca.crt', certFile: 'tls.crt', keyFile: 'tls.key' }, nowMs);
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^load certificate /, '');
  }
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

const spelled = (certificate: X509Certificate): string => certificate.toString();
