// Keeps one collection known: list, then watch, for ever. Our own loop, since informers of @kubernetes/client-node
// die after a reset or a failing list, and end the process when a handler throws.
import { z } from 'zod';
import type { Api } from './api.ts';
import { isGone, TimeoutError, TooLargeError } from './api-error.ts';
import { backoffMs } from './backoff.ts';
import { between, type Clock } from './clock.ts';
import { type Log, seldom, sentenceOf } from './log.ts';

export interface Handler<T> {
  /** All there is. */
  replace(items: T[]): void;
  upsert(item: T): void;
  remove(item: T): void;
}

export interface Watcher {
  /** The first list was seen. */
  synced(): boolean;
  /** Milliseconds since the server was last heard, Infinity before that: grows when what is known gets stale. */
  ageMs(): number;
  /** Lists again at once. */
  resync(): void;
  /** Settles when the loop has ended. */
  stop(): Promise<void>;
  counts: Readonly<WatcherCounts>;
}

/** For metrics. */
export interface WatcherCounts {
  lists: number;
  watches: number;
  failures: number;
  /** Connections that fell silent. */
  hung: number;
}

export interface WatcherTiming {
  pageSize: number;
  /** The server is asked to end a watch after a random time between these. */
  watchSeconds: [number, number];
  /** And we end it ourselves this much later. */
  graceMs: number;
  /** Bookmarks come about once a minute: two missed, and the connection is taken for dead. */
  silenceMs: number;
  resyncMs: [number, number];
  requestMs: number;
}

export const usualTiming: WatcherTiming = {
  pageSize: 500,
  watchSeconds: [240, 300],
  graceMs: 15_000,
  silenceMs: 130_000,
  resyncMs: [540_000, 660_000],
  requestMs: 30_000,
};

// A server that ends watches as soon as they begin must not be asked in a tight loop.
const shortMs = 1000;

const metadataShape = z.object({ metadata: z.object({ resourceVersion: z.string().min(1) }) });

export function startWatcher<T>({
  api,
  path,
  fieldSelector,
  name,
  reduce,
  handler,
  clock,
  log,
  timing: given = {},
}: {
  api: Pick<Api, 'list' | 'watch'>;
  path: string;
  fieldSelector?: string;
  /** "pods", for the log. */
  name: string;
  /** What is kept of an object; done per page, so that pages become garbage. An object for which it throws is left out. */
  reduce: (object: unknown) => T;
  handler: Handler<T>;
  clock: Clock;
  log: Log;
  timing?: Partial<WatcherTiming>;
}): Watcher {
  const timing = { ...usualTiming, ...given };
  const counts: WatcherCounts = { lists: 0, watches: 0, failures: 0, hung: 0 };
  const stopping = new AbortController();
  let interrupt = new AbortController();
  let synced = false;
  let heardAt: number | undefined;
  let resyncAt = 0;
  let pageSize = timing.pageSize;
  let troubled = false;

  const contact = () => {
    heardAt = clock.now();
  };

  // Only an event (bookmarks are some) says that all is well: watches may begin and break, one after the other.
  const heard = () => {
    if (troubled) log.info(`${name}: the API server answers again`);
    troubled = false;
  };

  const warnOfObject = seldom(log.warn.bind(log), clock.now);
  const errorOfHandler = seldom(log.error.bind(log), clock.now);

  // A bug of ours in a handler is a wrong cache until the next list, but never the end of the loop.
  const guarded = (what: string, work: () => void) => {
    try {
      work();
    } catch (error) {
      const where = (error as Error).stack ?? String(error);
      errorOfHandler(`${name}: handling ${what} failed, which is a bug: ${where}`);
    }
  };

  const reduced = (object: unknown): T[] => {
    try {
      return [reduce(object)];
    } catch (error) {
      warnOfObject(`${name}: an object is left out: ${sentenceOf(error)}`);
      return [];
    }
  };

  /** Gives the resourceVersion to watch from. */
  const list = async (): Promise<string> => {
    const items: T[] = [];
    let token: string | undefined;
    for (;;) {
      const options = { limit: pageSize, continue: token, fieldSelector, timeoutMs: timing.requestMs };
      const page = await api.list(path, { ...options, signal: stopping.signal }).catch((error) => {
        if (!(error instanceof TooLargeError) || pageSize === 1) throw error;
      });
      contact();
      // Objects with much in them: fewer at a time, and more again behind them. One tenant must not make the list so
      // long that its token expires.
      if (!page) {
        pageSize = Math.max(1, Math.floor(pageSize / 8));
        continue;
      }
      pageSize = Math.min(timing.pageSize, pageSize * 2);
      for (const object of page.items) items.push(...reduced(object));
      token = page.continue;
      if (token !== undefined) continue;
      counts.lists += 1;
      guarded('a list', () => handler.replace(items));
      synced = true;
      return page.resourceVersion;
    }
  };

  /** Gives the last resourceVersion heard when the watch ends without an error. */
  const watch = async (from: string): Promise<string> => {
    interrupt = new AbortController();
    const { signal } = interrupt;
    if (stopping.signal.aborted) return from;
    const seconds = Math.min(between(clock, ...timing.watchSeconds), (resyncAt - clock.now()) / 1000);
    const timeoutSeconds = Math.max(1, Math.ceil(seconds));
    const hung = setTimeout(
      () => interrupt.abort(new TimeoutError(`watch ${path}: not ended after ${timeoutSeconds} s`)),
      timeoutSeconds * 1000 + timing.graceMs,
    );
    let resourceVersion = from;
    counts.watches += 1;
    try {
      const options = { timeoutSeconds, silenceMs: timing.silenceMs, timeoutMs: timing.requestMs };
      const events = api.watch(path, {
        resourceVersion,
        fieldSelector,
        ...options,
        signal,
        onContact: contact,
      });
      for await (const { type, object } of events) {
        if (type === 'TOO_LARGE') {
          // Impossible with etcd's usual limit. The others are still heard, and this one is listed after this watch.
          warnOfObject(`${name}: an object is too large to be read, and what is known of it may be old`);
          resyncAt = clock.now();
          continue;
        }
        const version = metadataShape.safeParse(object).data?.metadata.resourceVersion;
        if (type !== 'BOOKMARK') {
          for (const item of reduced(object)) {
            guarded(type, () => (type === 'DELETED' ? handler.remove(item) : handler.upsert(item)));
          }
        }
        resourceVersion = version ?? resourceVersion;
        heard();
      }
    } catch (error) {
      if (signal.aborted && (stopping.signal.aborted || signal.reason === resyncWanted))
        return resourceVersion;
      // Silent but not refused: what came is whole, so it goes on from there.
      if (!(error instanceof TimeoutError)) throw error;
      counts.hung += 1;
      log.warn(`${name}: ${error.message}; watching again`);
    } finally {
      clearTimeout(hung);
    }
    return resourceVersion;
  };

  const run = async () => {
    let from: string | undefined;
    let failures = 0;
    let goneInARow = 0;
    while (!stopping.signal.aborted) {
      const beganAt = clock.now();
      try {
        if (from === undefined || clock.now() >= resyncAt) {
          resyncAt = clock.now() + between(clock, ...timing.resyncMs);
          from = await list();
        }
        const watchedAt = clock.now();
        from = await watch(from);
        goneInARow = 0;
        failures = clock.now() - watchedAt < shortMs ? failures + 1 : 0;
        if (failures > 0) await clock.sleep(backoffMs(failures, clock), interrupt.signal);
      } catch (error) {
        if (stopping.signal.aborted) return;
        // A single object that cannot be listed must not keep all others from being watched.
        if (!(error instanceof TooLargeError)) from = undefined;
        counts.failures += 1;
        if (isGone(error) && goneInARow < 2) {
          goneInARow += 1;
          continue;
        }
        // A connection that held for long and broke is a first failure again.
        failures = clock.now() - beganAt > 60_000 ? 1 : failures + 1;
        const waitMs = backoffMs(failures, clock, error);
        // Once per trouble; a server that stays away is told by ageMs.
        if (!troubled || failures % 10 === 0)
          log.warn(`${name}: ${sentenceOf(error)}; again in ${waitMs} ms`);
        troubled = true;
        await clock.sleep(waitMs, stopping.signal);
      }
    }
  };

  const done = run();
  return {
    synced: () => synced,
    ageMs: () => (heardAt === undefined ? Number.POSITIVE_INFINITY : clock.now() - heardAt),
    resync() {
      resyncAt = 0;
      interrupt.abort(resyncWanted);
    },
    async stop() {
      stopping.abort();
      interrupt.abort();
      await done;
    },
    counts,
  };
}

const resyncWanted = new Error('a list is wanted');
