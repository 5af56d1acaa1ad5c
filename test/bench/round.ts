/** What is measured while a load runs once. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Agent } from '../harness/agent.ts';
import { cpuTimeUs, machineBusyUs, residentBytes } from '../harness/processes.ts';
import { stolenNs, taskTimes } from './kernel-times.ts';
import type { Load } from './load.ts';

export interface Round {
  perSecond: number;
  nginxUsPerRequest: number;
  /** Of everything that ran but the agent: nginx, the client, and the softirqs between them. */
  machineUsPerRequest: number;
  /** How often nginx found nothing to do: the fewer, the more it does at a time and the less each costs. */
  sleepsPerRequest: number;
  /** Of the round's time: nginx was kept from its core by the host or by other processes. */
  disturbed: number;
  agent: AgentFigures | null;
}

export interface AgentFigures {
  usPerExchange: number;
  residentBytes: number;
  /** Exchanges that reached the processor, of those that the client was answered. */
  delivered: number;
}

export interface RoundOptions {
  load: Load;
  seconds: number;
  nginxPid: number;
  nginxCore: number;
  agent: Agent | null;
}

const WARM_UP_SECONDS = 1;

export async function measureRound(options: RoundOptions): Promise<Round> {
  const { load, seconds, agent } = options;
  await load(WARM_UP_SECONDS);
  const ledgerBefore = await agent?.settled();
  const before = read(options);
  const { requests, perSecond } = await load(seconds);
  const after = read(options);
  const agentDuring = after.agentUs - before.agentUs;
  const round = {
    perSecond,
    nginxUsPerRequest: (after.nginx.cpuNs - before.nginx.cpuNs) / 1000 / requests,
    machineUsPerRequest: (after.machineUs - before.machineUs - agentDuring) / requests,
    sleepsPerRequest: (after.nginx.sleeps - before.nginx.sleeps) / requests,
    disturbed:
      (after.nginx.waitedNs - before.nginx.waitedNs + after.stolenNs - before.stolenNs) /
      ((after.atMs - before.atMs) * 1e6),
  };
  if (!agent || !ledgerBefore) return { ...round, agent: null };

  const resident = residentBytes(agent.pid);
  // What still lies in the queue when the load ends costs CPU too.
  const ledger = await agent.settled();
  const delivered = ledger.exchanges.delivered - ledgerBefore.exchanges.delivered;
  const agentUs = cpuTimeUs(agent.pid) - before.agentUs;
  return {
    ...round,
    agent: {
      usPerExchange: agentUs / delivered,
      residentBytes: Math.max(resident, residentBytes(agent.pid)),
      delivered: delivered / requests,
    },
  };
}

/** A pause that lets both rounds of a pair begin alike. */
export function rest(): Promise<void> {
  return sleep(500);
}

function read({ nginxPid, nginxCore, agent }: RoundOptions) {
  return {
    atMs: performance.now(),
    nginx: taskTimes(nginxPid),
    stolenNs: stolenNs(nginxCore),
    machineUs: machineBusyUs(),
    agentUs: agent ? cpuTimeUs(agent.pid) : 0,
  };
}
