/** Cipher suites by the names that OpenSSL and IANA give them. */

/** OpenSSL's names for TLS 1.2; for TLS 1.3 it uses IANA's. */
const IANA: Record<string, string> = {
  'ECDHE-ECDSA-AES128-GCM-SHA256': 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384': 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305': 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES256-SHA': 'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA',
};

export const suiteName = (name: string): string => IANA[name] ?? name;

/** The AEADs, and the suite of each version, in OpenSSL's words. */
export const AEADS = {
  'AES-128-GCM': { '1.2': 'ECDHE-ECDSA-AES128-GCM-SHA256', '1.3': 'TLS_AES_128_GCM_SHA256' },
  'AES-256-GCM': { '1.2': 'ECDHE-ECDSA-AES256-GCM-SHA384', '1.3': 'TLS_AES_256_GCM_SHA384' },
  'ChaCha20-Poly1305': { '1.2': 'ECDHE-ECDSA-CHACHA20-POLY1305', '1.3': 'TLS_CHACHA20_POLY1305_SHA256' },
} as const;

/** One of TLS 1.2 that is not covered. */
export const CBC = 'ECDHE-ECDSA-AES256-SHA';

export type Aead = keyof typeof AEADS;
export type Version = '1.2' | '1.3';
