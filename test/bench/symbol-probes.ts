/**
 * What others do: probes at the entry and the return of `SSL_read` and `SSL_write`, by the kernel's own uprobe events
 * (Documentation/trace/uprobetracer.rst). They note that they were hit and copy no data, so this is less than any
 * tool that reads requests this way takes.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit } from '../harness/last-resort.ts';
import type { Subject } from './windows.ts';

const SYMBOLS = ['SSL_read', 'SSL_write'];
const GROUP = 'podmirror_bench';

export interface SymbolProbes extends Subject {
  close(): void;
}

/** On the libssl that the process `pid` has in memory. */
export function createSymbolProbes(pid: number): SymbolProbes {
  const { path, offsets } = findSymbols(pid);
  const tracefs = mkdtempSync(join(tmpdir(), 'podmirror-tracefs-'));
  execFileSync('mount', ['-t', 'tracefs', 'tracefs', tracefs]);
  const instance = join(tracefs, 'instances', GROUP);
  const define = (text: string) => writeFileSync(join(tracefs, 'uprobe_events'), text, { flag: 'a' });
  const probes = offsets.flatMap(([symbol, offset]) => [
    `p:${GROUP}/${symbol}_entry ${path}:0x${offset.toString(16)}`,
    `r:${GROUP}/${symbol}_return ${path}:0x${offset.toString(16)}`,
  ]);
  for (const probe of probes) define(`${probe}\n`);
  mkdirSync(instance);
  const enable = (on: boolean) => writeFileSync(join(instance, 'events', GROUP, 'enable'), on ? '1' : '0');
  const close = () => {
    enable(false);
    rmdirSync(instance);
    for (const probe of probes) define(`-:${probe.slice(2).split(' ')[0]}\n`);
    execFileSync('umount', [tracefs]);
    rmdirSync(tracefs);
  };
  const forget = atExit(close);
  return {
    pid: null,
    turn: async (on) => enable(on),
    close() {
      close();
      forget();
    },
  };
}

/** Where the symbols' code is in the file. */
function findSymbols(pid: number): { path: string; offsets: [symbol: string, offset: number][] } {
  const mappings = readFileSync(`/proc/${pid}/maps`, 'latin1')
    .split('\n')
    .map((line) => line.split(/\s+/))
    .filter(([, , , , , path]) => path?.includes('/libssl.so.'))
    .map(([range = '', access = '', offset = '', , , path = '']) => ({
      begin: Number.parseInt(range, 16),
      runs: access.includes('x'),
      offset: Number.parseInt(offset, 16),
      path,
    }));
  const [first] = mappings;
  const code = mappings.find(({ runs }) => runs);
  if (!first || !code) throw new Error(`process ${pid} has no libssl`);
  const names = execFileSync('nm', ['-D', '--defined-only', code.path], { encoding: 'latin1' });
  const offsets = SYMBOLS.map((symbol): [string, number] => {
    const address = new RegExp(`^([0-9a-f]+) T ${symbol}(@|$)`, 'm').exec(names)?.[1];
    if (!address) throw new Error(`${code.path} has no ${symbol}`);
    return [symbol, first.begin + Number.parseInt(address, 16) - code.begin + code.offset];
  });
  return { path: code.path, offsets };
}
