// One folder with all rules, in the order of their file names: libmodsecurity finds a rule's data file beside the rule's own file.
import { readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ownFolder = import.meta.dirname;

export interface RulesOptions {
  /** The folder that `rules/crs.sh` prints. */
  crsFolder: string;
  /** An empty folder; nothing in it is replaced. */
  folder: string;
  /** CRS paranoia level, 1..4. */
  paranoia: number;
  /** CRS inbound anomaly score from which a request is an attack. */
  threshold: number;
}

/**
 * Links CRS and the own rules into `folder`. Returns the rule files in loading order.
 * Throws `load rules from <folder>: <cause>. <what to do>` when CRS is not there.
 */
export function assembleRules({ crsFolder, folder, paranoia, threshold }: RulesOptions): string[] {
  const crs = crsFiles(crsFolder);
  writeFileSync(join(folder, '001-setup.conf'), setup({ paranoia, threshold }), { flag: 'wx' });
  for (const name of crs) symlinkSync(join(crsFolder, name), join(folder, name));
  for (const name of readdirSync(ownFolder).filter((name) => name.endsWith('.conf'))) {
    symlinkSync(join(ownFolder, name), join(folder, name));
  }
  return ruleFiles(folder);
}

function ruleFiles(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.conf'));
  return names.sort().map((name) => join(folder, name));
}

function crsFiles(crsFolder: string): string[] {
  const advice = 'Run processor/rules/crs.sh and give the folder it prints';
  let names: string[];
  try {
    names = readdirSync(crsFolder);
  } catch (cause) {
    throw new Error(`load rules from ${crsFolder}: ${(cause as Error).message}. ${advice}`, { cause });
  }
  if (!names.includes('REQUEST-901-INITIALIZATION.conf')) {
    throw new Error(`load rules from ${crsFolder}: no REQUEST-901-INITIALIZATION.conf there. ${advice}`);
  }
  return names.filter((name) => /^(REQUEST|RESPONSE)-.*\.conf$|\.data$/.test(name));
}

// CRS asks for these in its crs-setup.conf; without crs_setup_version it refuses to run.
const setup = ({
  paranoia,
  threshold,
}: {
  paranoia: number;
  threshold: number;
}) => `# Written at start from the configuration.
SecAction "id:100010,phase:1,pass,t:none,nolog,\\
    setvar:tx.crs_setup_version=4250,\\
    setvar:tx.blocking_paranoia_level=${paranoia},\\
    setvar:tx.detection_paranoia_level=${paranoia},\\
    setvar:tx.inbound_anomaly_score_threshold=${threshold},\\
    setvar:tx.crs_skip_response_analysis=1,\\
    setvar:'tx.allowed_methods=GET HEAD POST PUT PATCH DELETE OPTIONS'"
`;
