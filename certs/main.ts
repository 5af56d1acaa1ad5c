// `node certs/main.ts <dir>`: certificates for development. Again in the same folder: new leaves under the same CA.
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createAuthority, type Issued, issueLeaf } from './authority.ts';

const usage = `usage: node certs/main.ts <dir> [--names localhost,127.0.0.1,::1] [--days 90]

Writes ca.crt, ca.key, processor.crt, processor.key, agent.crt and agent.key into <dir>.
A CA that is there already is kept, so that running processes take the new leaves without a restart.
  --names   DNS names and IP addresses of the processor
  --days    how long the two leaves are valid (the CA: ten years)
`;

const authorityDays = 3650;

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      names: { type: 'string', default: 'localhost,127.0.0.1,::1' },
      days: { type: 'string', default: '90' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const [dir, ...more] = positionals;
  const days = Number(values.days);
  if (dir === undefined || more.length > 0) throw new Error(`write exactly one folder\n\n${usage}`);
  if (!Number.isInteger(days) || days < 1)
    throw new Error(`--days ${values.days}: write a whole number from 1`);

  const names = values.names
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  mkdirSync(dir, { recursive: true });
  const authority = loadOrCreateAuthority(dir);
  const processor = issueLeaf(authority, {
    commonName: 'podmirror-processor',
    dnsNames: names.filter((name) => isIP(name) === 0),
    ipAddresses: names.filter((name) => isIP(name) !== 0),
    usages: ['server'],
    days,
  });
  const agent = issueLeaf(authority, { commonName: 'podmirror-agent', usages: ['client'], days });
  write(dir, 'processor', processor);
  write(dir, 'agent', agent);
  process.stdout.write(`${dir}: processor.crt for ${names.join(', ')}, agent.crt; both trust ca.crt\n`);
}

function loadOrCreateAuthority(dir: string): Issued {
  const [certFile, keyFile] = [join(dir, 'ca.crt'), join(dir, 'ca.key')];
  if (existsSync(certFile) && existsSync(keyFile)) {
    const authority = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
    if (new X509Certificate(authority.cert).validToDate.getTime() > Date.now()) return authority;
  }
  const authority = createAuthority({ commonName: 'podmirror development CA', days: authorityDays });
  write(dir, 'ca', authority);
  return authority;
}

/** Each file is replaced whole, so that a process reading it at this moment never sees half of one. */
function write(dir: string, name: string, { cert, key }: Issued): void {
  replace(join(dir, `${name}.key`), key, 0o600);
  replace(join(dir, `${name}.crt`), cert, 0o644);
}

function replace(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode });
  renameSync(`${path}.new`, path);
}

try {
  main();
} catch (error) {
  process.stderr.write(`certs: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
