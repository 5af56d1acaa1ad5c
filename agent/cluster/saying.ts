// What is told of a container or a whole pod: in the log, in Events and in coverage.
import type { NodePod } from './pod.ts';

export interface Saying {
  kind: 'mirroring' | 'released' | 'refused';
  pod: NodePod;
  /** undefined: the whole pod. */
  container: string | undefined;
  /** The deciding rule, or why not; without a final stop. */
  because: string;
  /** Something is in the way that somebody should remove. */
  isProblem: boolean;
  /** The container or the pod has ended. */
  isOver: boolean;
}

const words = { mirroring: 'mirroring', released: 'released', refused: 'not mirroring' };

/** "mirroring shop/web-1 container web: filter 2 (namespace shop-*)" */
export function lineOf({
  kind,
  pod,
  container,
  because,
}: Pick<Saying, 'kind' | 'pod' | 'container' | 'because'>) {
  const subject = container === undefined ? '' : ` container ${container}`;
  return `${words[kind]} ${pod.namespace}/${pod.name}${subject}: ${because}`;
}
