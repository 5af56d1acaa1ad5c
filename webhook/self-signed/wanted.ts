// What the Secrets should hold now, from what they hold: the plan carried out, on paper.
import { createAuthority, type Issued, issueLeaf } from '../../certs/authority.ts';
import { authoritiesIn, bundleOf, judgeAuthority, judgeLeaf, type Stored } from './judge.ts';
import type { Leaf } from './leaf.ts';
import { plan, type Timing } from './plan.ts';

export interface Contents {
  authority: Stored | undefined;
  /** By the Secret's name. */
  leaves: Record<string, Stored | undefined>;
}

export interface Wanted {
  authority: Stored;
  leaves: Record<string, Stored>;
  /** What was made, and why, one sentence each. */
  made: string[];
}

const dayMs = 86_400_000;
// Somebody who deletes the CA again and again must not let the bundle grow past what TLS libraries like.
const maxAuthorities = 8;

/** Same contents, same answer, as long as nothing is to be made. Making a CA takes half a second. */
export function wantedOf(
  contents: Contents,
  leaves: readonly [webhook: Leaf, ...others: Leaf[]],
  { nowMs, unchangedMs, timing }: { nowMs: number; unchangedMs: number; timing: Timing },
): Wanted {
  const authority = judgeAuthority(contents.authority, nowMs);
  const signer = 'signer' in authority ? authority.signer : undefined;
  // Whoever deletes the CA, or spoils it, has not made others distrust it: the webhook's own Secret still tells.
  const [webhook] = leaves;
  const bundles = [contents.authority?.cert, contents.authority?.ca, contents.leaves[webhook.secret]?.ca];
  const known = authoritiesIn(bundles.join(''));
  const older = known.filter((pem) => pem !== signer?.cert);
  const standings = leaves.map((leaf) => {
    const stored = contents.leaves[leaf.secret];
    return [leaf.secret, judgeLeaf(stored, leaf, { signer: signer?.cert, trusted: older, nowMs })] as const;
  });

  const decision = plan(
    {
      authority,
      leaves: Object.fromEntries(standings),
      trustsOlder: older.length > 0,
      nowMs,
      unchangedMs,
    },
    timing,
  );
  const next =
    signer === undefined || decision.authority !== undefined ? newAuthority(timing.authorityMs) : signer;
  // Also the one that signed until now, whose leaves are in use.
  const before = next === signer || signer === undefined ? [] : [signer.cert];
  const trusted = decision.forgetOlder ? [next.cert] : [next.cert, ...before, ...older];
  const ca = bundleOf(trusted.slice(0, maxAuthorities));

  const withBundle = leaves.map((leaf) => {
    const issue = decision.leaves[leaf.secret] !== undefined;
    const stored = contents.leaves[leaf.secret];
    const { cert, key } =
      issue || !stored ? issueLeaf(next, { ...leaf, days: timing.leafMs / dayMs }) : stored;
    return [leaf.secret, { ca, cert, key }] as const;
  });
  return {
    authority: { ca, ...next },
    leaves: Object.fromEntries(withBundle),
    made: [
      ...(decision.authority === undefined ? [] : [`a new CA was made: ${decision.authority}`]),
      ...Object.entries(decision.leaves).map(([secret, why]) => `${secret}: a new certificate: ${why}`),
      ...(decision.forgetOlder ? ['older CAs are trusted no more: nobody uses what they have signed'] : []),
    ],
  };
}

function newAuthority(validMs: number): Issued {
  const { cert, key } = createAuthority({ commonName: 'podmirror CA', days: validMs / dayMs });
  // As it is spelled when it comes back in a bundle.
  return { cert: authoritiesIn(cert)[0] ?? cert, key };
}
