// POST /mutate: a pod is being created. It learns in one annotation what was decided about it.
import { intentAnnotation, type Rule, type Verdict } from '../intent/model.ts';
import { type Decision, type PatchOperation, untouched } from './decision.ts';
import { isBlock, isMadeByController, textsAt, valueAt } from './object.ts';
import { podWarnings } from './pod-warnings.ts';
import type { AdmissionRequest } from './review.ts';
import { decidePod, type PodView } from './verdict.ts';
import { cut, escapeControls } from './warnings.ts';

// The kubelet shows a static pod in the API as a mirror pod with this annotation, and compares what it finds there.
const mirrorPodAnnotation = 'kubernetes.io/config.mirror';
// Annotations of a pod share 256 KiB.
const maxDecisionChars = 512;

const annotations = ['metadata', 'annotations'];

/** Pure. Whatever is not the creation of a pod passes untouched. */
export function mutate(request: AdmissionRequest, view: PodView): Decision {
  const { object } = request;
  if (!isPodCreation(request) || textsAt(object, annotations).has(mirrorPodAnnotation)) return untouched;
  const decided = decidePod(request, view);
  if (decided === undefined) return untouched;
  const { verdict } = decided;
  if (verdict.rule === 'namespace-excluded') return untouched;
  return {
    patch: isSaid(verdict.rule, object) ? patchOf(object, decisionText(verdict)) : [],
    warnings: isMadeByController(request) ? [] : podWarnings(object, verdict, view.settings),
    ...(verdict.mirrored && { remember: decided }),
  };
}

function isPodCreation({ operation, resource, subResource }: AdmissionRequest): boolean {
  return (
    operation === 'CREATE' &&
    resource.group === '' &&
    resource.resource === 'pods' &&
    // pods/ephemeralcontainers, pods/binding and so on.
    subResource === ''
  );
}

// No rule of these spoke about this pod, or (unknown namespace) what it says holds for a moment only.
const silentRules: readonly Rule[] = ['nothing-asked', 'namespace-unknown', 'namespace-excluded'];

function isSaid(rule: Rule, object: unknown): boolean {
  if (!silentRules.includes(rule)) return true;
  // A pod written from another one's YAML: what stands there is about the other one.
  return rule === 'nothing-asked' && textsAt(object, annotations).has(intentAnnotation);
}

function decisionText({ mirrored, because }: Verdict): string {
  return cut(escapeControls(`${mirrored ? 'mirrored' : 'not mirrored'}: ${because}`), maxDecisionChars);
}

function patchOf(object: unknown, text: string): PatchOperation[] {
  if (textsAt(object, annotations).get(intentAnnotation) === text) return [];
  const place = `/${annotations.join('/')}`;
  if (!isBlock(valueAt(object, annotations))) {
    return [{ op: 'add', path: place, value: { [intentAnnotation]: text } }];
  }
  return [{ op: 'add', path: `${place}/${escapePointer(intentAnnotation)}`, value: text }];
}

/** RFC 6901 §3. */
function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
