// From the rules that matched to one verdict about one exchange.
import type { Match } from '../modsecurity/modsecurity.ts';
import { type AttackType, attackTypes, typeOfRule } from './attack-type.ts';

export interface Verdict {
  type: AttackType;
  /** CRS inbound anomaly score. */
  score: number;
  /** The strongest rule of that type; the first of them in the order of evaluation. */
  deciding: Match;
  /** All rules about attacks and protocol, without the ones that only add up. */
  matches: Match[];
}

// CRS: critical 5, error 4, warning 3, notice 2.
const scoreOfSeverity: Record<number, number> = { 2: 5, 3: 4, 4: 3, 5: 2 };
/** CRS 949110 says the sum: "Inbound Anomaly Score Exceeded (Total Score: 15)". */
const blockingEvaluation = 949_110;

/** Undefined: no attack. An attack reaches the threshold with at least one rule that is about more than protocol. */
export function verdictOf(matches: readonly Match[], threshold: number): Verdict | undefined {
  const rules = matches.filter(
    ({ id, severity }) => scoreOfSeverity[severity] !== undefined && id !== blockingEvaluation,
  );
  const score = totalScore(matches) ?? sum(rules);
  if (score < threshold) return undefined;

  const byType = Map.groupBy(rules, typeOfRule);
  const best = attackTypes
    .flatMap(({ type }) => {
      const rules = byType.get(type);
      return rules ? [{ type, rules, score: sum(rules) }] : [];
    })
    .reduce<{ type: AttackType; rules: Match[]; score: number } | undefined>(
      (best, next) => (best && best.score >= next.score ? best : next),
      undefined,
    );
  if (!best) return undefined;
  const deciding = best.rules.reduce((strongest, rule) =>
    scoreOf(rule) > scoreOf(strongest) ? rule : strongest,
  );
  return { type: best.type, score, deciding, matches: rules };
}

function totalScore(matches: readonly Match[]): number | undefined {
  const message = matches.find(({ id }) => id === blockingEvaluation)?.message;
  const digits = message?.match(/Total Score: (\d+)/)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

const scoreOf = ({ severity }: Match): number => scoreOfSeverity[severity] ?? 0;

const sum = (rules: readonly Match[]): number => rules.reduce((total, rule) => total + scoreOf(rule), 0);
