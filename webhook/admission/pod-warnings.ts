// What is said to somebody who writes a pod; /mutate and /validate say it in the same words, and the API server passes equal warnings once.
import type { Settings, Verdict } from '../intent/model.ts';
import { pathText } from './object.ts';
import { nearKeys } from './validate/keys.ts';

const metadata = ['metadata'];

/** Not for a pod that a controller makes: it reads no warnings, and podmirror's own controller tells the owner in an Event. */
export function podWarnings(object: unknown, verdict: Verdict, { annotationKey }: Settings): string[] {
  const belongs = pathText([...metadata, 'annotations'], annotationKey);
  return [...verdict.warnings, ...nearKeys(object, metadata, { belongs, key: annotationKey })];
}
