// A pod, or an object with a template of pods: does the annotation stand where pods get it, with a value that counts?
import type { Settings } from '../../intent/model.ts';
import { quote } from '../../intent/show.ts';
import { allowedWith, type Decision, untouched } from '../decision.ts';
import { isMadeByController, pathText, textsAt } from '../object.ts';
import { podWarnings } from '../pod-warnings.ts';
import type { AdmissionRequest } from '../review.ts';
import { decidePod, type PodView } from '../verdict.ts';
import { meantBy } from '../words.ts';
import { nearKeys, strayKeys } from './keys.ts';

interface Shape {
  /** The metadata of the pods. */
  pods: readonly string[];
  /** Metadata that no pod gets. */
  inert: readonly (readonly string[])[];
}

const own = ['metadata'];
const template: Shape = { pods: ['spec', 'template', 'metadata'], inert: [own] };
const shapes: Record<string, Shape> = {
  'Pod.': { pods: own, inert: [] },
  'ReplicationController.': template,
  'Deployment.apps': template,
  'StatefulSet.apps': template,
  'DaemonSet.apps': template,
  'ReplicaSet.apps': template,
  'Job.batch': template,
  'CronJob.batch': {
    pods: ['spec', 'jobTemplate', 'spec', 'template', 'metadata'],
    inert: [own, ['spec', 'jobTemplate', 'metadata']],
  },
};

const values = ['true', 'false'] as const;

export function isWorkload({ kind }: AdmissionRequest): boolean {
  return Object.hasOwn(shapes, nameOf(kind));
}

function nameOf({ group, kind }: AdmissionRequest['kind']): string {
  return `${kind}.${group}`;
}

/** Never refuses: another value counts as none, and in another place nobody reads it. */
export function validateWorkload(request: AdmissionRequest, view: PodView): Decision {
  const { object, kind, namespace } = request;
  const shape = shapes[nameOf(kind)];
  // What is made from a template was warned about in the template.
  if (!shape || isMadeByController(request) || isExcluded(namespace, view.settings)) return untouched;
  return allowedWith(
    kind.kind === 'Pod'
      ? warningsOfPod(request, view)
      : warningsOfTemplate(object, kind.kind, shape, view.settings),
  );
}

function warningsOfTemplate(object: unknown, kind: string, shape: Shape, settings: Settings): string[] {
  const { labelKey, annotationKey } = settings;
  const everywhere = [shape.pods, ...shape.inert];
  const belongs = annotationAt(shape.pods, settings);
  return [
    ...inertWarnings(object, kind, shape, settings),
    ...valueWarnings(object, shape.pods, settings),
    ...everywhere.flatMap((path) => [
      ...nearKeys(object, path, { key: annotationKey, belongs }),
      ...strayKeys(object, path, annotationKey, { where: ['labels'], instead: `Write ${belongs}` }),
      ...strayKeys(object, path, labelKey, { instead: `Label the namespace, or write ${belongs}` }),
    ]),
  ];
}

function isExcluded(namespace: string, { ownNamespace, excludedNamespaces }: Settings): boolean {
  return namespace === ownNamespace || excludedNamespaces.includes(namespace);
}

function annotationAt(path: readonly string[], { annotationKey }: Settings): string {
  return pathText([...path, 'annotations'], annotationKey);
}

function annotationOf(
  object: unknown,
  path: readonly string[],
  { annotationKey }: Settings,
): string | undefined {
  return textsAt(object, [...path, 'annotations']).get(annotationKey);
}

/** Beside the same value in the right place it does no harm and needs no words. */
function inertWarnings(object: unknown, kind: string, { pods, inert }: Shape, settings: Settings): string[] {
  const right = annotationOf(object, pods, settings);
  return inert
    .filter((path) => {
      const value = annotationOf(object, path, settings);
      return value !== undefined && value !== right;
    })
    .map((path) => {
      const wrong = `${annotationAt(path, settings)} has no effect: pods of a ${kind} do not get it`;
      return right === undefined
        ? `${wrong}. Write it in ${[...pods, 'annotations'].join('.')}`
        : `${wrong}, they get ${quote(right)} from their template. Remove it here`;
    });
}

function valueWarnings(object: unknown, path: readonly string[], settings: Settings): string[] {
  const value = annotationOf(object, path, settings);
  if (value === undefined || values.some((word) => word === value)) return [];
  const meant = meantBy(value, values);
  const instead = meant === undefined ? 'Write "true" or "false", or remove it' : `Write "${meant}"`;
  return [
    `${annotationAt(path, settings)}: value ${quote(value)} is not true|false, so it counts as unset. ${instead}`,
  ];
}

function warningsOfPod(request: AdmissionRequest, view: PodView): string[] {
  const decided = decidePod(request, view);
  return decided === undefined ? [] : podWarnings(request.object, decided.verdict, view.settings);
}
