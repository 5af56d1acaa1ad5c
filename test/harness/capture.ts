/** A capture of throw-away cgroups inside a test, cleaned up with it. */
import type { ExecutionContext } from 'ava';
import { Capture } from '../../bpf/addon.ts';
import type { CaptureOptions, Ledger } from '../../bpf/index.d.ts';
import { type Cgroup, createCgroup } from './cgroup.ts';
import { type CapturedExchange, type Collector, collectExchanges } from './exchanges.ts';
import { type Nginx, type NginxOptions, startNginx } from './nginx.ts';

export interface OpenCapture {
  capture: InstanceType<typeof Capture>;
  collector: Collector;
}

/** `take`: gets each exchange instead of the collector, where there are too many to keep. */
export function openCapture(
  t: ExecutionContext,
  options: CaptureOptions = {},
  take?: (exchange: CapturedExchange) => void,
): OpenCapture {
  const capture = new Capture(options);
  const collector = collectExchanges(capture, take);
  t.teardown(async () => {
    capture.stop();
    await collector.finish(0);
    capture.close();
  });
  return { capture, collector };
}

export function openCgroup(t: ExecutionContext, name?: string): Cgroup {
  const cgroup = createCgroup(name);
  t.teardown(() => cgroup.remove());
  return cgroup;
}

export async function openNginx(t: ExecutionContext, options: NginxOptions): Promise<Nginx> {
  const nginx = await startNginx(options);
  t.teardown(() => nginx.stop());
  return nginx;
}

/** Nothing is left on the way, and every byte and exchange is accounted for. */
export function assertClosed(t: ExecutionContext, ledger: Ledger): void {
  const { captured, delivered, dropped, inFlight } = ledger.exchanges;
  const account = JSON.stringify(ledger, null, 1);
  t.true(ledger.closes, account);
  t.is(inFlight, 0, account);
  t.is(captured, delivered + Object.values(dropped).reduce((sum, count) => sum + count, 0), account);
}
