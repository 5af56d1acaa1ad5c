// How what TLS protects is read.

/**
 * `secrets`: a session's secrets are taken where the TLS library derives them, and packets are decrypted here. `calls`:
 * plaintext is read where the workload hands it to its TLS library. `auto`: secrets where they can be had, calls elsewhere.
 * `off`: what TLS protects is not looked at.
 */
export const tlsModes = ['auto', 'secrets', 'calls', 'off'] as const;

export type TlsMode = (typeof tlsModes)[number];

export const isTlsMode = (text: string): text is TlsMode => (tlsModes as readonly string[]).includes(text);
