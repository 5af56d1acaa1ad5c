/** What the processor has on record, asked as people's tools ask: its API, with the token. */
import type { attackSummary } from '../../processor/api/attack-view.ts';
import type { Stats } from '../../processor/store/store.ts';
import { until } from '../harness/until.ts';

export type RecordedAttack = ReturnType<typeof attackSummary>;

export interface AttackRecord {
  /** Newest first, 500 at most. */
  attacks(): Promise<RecordedAttack[]>;
  stats(): Promise<Stats>;
  /** Waits for an attack on this path; throws with those that came instead. */
  attackOn(path: string, timeoutMs?: number): Promise<RecordedAttack>;
  /** Of these paths, those on record, sorted. */
  among(paths: readonly string[]): Promise<string[]>;
}

/** `url`: of the API. */
export function openRecord({ url, token }: { url: string; token: string }): AttackRecord {
  const ask = async (path: string): Promise<unknown> => {
    const response = await fetch(new URL(path, url), { headers: { authorization: `Bearer ${token}` } });
    if (!response.ok) throw new Error(`GET ${path} of the processor: status ${response.status}`);
    return response.json();
  };
  const attacks = async () =>
    ((await ask('/api/attacks?limit=500')) as { attacks: RecordedAttack[] }).attacks;
  return {
    attacks,
    stats: async () => (await ask('/api/stats')) as Stats,
    async attackOn(path, timeoutMs = 15_000) {
      const found = await until(async () => (await attacks()).find((attack) => attack.path === path), {
        timeoutMs,
        everyMs: 50,
      });
      if (found) return found;
      const others = (await attacks()).slice(0, 10).map((attack) => `${attack.target.name}${attack.path}`);
      throw new Error(
        `no attack on ${path} is on record after ${timeoutMs} ms; the newest are ${others.join(' ')}`,
      );
    },
    async among(paths) {
      const recorded = new Set((await attacks()).map((attack) => attack.path));
      return paths.filter((path) => recorded.has(path)).sort();
    },
  };
}
