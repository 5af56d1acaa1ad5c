// What is wrong with the filters, for somebody who has nothing but the message.

/** Printed as `${where}: ${wrong}. ${instead}`. */
export interface Problem {
  /** `filters[1].pod_labels.team`, counted from 0 as YAML paths are, or `filters.yaml line 3`. */
  where: string;
  wrong: string;
  instead: string;
}

export function renderProblem({ where, wrong, instead }: Problem): string {
  return `${where}: ${wrong}. ${instead}`;
}

const maxProblems = 100;

/** Everything at once, but no more than anybody reads. */
export function bounded(problems: Problem[]): Problem[] {
  const rest = problems.length - maxProblems;
  if (rest <= 0) return problems;
  const more = {
    where: 'filters.yaml',
    wrong: `${rest} more problems`,
    instead: 'Mend the ones before this first',
  };
  return [...problems.slice(0, maxProblems), more];
}

/** `filters[1].pod_labels["app.kubernetes.io/name"]`; empty path: the document. */
export function renderPath(path: readonly PropertyKey[]): string {
  const steps = path.map((step) => {
    if (typeof step === 'number') return `[${step}]`;
    const key = String(step);
    return /^\w+$/.test(key) && key.length <= 64 ? `.${key}` : `[${JSON.stringify(key.slice(0, 64))}]`;
  });
  return steps.join('').replace(/^\./, '') || 'filters.yaml';
}
