// POST /validate: who looks at which kind of object.
import type { ClusterView } from '../cluster/view.ts';
import { type Decision, untouched } from './decision.ts';
import type { AdmissionRequest } from './review.ts';
import { isFilters, validateFilters } from './validate/filters.ts';
import { validateNamespace } from './validate/namespace.ts';
import { isWorkload, validateWorkload } from './validate/workload.ts';

/** Pure. Whatever the webhook configuration sends too much of passes untouched. */
export function validate(request: AdmissionRequest, view: Omit<ClusterView, 'pod' | 'intent'>): Decision {
  const { kind, operation, subResource } = request;
  if (subResource !== '' || operation === 'CONNECT') return untouched;
  if (kind.group === '' && kind.kind === 'ConfigMap') {
    return isFilters(request, view) ? validateFilters(request, view) : untouched;
  }
  if (operation === 'DELETE') return untouched;
  if (kind.group === '' && kind.kind === 'Namespace') return validateNamespace(request, view);
  return isWorkload(request) ? validateWorkload(request, view) : untouched;
}
