// The newest coverage of each agent. In memory: agents tell it anew every half minute, so a restart is made good sooner
// than anybody could look, and it is worth nothing once its agent has told another. Replicas know each their own agents, as
// they know their own attacks; a database of each replica's own would not change that.
import { createHash } from 'node:crypto';
import { type CoverageReport, maxReportBytes } from './report.ts';
import { type NotCovered, notCovered, type Summary, summaryOf } from './summary.ts';

export interface AgentView {
  /** For addresses: agents of one node with other certificates are others. */
  id: string;
  node: string;
  /** Names in its certificate. */
  client: string;
  agentVersion: string;
  /** ISO 8601. */
  heardAt: string;
  heardMsAgo: number;
  /** It has not told for so long that it may be gone: the numbers are those of then. */
  silent: boolean;
  summary: Summary;
}

export interface AgentDetail extends AgentView, Pick<CoverageReport, 'atMs' | 'refused' | 'notes'> {
  targets: (CoverageReport['targets'][number] & { notCovered: NotCovered[] })[];
}

export interface Agents {
  /** `full`: there is no room for one more, or for as much. */
  take(client: readonly string[], report: CoverageReport): 'taken' | 'full';
  /** By node. */
  list(): AgentView[];
  get(id: string): AgentDetail | undefined;
  count(): { heard: number; silent: number };
}

// Three times what an agent lets pass.
const silentMs = 90_000;
// Nodes come and go, and nobody says goodbye for them.
const keptMs = 24 * 60 * 60 * 1000;

interface Kept {
  id: string;
  node: string;
  client: string;
  agentVersion: string;
  heardMs: number;
  summary: Summary;
  /** The report as JSON: bytes that can be counted. */
  body: Buffer;
}

export function createAgents({
  now,
  maxAgents = 1000,
  maxBytes = 64 * maxReportBytes,
}: {
  now: () => number;
  maxAgents?: number;
  maxBytes?: number;
}): Agents {
  /** The one heard longest ago comes first. */
  const agents = new Map<string, Kept>();
  let bytes = 0;

  const remove = ({ id, body }: Kept) => {
    agents.delete(id);
    bytes -= body.length;
  };
  const isSilent = ({ heardMs }: Kept) => now() - heardMs >= silentMs;
  const forget = () => {
    for (const agent of agents.values()) {
      if (now() - agent.heardMs < keptMs) return;
      remove(agent);
    }
  };
  const fits = (size: number) => agents.size < maxAgents && bytes + size <= maxBytes;
  /** Silent ones give way; those that are heard stay, so that a list of too many does not change with every look. */
  const makeRoom = (size: number): boolean => {
    for (const agent of agents.values()) {
      if (fits(size) || !isSilent(agent)) break;
      remove(agent);
    }
    return fits(size);
  };
  const view = ({ heardMs, body: _, ...agent }: Kept, silent: boolean): AgentView => ({
    ...agent,
    heardAt: new Date(heardMs).toISOString(),
    heardMsAgo: Math.max(0, now() - heardMs),
    silent,
  });

  return {
    take(client, report) {
      const names = client.join(', ');
      const { node, agentVersion } = report;
      const id = idOf(names, node);
      const body = Buffer.from(JSON.stringify(report));
      const before = agents.get(id);
      if (before) remove(before);
      if (!makeRoom(body.length)) return 'full';
      agents.set(id, {
        id,
        node,
        client: names,
        agentVersion,
        heardMs: now(),
        summary: summaryOf(report),
        body,
      });
      bytes += body.length;
      return 'taken';
    },
    list() {
      forget();
      return [...agents.values()]
        .map((agent) => view(agent, isSilent(agent)))
        .sort((a, b) => compare(a.node, b.node) || compare(a.id, b.id));
    },
    get(id) {
      forget();
      const agent = agents.get(id);
      if (!agent) return undefined;
      const { atMs, targets, refused, notes } = JSON.parse(agent.body.toString()) as CoverageReport;
      return {
        ...view(agent, isSilent(agent)),
        atMs,
        targets: targets.map((target) => ({ ...target, notCovered: notCovered(target) })),
        refused,
        notes,
      };
    },
    count() {
      forget();
      const silent = [...agents.values()].filter(isSilent).length;
      return { heard: agents.size - silent, silent };
    },
  };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** No agent chooses the id of another's report: what its certificate says is part of it. */
function idOf(names: string, node: string): string {
  return createHash('sha256')
    .update(JSON.stringify([names, node]))
    .digest('hex')
    .slice(0, 32);
}
