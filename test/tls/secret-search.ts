/** Looks for the secrets of a key log where they should not be. */
import { runTool } from '../harness/run-tool.ts';
import { buildPrograms } from './programs.ts';

export interface SecretSearch {
  /** In the format of SSLKEYLOGFILE. */
  keylog: string;
  pids?: readonly number[] | 'all';
  /** Of `all`. */
  except?: readonly number[];
  files?: readonly string[];
}

export interface SearchReport {
  /** That were looked for: raw, as hexadecimal, and as the keys that follow from them in TLS 1.3. */
  secrets: number;
  processes: number;
  bytes: number;
  found: { where: string; secret: string }[];
}

export async function searchSecrets({
  keylog,
  pids = [],
  except = [],
  files = [],
}: SecretSearch): Promise<SearchReport> {
  const { memory } = await buildPrograms();
  const whose = [`-pids=${pids === 'all' ? pids : pids.join()}`, `-except=${except.join()}`];
  return JSON.parse(await runTool(memory, [`-keylog=${keylog}`, ...whose, ...files])) as SearchReport;
}
