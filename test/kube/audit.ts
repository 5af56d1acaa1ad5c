/** What the API server's audit log tells about requests. */
import { readFileSync } from 'node:fs';

/** Everything but reads of the servers' own is kept, without bodies; one line per answered request. */
export const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata', userGroups: ['system:serviceaccounts:podmirror'] }, { level: 'None' }],
};

export interface AuditedRequest {
  user: string;
  verb: string;
  /** `pods`, `leases.coordination.k8s.io`, `pods/status`; undefined for paths that are no resources. */
  resource: string | undefined;
  namespace: string | undefined;
  name: string | undefined;
  path: string;
  status: number;
}

interface AuditEvent {
  user: { username: string };
  verb: string;
  requestURI: string;
  objectRef?: {
    resource: string;
    namespace?: string;
    name?: string;
    apiGroup?: string;
    subresource?: string;
  };
  responseStatus?: { code?: number };
}

export function readAudit(file: string): AuditedRequest[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => requestOf(JSON.parse(line) as AuditEvent));
}

function requestOf({ user, verb, requestURI, objectRef, responseStatus }: AuditEvent): AuditedRequest {
  const resource =
    objectRef &&
    objectRef.resource +
      (objectRef.apiGroup ? `.${objectRef.apiGroup}` : '') +
      (objectRef.subresource ? `/${objectRef.subresource}` : '');
  return {
    user: user.username,
    verb,
    resource,
    namespace: objectRef?.namespace,
    name: objectRef?.name,
    path: requestURI,
    status: responseStatus?.code ?? 0,
  };
}
