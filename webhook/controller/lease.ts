// Who leads: a coordination.k8s.io/v1 Lease, by the rules of client-go's leaderelection. Clocks of machines may
// differ: another holder's time is judged by our own monotonic clock, from when we saw its record change.
import { z } from 'zod';
import { type Api, type CallOptions, pathOf } from '../cluster/api.ts';
import { isStatus } from '../cluster/api-error.ts';
import { between, type Clock } from '../cluster/clock.ts';
import { type Log, sentenceOf } from '../cluster/log.ts';

export const LEASE_NAME = 'podmirror-webhook';

export interface Lease {
  isLeader(): boolean;
  /** Who holds it, as last seen. */
  holder(): string | undefined;
  /** Releases it when it is ours, so that another need not wait; settles when whoever led has ended. */
  stop(): Promise<void>;
}

export interface LeaseTiming {
  /** Others wait this long after the last renewal that they saw. */
  leaseMs: number;
  /** The leader gives up this long after its last renewal. Shorter, so that two never lead. */
  renewMs: number;
  retryMs: number;
}

const usualTiming: LeaseTiming = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2000 };

const leaseShape = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  spec: z
    .looseObject({
      holderIdentity: z.string().nullish().catch(undefined),
      leaseDurationSeconds: z.number().positive().max(120).nullish().catch(undefined),
      acquireTime: z.string().nullish().catch(undefined),
      renewTime: z.string().nullish().catch(undefined),
      leaseTransitions: z.number().int().min(0).nullish().catch(undefined),
    })
    .nullish()
    .transform((spec) => spec ?? {}),
});
type LeaseObject = z.infer<typeof leaseShape>;

export function startLease({
  api,
  namespace,
  name = LEASE_NAME,
  identity,
  lead,
  clock,
  wallClock = Date.now,
  log,
  timing: given = {},
}: {
  api: Pick<Api, 'get' | 'create' | 'replace'>;
  namespace: string;
  name?: string;
  /** Of this process and no other, also not of an earlier one with the same host name. */
  identity: string;
  /** Leads until the signal aborts. */
  lead: (signal: AbortSignal) => Promise<void>;
  clock: Clock;
  /** Milliseconds since 1970, only for people who read the Lease. */
  wallClock?: () => number;
  log: Log;
  timing?: Partial<LeaseTiming>;
}): Lease {
  const { leaseMs, renewMs, retryMs } = { ...usualTiming, ...given };
  const path = pathOf({ group: 'apis/coordination.k8s.io/v1', namespace }, 'leases', name);
  const collection = pathOf({ group: 'apis/coordination.k8s.io/v1', namespace }, 'leases');
  const stopping = new AbortController();
  let seen: { record: LeaseObject; text: string; at: number } | undefined;
  /** When the last renewal that succeeded was begun; undefined when we do not lead. */
  let renewedAt: number | undefined;
  let leading: { end: AbortController; done: Promise<void> } | undefined;
  let troubled = false;

  const isLeader = () => renewedAt !== undefined && clock.now() - renewedAt < renewMs;

  const observe = (object: unknown): LeaseObject => {
    const record = leaseShape.parse(object);
    const text = JSON.stringify(record.spec);
    // The time of the first look counts when nothing changed since.
    seen = { record, text, at: seen?.text === text ? seen.at : clock.now() };
    return record;
  };

  const isHeldByAnother = ({ spec }: LeaseObject): boolean => {
    if (!spec.holderIdentity || spec.holderIdentity === identity) return false;
    const durationMs = (spec.leaseDurationSeconds ?? leaseMs / 1000) * 1000;
    return clock.now() - (seen?.at ?? clock.now()) < durationMs;
  };

  const microTime = () => new Date(wallClock()).toISOString().replace('Z', '000Z');

  /** Ours from now on; what was there before goes on counting. */
  const specOf = (before: LeaseObject['spec'] | undefined) => {
    const now = microTime();
    const again = before?.holderIdentity === identity;
    return {
      ...before,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      acquireTime: again ? (before.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: before ? (before.leaseTransitions ?? 0) + (again ? 0 : 1) : 0,
    };
  };

  /** True when it is ours. Never waits longer than the lease can. */
  const acquireOrRenew = async (): Promise<boolean> => {
    const beganAt = clock.now();
    // A request that is slower than this could not keep the lease anyway.
    const options = { timeoutMs: Math.max(1, Math.min(renewMs / 2, 5000)), signal: stopping.signal };
    const found = async () => {
      // While we lead, what we wrote last is what stands there; if not, the server says 409.
      if (isLeader() && seen) return seen.record;
      return observe(await api.get(path, options));
    };
    const renew = async (before: LeaseObject) =>
      observe(await api.replace(path, { ...before, spec: specOf(before.spec) }, options));
    try {
      const before = await found();
      if (isHeldByAnother(before)) return false;
      await renew(before);
    } catch (error) {
      if (isStatus(error, 404)) {
        if (!(await make(options))) return false;
      } else if (isStatus(error, 409)) {
        const now = observe(await api.get(path, options));
        if (now.spec.holderIdentity !== identity) {
          // Another was faster, or somebody wrote to it: look again next time.
          lose('another took the lease');
          return false;
        }
        // A renewal of ours that was applied, and whose answer never came: until the next time may be too long.
        await renew(now);
      } else throw error;
    }
    renewedAt = beganAt;
    return true;
  };

  /** False when another made it meanwhile. */
  const make = async (options: CallOptions): Promise<boolean> => {
    const metadata = { name, namespace, labels: { 'app.kubernetes.io/name': 'podmirror' } };
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: specOf(undefined) };
    seen = undefined;
    try {
      observe(await api.create(collection, body, options));
      return true;
    } catch (error) {
      if (isStatus(error, 409)) return false;
      throw error;
    }
  };

  const begin = () => {
    log.info(`leading as ${identity}`);
    const end = new AbortController();
    const done = lead(end.signal).catch((error) => {
      log.error(`leading failed, which is a bug: ${(error as Error).stack ?? error}`);
    });
    leading = { end, done };
  };

  const lose = (why: string) => {
    renewedAt = undefined;
    if (!leading || leading.end.signal.aborted) return;
    log.warn(`not leading any more: ${why}`);
    leading.end.abort(new Error(why));
  };

  /** Looks whether the deadline has passed, also while a renewal hangs. */
  const guard = async () => {
    while (!stopping.signal.aborted) {
      const leftMs = renewedAt === undefined ? retryMs : renewedAt + renewMs - clock.now();
      await clock.sleep(Math.max(1, leftMs), stopping.signal);
      if (!stopping.signal.aborted && renewedAt !== undefined && !isLeader())
        lose('the lease was not renewed in time');
    }
  };

  const run = async () => {
    while (!stopping.signal.aborted) {
      try {
        const ours = await acquireOrRenew();
        if (troubled) log.info('the lease can be read and written again');
        troubled = false;
        if (ours && isLeader() && (!leading || leading.end.signal.aborted)) {
          // The last term of ours ends wholly before the next begins.
          await leading?.done;
          if (isLeader()) begin();
        }
      } catch (error) {
        if (stopping.signal.aborted) break;
        if (!troubled) log.warn(`the lease cannot be had: ${sentenceOf(error)}`);
        troubled = true;
      }
      // Jitter, so that contenders do not come all at once.
      await clock.sleep(isLeader() ? retryMs : between(clock, retryMs, retryMs * 2.2), stopping.signal);
    }
  };

  const release = async () => {
    if (!isLeader() || !seen) return;
    renewedAt = undefined;
    const { record } = seen;
    const spec = { ...record.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() };
    try {
      await api.replace(path, { ...record, spec }, { timeoutMs: 2000 });
    } catch (error) {
      log.warn(`the lease is not released and runs out by itself: ${sentenceOf(error)}`);
    }
  };

  const done = Promise.all([run(), guard()]);
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    stopping.abort();
    await done;
    leading?.end.abort(new Error('stopping'));
    // Released only when nothing is written by us any more.
    await leading?.done;
    await release();
  };

  return {
    isLeader,
    holder: () => seen?.record.spec.holderIdentity || undefined,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
