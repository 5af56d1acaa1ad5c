// What a person reads in the log about the TLS of targets: once per target for each library and for each reason.
import type { Coverage, TargetCoverage, TlsProcess } from '../bpf/index.d.ts';

export interface TlsLine {
  level: 'info' | 'warn';
  text: string;
}

/** Remembers what was said. Call it with each reading of coverage; it gives only what is new. */
export function tlsLines(): (coverage: Coverage) => TlsLine[] {
  let said = new Set<string>();
  return (coverage) => {
    const lines = coverage.targets.flatMap((target) => linesOf(target));
    const fresh = lines.filter(({ text }) => !said.has(text));
    // Of a target that is gone nothing is remembered: when it comes again, it is new.
    said = new Set(lines.map(({ text }) => text));
    return fresh;
  };
}

function linesOf(target: TargetCoverage): TlsLine[] {
  const name = nameOf(target);
  const libraries = target.tls.processes.filter(
    (process) => process.library !== undefined || process.attached,
  );
  const byLibrary = libraries.map((process): TlsLine => {
    const how = process.attached
      ? 'is read by the secrets of its handshakes'
      : `is not covered: ${process.probe}`;
    return {
      level: process.attached ? 'info' : 'warn',
      text: `TLS of ${name} in ${programOf(process)} ${how}`,
    };
  });
  const byReason = Object.keys(target.tls.dark).map(
    (reason): TlsLine => ({
      level: 'warn',
      text: `connections of ${name} with TLS are not read: ${reason}. See /coverage for how many`,
    }),
  );
  const byCalls = Object.keys(target.tls.called).map(
    (reason): TlsLine => ({
      level: 'info',
      text: `connections of ${name} with TLS are read by calls of their library, which costs it more: ${reason}`,
    }),
  );
  return [...new Map([...byLibrary, ...byReason, ...byCalls].map((line) => [line.text, line])).values()];
}

function nameOf({ identity }: TargetCoverage): string {
  if (identity.pod === undefined) return identity.name;
  const container = identity.container === undefined ? '' : ` container ${identity.container}`;
  return `${identity.namespace}/${identity.pod}${container}`;
}

/** "/usr/sbin/nginx (/usr/lib/libssl.so.3, OpenSSL 3.0.19)" */
function programOf({ executable, library, version }: TlsProcess): string {
  const within = [library === executable ? undefined : library, version].filter((part) => part !== undefined);
  return within.length === 0 ? executable : `${executable} (${within.join(', ')})`;
}
