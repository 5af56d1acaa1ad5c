// What a person reads in the log about the TLS of targets: once per target for each library and for each reason.
import type { Coverage, TargetCoverage, TlsProcess } from '../bpf/index.d.ts';

export interface TlsLine {
  level: 'info' | 'warn';
  text: string;
}

// Programs that come and go under ever new names are told again rather than remembered without end.
const maxRemembered = 500;

/** Remembers what was said. Call it with each reading of coverage; it gives only what is new. */
export function tlsLines(): (coverage: Coverage) => TlsLine[] {
  let said = new Map<string, Set<string>>();
  return ({ targets }) => {
    const current = new Map<string, Set<string>>();
    const fresh = targets.flatMap((target) => {
      const name = nameOf(target);
      const texts = current.get(name) ?? new Set();
      current.set(name, texts);
      return linesOf(target).filter(({ text }) => {
        const isNew = !texts.has(text) && said.get(name)?.has(text) !== true;
        texts.add(text);
        return isNew;
      });
    });
    // Of a target that is gone nothing is remembered: when it comes again, it is new. What holds still is not told again, and
    // what a worker has proven neither when the next one does.
    const remembered = (name: string, texts: ReadonlySet<string>) =>
      new Set([
        ...[...(said.get(name) ?? [])].filter((text) => !texts.has(text)).slice(-maxRemembered),
        ...texts,
      ]);
    said = new Map([...current].map(([name, texts]) => [name, remembered(name, texts)]));
    return fresh;
  };
}

function linesOf(target: TargetCoverage): TlsLine[] {
  const name = nameOf(target);
  const libraries = target.tls.processes.filter(
    (process) => process.library !== undefined || process.attached,
  );
  const byLibrary = libraries.flatMap((process) =>
    sayingsOf(process).map(
      ([level, how]): TlsLine => ({ level, text: `TLS of ${name} in ${programOf(process)} ${how}` }),
    ),
  );
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

const whatToDo =
  'With tls.mode auto its calls are tried, which costs it more; if connections of it stay dark, restart it, and see tls.processes in /coverage';

function sayingsOf({ attached, probe, proof }: TlsProcess): [level: TlsLine['level'], how: string][] {
  if (!attached) return [['warn', `is not covered: ${probe}`]];
  if (proof === 'unarmed') return [['warn', `is not read by its secrets: ${probe}. ${whatToDo}`]];
  if (proof === 'contradicted') return [['warn', `logs no secrets: ${probe}. ${whatToDo}`]];
  const put: [TlsLine['level'], string] = ['info', 'is read by the secrets of its handshakes'];
  return proof === 'proven' ? [put, ['info', 'is proven: the first connection was verified']] : [put];
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
