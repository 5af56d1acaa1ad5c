import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface Certificate {
  certificate: string;
  key: string;
}

/** A self-signed certificate; ECDSA, so that handshakes are cheap. Files go into `folder`. */
export function makeCertificate(folder: string): Certificate {
  const files = { certificate: join(folder, 'server.crt'), key: join(folder, 'server.key') };
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const out = ['-subj', '/CN=shop.example', '-keyout', files.key, '-out', files.certificate];
  execFileSync('openssl', ['req', '-x509', ...ec, ...out], { stdio: 'pipe' });
  return files;
}
