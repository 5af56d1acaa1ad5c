import { spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { whyNoCgroups } from '../harness/cgroup.ts';
import type { News } from './hold.ts';
import { LOG_FILE, remember, whereabouts } from './standing.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

const HOW_TO_USE = `
  eval "$(make -s cluster-env)"      kubectl, helm and ctr of this shell use it
  kubectl get pods -A
  make cluster-down                  takes it away
`;

/** Starts a cluster that outlives this process; none when there is one. */
export async function up(): Promise<number> {
  const why = whyNoCgroups();
  if (why) throw new Error(`${why}. Run it with sudo on a Linux with cgroup2`);
  const standing = whereabouts();
  if (standing) {
    process.stdout.write(`${standing.name} is running already.\n${HOW_TO_USE}`);
    return 0;
  }
  const started = performance.now();
  const say = (text: string) =>
    process.stdout.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}\n`);
  await start(say);
  process.stdout.write(HOW_TO_USE);
  return 0;
}

function start(say: (text: string) => void): Promise<void> {
  mkdirSync(dirname(LOG_FILE), { recursive: true });
  const log = openSync(LOG_FILE, 'w');
  const child = spawn(process.execPath, [MAIN, 'hold'], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  // Ctrl-C while it starts.
  const end = () => child.kill('SIGTERM');
  process.once('SIGINT', end).once('SIGTERM', end);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`it ended. ${LOG_FILE} has what it said`)));
    child.on('message', (news: News) => {
      if ('step' in news) return say(news.step);
      if ('failed' in news) return reject(new Error(news.failed));
      remember(news.ready);
      child.disconnect();
      child.unref();
      resolve();
    });
  });
}
