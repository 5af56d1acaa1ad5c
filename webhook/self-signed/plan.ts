// What is to be made now? Pure: facts in, decision out; every replica may ask, and asks again after each change.

export interface Timing {
  /** How long a CA and a leaf are valid. */
  authorityMs: number;
  leafMs: number;
  /** A new one is made when the old one is valid no longer than this. A CA's is longer than a leaf is valid. */
  renewAuthorityMs: number;
  renewLeafMs: number;
  /** After a change everybody who trusts or serves knows of it. */
  spreadMs: number;
}

/** Of a CA or a leaf: until when it is good, in milliseconds since 1970, or why it is not. */
export type Standing<Good = unknown> = { bad: string } | ({ expiresAtMs: number } & Good);

export type LeafStanding = Standing<{
  /** By the CA that signs now; false: by an older one that is still trusted. */
  bySigner: boolean;
}>;

export interface Facts {
  authority: Standing;
  /** By the Secret's name. */
  leaves: Readonly<Record<string, LeafStanding>>;
  /** Beside the one that signs. */
  trustsOlder: boolean;
  nowMs: number;
  /**
   * How long Secrets and the API server's configuration have stood as they are, by a clock that does not jump, and as
   * far as this process has seen it itself.
   */
  unchangedMs: number;
}

export interface Plan {
  /** Why a new CA is to be made. */
  authority: string | undefined;
  /** By the Secret's name: why a new leaf is to be issued. */
  leaves: Record<string, string>;
  /** Older CAs are needed no more. */
  forgetOlder: boolean;
}

/**
 * A new CA is trusted first and signs later: nothing that works is signed again before all know its CA, and
 * no CA is forgotten before all use what its successor has signed. What does not work is made anew at once.
 */
export function plan(
  { authority, leaves, trustsOlder, nowMs, unchangedMs }: Facts,
  { renewAuthorityMs, renewLeafMs, spreadMs }: Timing,
): Plan {
  const spread = unchangedMs >= spreadMs;
  const newAuthority = whyRenew(authority, nowMs, renewAuthorityMs);
  const whyIssue = (leaf: LeafStanding): string | undefined => {
    if ('bad' in leaf) return leaf.bad;
    if (newAuthority !== undefined) return undefined;
    if (!leaf.bySigner) return spread ? 'there is a new CA, which all know by now' : undefined;
    return whyRenew(leaf, nowMs, renewLeafMs);
  };
  const issue = Object.entries(leaves).flatMap(([secret, leaf]) => {
    const why = whyIssue(leaf);
    return why === undefined ? [] : [[secret, why] as const];
  });
  const all = Object.values(leaves).every((leaf) => 'bySigner' in leaf && leaf.bySigner);
  return {
    authority: newAuthority,
    leaves: Object.fromEntries(issue),
    forgetOlder: trustsOlder && newAuthority === undefined && all && issue.length === 0 && spread,
  };
}

function whyRenew(standing: Standing, nowMs: number, renewMs: number): string | undefined {
  if ('bad' in standing) return standing.bad;
  if (standing.expiresAtMs - nowMs > renewMs) return undefined;
  return `the old one ends on ${new Date(standing.expiresAtMs).toISOString()}`;
}
