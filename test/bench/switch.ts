/** Turns the mirroring of a cgroup on and off while the agent lives: it mirrors the cgroup of a process that is moved. */
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Agent } from '../harness/agent.ts';
import { type Cgroup, createCgroup } from '../harness/cgroup.ts';
import { until } from '../harness/until.ts';

export interface Switch {
  /** The process that the agent is to follow. */
  pid: number;
  /** Resolves when the agent has attached and detached its programs. */
  turn(on: boolean, agent: Agent): Promise<void>;
  close(): Promise<void>;
}

export function createSwitch(cgroup: Cgroup): Switch {
  // Nobody else lives there: off is an agent that mirrors an empty cgroup.
  const away = createCgroup('bench-away');
  const pointer = away.spawn('sleep', ['infinity'], { stdio: 'ignore' });
  const pid = pointer.pid ?? 0;
  // The agent looks again when a cgroup comes or goes.
  const bell = `${away.path}-bell`;
  let belled = false;
  const ring = () => {
    if (belled) rmdirSync(bell);
    else mkdirSync(bell);
    belled = !belled;
  };
  return {
    pid,
    async turn(on, agent) {
      const { path } = on ? cgroup : away;
      writeFileSync(join(path, 'cgroup.procs'), String(pid));
      ring();
      const mirrors = async () => {
        const { targets } = await agent.coverage();
        return targets.length === 1 && path.endsWith(targets[0]?.cgroup ?? ' ');
      };
      if (!(await until(mirrors, { everyMs: 10 })))
        throw new Error(`bench: the agent does not mirror ${path}`);
    },
    async close() {
      pointer.kill('SIGKILL');
      if (belled) ring();
      await away.remove();
    },
  };
}
