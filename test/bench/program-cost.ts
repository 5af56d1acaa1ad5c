/** Time in the egress program as the kernel itself counts it (bpf_stats): what of nginx's time is ours. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Agent } from '../harness/agent.ts';
import { atExit } from '../harness/last-resort.ts';
import type { Load } from './load.ts';

export interface ProgramCost {
  runsPerRequest: number;
  /** Counting included, which is some 50 ns and not there otherwise. */
  nsPerRun: number;
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
    const first = egressProgram(agent.pid);
    const { requests } = await load(seconds);
    const last = egressProgram(agent.pid);
    const runs = last.runs - first.runs;
    return {
      runsPerRequest: runs / requests,
      nsPerRun: (last.ns - first.ns) / runs,
      verifiedInstructions: last.verifiedInstructions,
    };
  } finally {
    restore();
    forget();
  }
}

/** Of the two programs the one that walks responses is by far the longer. */
function egressProgram(pid: number) {
  const folder = `/proc/${pid}/fdinfo`;
  const programs = readdirSync(folder).flatMap((fd) => {
    const info = readIfThere(`${folder}/${fd}`);
    if (!info.includes('prog_tag:') || info.includes('link_type:')) return [];
    const number = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return [
      {
        ns: number('run_time_ns'),
        runs: number('run_cnt'),
        verifiedInstructions: number('verified_insns'),
      },
    ];
  });
  const egress = programs.sort((a, b) => b.verifiedInstructions - a.verifiedInstructions)[0];
  if (!egress) throw new Error(`measure the egress program: process ${pid} holds none`);
  return egress;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // Closed since the folder was read.
    return '';
  }
}
