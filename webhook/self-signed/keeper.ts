// Certificates without cert-manager: kept in Secrets, made known to the API server, renewed. Every replica does all of
// this: each pass begins with what stands in the API server, which refuses a write that is founded on anything older.
import type { CertificatePair, CertificateSource } from '../../certs/source.ts';
import type { Api, CallOptions } from '../cluster/api.ts';
import { isStatus } from '../cluster/api-error.ts';
import { backoffMs } from '../cluster/backoff.ts';
import { between, type Clock } from '../cluster/clock.ts';
import { type Log, sentenceOf } from '../cluster/log.ts';
import { bundlesOf, readConfigurations, trust } from './configuration.ts';
import type { Stored } from './judge.ts';
import { AUTHORITY_SECRET, type Leaf } from './leaf.ts';
import type { Timing } from './plan.ts';
import { readSecret, writeSecret } from './secret.ts';
import { wantedOf } from './wanted.ts';

const dayMs = 86_400_000;

export const usualTiming: Timing = {
  authorityMs: 730 * dayMs,
  renewAuthorityMs: 240 * dayMs,
  leafMs: 90 * dayMs,
  renewLeafMs: 30 * dayMs,
  // A kubelet brings a changed Secret to its pods within two minutes, and they look at it every ten seconds.
  spreadMs: 15 * 60_000,
};

// Six small reads a replica; whoever deletes a Secret waits no longer for the next one.
const lookMs = 10_000;
const requestTimeoutMs = 10_000;

export interface KeeperDeps {
  api: Pick<Api, 'get' | 'create' | 'replace' | 'mergePatch'>;
  /** The first one is what the webhook serves with. */
  leaves: readonly [webhook: Leaf, ...others: Leaf[]];
  clock: Clock;
  /** Milliseconds since 1970. */
  wallClock?: () => number;
  log: Log;
  timing?: Timing;
  /** The webhook is to serve with another certificate from now on. */
  onReload: (pair: CertificatePair) => void;
}

/**
 * Settles when there is a certificate to serve with: it needs the API server, asks it again and again, and says in
 * the log what is in the way. `close` ends the keeping.
 */
export async function keepCertificates(deps: KeeperDeps): Promise<CertificateSource> {
  const { clock, log, onReload } = deps;
  const stopping = new AbortController();
  const pass = createPass(deps, stopping.signal);
  const first = Promise.withResolvers<void>();
  let current: { stored: Stored; pair: CertificatePair } | undefined;

  const serve = (stored: Stored) => {
    const { ca, cert, key } = stored;
    if (current && current.stored.cert === cert && current.stored.key === key && current.stored.ca === ca)
      return;
    const isFirst = current === undefined;
    current = {
      stored,
      pair: { ca: Buffer.from(ca), cert: Buffer.from(cert), key: Buffer.from(key) },
    };
    if (isFirst) first.resolve();
    else onReload(current.pair);
  };

  const run = async () => {
    let failures = 0;
    let said: string | undefined;
    while (!stopping.signal.aborted) {
      try {
        serve(await pass());
        if (said !== undefined) log.info('certificates: in order again');
        failures = 0;
        said = undefined;
      } catch (error) {
        if (stopping.signal.aborted) break;
        failures += 1;
        // The other replica was faster; what it wrote is as good.
        const raced = isStatus(error, 409);
        const sentence = `certificates: ${sentenceOf(error)}. It is tried again`;
        if (!raced && sentence !== said) log.warn(sentence);
        if (!raced) said = sentence;
        await clock.sleep(backoffMs(failures, clock, error), stopping.signal);
        continue;
      }
      await clock.sleep(between(clock, lookMs * 0.8, lookMs), stopping.signal);
    }
  };
  void run();
  await first.promise;
  return {
    current: () => (current as { pair: CertificatePair }).pair,
    close: () => stopping.abort(),
  };
}

/** One look, and what follows from it. Gives what the webhook serves with. */
function createPass(
  { api, leaves, clock, wallClock = Date.now, log, timing = usualTiming }: KeeperDeps,
  signal: AbortSignal,
): () => Promise<Stored> {
  const options: CallOptions = { signal, timeoutMs: requestTimeoutMs };
  const [webhook] = leaves;
  const place = { namespace: webhook.namespace, secret: AUTHORITY_SECRET };
  /** What stood there, and since when it has, by our own looks. */
  let seen: { text: string; at: number } | undefined;

  return async () => {
    const before = seen;
    // A pass that fails has not seen everything.
    seen = undefined;
    const [authority, configurations, ...secrets] = await Promise.all([
      readSecret(api, place, options),
      readConfigurations(api, options),
      ...leaves.map((leaf) => readSecret(api, leaf, options)),
    ]);
    const at = (index: number) => secrets[index] ?? { stored: undefined, object: undefined };
    const contents = {
      authority: authority.stored,
      leaves: Object.fromEntries(leaves.map(({ secret }, index) => [secret, at(index).stored])),
    };
    const text = JSON.stringify([contents, configurations.map(bundlesOf)]);
    const since = before?.text === text ? before.at : clock.now();
    const wanted = wantedOf(contents, leaves, {
      nowMs: wallClock(),
      unchangedMs: clock.now() - since,
      timing,
    });

    // In this order: a key is kept before it is used, and a CA is known before anything that it signed is served.
    await writeSecret(api, place, authority, wanted.authority, options);
    await Promise.all(configurations.map((one) => trust(api, one, wanted.authority.ca, options)));
    for (const [index, leaf] of leaves.entries()) {
      await writeSecret(api, leaf, at(index), wanted.leaves[leaf.secret] as Stored, options);
    }
    for (const sentence of wanted.made) log.info(`certificates: ${sentence}`);
    seen = { text, at: since };
    return wanted.leaves[webhook.secret] as Stored;
  };
}
