/** The assertion that the TLS tests share: what was delivered is right, and nothing that the server logged is missing. */
import type { ExecutionContext } from 'ava';
import { assertClosed } from '../harness/capture.ts';
import type { AccessLine } from './access-log.ts';
import type { Expectations } from './account.ts';
import type { Attached } from './attach.ts';
import { type LoadOptions, type LoadOutcome, startLoad } from './load.ts';
import type { TlsServer } from './server.ts';
import { told } from './told.ts';

export interface AllRight {
  outcome: LoadOutcome;
  lines: AccessLine[];
}

/** Runs a load to its end, `meanwhile` beside it, and compares client, server and capture. */
export async function assertAllRight(
  t: ExecutionContext,
  { capture, account, quiet }: Pick<Attached, 'capture' | 'account' | 'quiet'>,
  server: TlsServer,
  options: LoadOptions,
  meanwhile: () => Promise<void> = async () => {},
  expectations: Expectations = {},
): Promise<AllRight> {
  account.begin(options.prefix, expectations);
  server.mark();
  const load = await startLoad(options);
  const [outcome] = await Promise.all([load.done, meanwhile()]);
  const { prefix, requests } = options;
  t.is(outcome.failed, 0, `${prefix}: the client: ${outcome.errors.join('; ')}`);
  t.is(outcome.answered, requests);
  await quiet();
  const lines = (await server.accessLog(requests)).filter(({ id }) => id.startsWith(`${prefix}-`));
  const { right, wrong, wrongCount, missing, missingCount, unanswered } = account.compare(lines);
  const ledger = capture.ledger();
  t.log(
    `${prefix}: ${right} right, ${wrongCount} wrong, ${missingCount} missing of ${lines.length} lines; ` +
      `${outcome.connections} connections, ${outcome.resumed} resumed, ${outcome.retried} retried, ` +
      `${Math.round(outcome.answered / outcome.seconds)} requests/s`,
  );
  t.deepEqual(wrong, [], `${prefix}: ${wrongCount} wrong`);
  t.deepEqual(missing, [], `${prefix}: ${missingCount} missing; ${told(capture)}`);
  t.true(
    unanswered <= outcome.retried,
    `${prefix}: ${unanswered} without a response, ${outcome.retried} retried`,
  );
  assertClosed(t, ledger);
  return { outcome, lines };
}
