/** Time in the two programs as the kernel itself counts it (bpf_stats): the egress program's is a part of nginx's. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Agent } from '../harness/agent.ts';
import { atExit } from '../harness/last-resort.ts';
import type { Load } from './load.ts';

export interface ProgramCost {
  requests: number;
  egress: ProgramRuns;
  ingress: ProgramRuns;
}

export interface ProgramRuns {
  runs: number;
  /** Counting included, which is some 70 ns a run and not there otherwise. */
  ns: number;
  verifiedInstructions: number;
}

const SWITCH = '/proc/sys/kernel/bpf_stats_enabled';

export async function measureProgram(agent: Agent, load: Load, seconds: number): Promise<ProgramCost> {
  const before = readFileSync(SWITCH, 'latin1');
  const restore = () => writeFileSync(SWITCH, before);
  const forget = atExit(restore);
  writeFileSync(SWITCH, '1');
  try {
    await load(1);
    const first = programsOf(agent.pid);
    const { requests } = await load(seconds);
    const last = programsOf(agent.pid);
    return {
      requests,
      egress: between(first.egress, last.egress),
      ingress: between(first.ingress, last.ingress),
    };
  } finally {
    restore();
    forget();
  }
}

/** Of the two programs the one that walks responses is by far the longer. */
function programsOf(pid: number): { egress: ProgramRuns; ingress: ProgramRuns } {
  const folder = `/proc/${pid}/fdinfo`;
  const programs = readdirSync(folder).flatMap((fd) => {
    const info = readIfThere(`${folder}/${fd}`);
    if (!info.includes('prog_tag:') || info.includes('link_type:')) return [];
    const number = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    const verifiedInstructions = number('verified_insns');
    return [{ ns: number('run_time_ns'), runs: number('run_cnt'), verifiedInstructions }];
  });
  const [egress, ingress] = programs.sort((a, b) => b.verifiedInstructions - a.verifiedInstructions);
  if (!egress || !ingress) throw new Error(`measure the programs: process ${pid} does not hold both`);
  return { egress, ingress };
}

function between(first: ProgramRuns, last: ProgramRuns): ProgramRuns {
  return { ...last, ns: last.ns - first.ns, runs: last.runs - first.runs };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // Closed since the folder was read.
    return '';
  }
}
