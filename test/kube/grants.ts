/** What an account may do, and what it did: for "nothing was refused, and nothing granted that is not used". */
import type { AuditedRequest } from './audit.ts';
import type { Kubectl } from './kubectl.ts';

interface RoleObject {
  rules: { verbs: string[]; apiGroups: string[]; resources: string[]; resourceNames?: string[] }[];
}

const NAMESPACE = 'podmirror';

/** As the audit log names it. */
export const accountUser = (account: string): string => `system:serviceaccount:${NAMESPACE}:${account}`;

/** "patch configmaps podmirror-intent" for each verb, resource and name of the Role and the ClusterRole of this name. */
export async function grantsOf(kubectl: Kubectl, role: string): Promise<string[]> {
  const read = async (args: string[]) =>
    (JSON.parse(await kubectl([...args, '-o', 'json'])) as RoleObject).rules;
  const rules = [
    ...(await read(['get', 'role', role, '-n', NAMESPACE])),
    ...(await read(['get', 'clusterrole', role])),
  ];
  return rules.flatMap(({ verbs, apiGroups, resources, resourceNames }) =>
    verbs.flatMap((verb) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => {
          const plain = `${verb} ${resource}${group === '' ? '' : `.${group}`}`;
          return resourceNames ? resourceNames.map((name) => `${plain} ${name}`) : [plain];
        }),
      ),
    ),
  );
}

// Who creates has no name yet when it is refused.
const nameOf = ({ verb, resource, name }: AuditedRequest): string =>
  verb === 'create' ? `${verb} ${resource}` : `${verb} ${resource} ${name}`;

const isRefused = ({ status }: AuditedRequest): boolean => status === 401 || status === 403;

/** An API server that has just begun does not know its roles yet: what is asked again then is answered. */
export function refusedIn(requests: readonly AuditedRequest[]): string[] {
  const answered = new Set(requests.filter((request) => !isRefused(request)).map(nameOf));
  return requests
    .filter(isRefused)
    .map(nameOf)
    .filter((name) => !answered.has(name));
}

/** With names and without, as grants may be. */
export const usedIn = (requests: readonly AuditedRequest[]): Set<string> =>
  new Set(requests.flatMap((request) => [`${request.verb} ${request.resource}`, nameOf(request)]));
