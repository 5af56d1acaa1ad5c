// The envelope of admission.k8s.io/v1: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
import { z } from 'zod';
import type { Decision, PatchOperation } from './decision.ts';
import { messageOf } from './denial.ts';
import { boundedWarnings } from './warnings.ts';

const apiVersion = 'admission.k8s.io/v1';
const kind = 'AdmissionReview';

// The API server leaves out what is empty; only what is read here is described, and fields that come later pass.
const requestSchema = z.object({
  uid: z.string().min(1).max(256),
  kind: z.object({ group: z.string().default(''), version: z.string(), kind: z.string() }),
  resource: z.object({ group: z.string().default(''), version: z.string(), resource: z.string() }),
  subResource: z.string().default(''),
  /** Empty at CREATE with generateName. */
  name: z.string().default(''),
  /** Empty for what is cluster-scoped. The object's own metadata.namespace may be missing or differ. */
  namespace: z.string().default(''),
  operation: z.enum(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
  dryRun: z.boolean().default(false),
  /** Left unknown: whoever reads it describes the part that it needs. */
  object: z.unknown(),
  oldObject: z.unknown(),
});

const reviewSchema = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal(kind),
  request: requestSchema,
});

export type AdmissionRequest = z.output<typeof requestSchema>;

export interface AdmissionResponse {
  uid: string;
  allowed: boolean;
  status?: { code: number; reason: string; message: string };
  patchType?: 'JSONPatch';
  /** base64 of the JSON text. */
  patch?: string;
  warnings?: string[];
}

export interface AdmissionReview {
  apiVersion: typeof apiVersion;
  kind: typeof kind;
  response: AdmissionResponse;
}

/** The request, or what is wrong with its envelope, in a sentence. */
export function readReview(body: unknown): { request: AdmissionRequest } | { request: null; wrong: string } {
  const read = reviewSchema.safeParse(body);
  if (read.success) return { request: read.data.request };
  const issues = read.error.issues.map(({ path, message }) => `${path.join('.') || 'the body'}: ${message}`);
  return {
    request: null,
    wrong: `this is no AdmissionReview of ${apiVersion}: ${issues.join('; ')}. Write admissionReviewVersions: [v1] in the webhook configuration`,
  };
}

export function reviewOf(uid: string, decision: Decision): AdmissionReview {
  const warnings = boundedWarnings(decision.warnings);
  return {
    apiVersion,
    kind,
    response: {
      uid,
      ...(decision.denial ? { allowed: false, status: statusOf(decision.denial) } : { allowed: true }),
      ...(decision.patch.length > 0 && { patchType: 'JSONPatch', patch: encodePatch(decision.patch) }),
      ...(warnings.length > 0 && { warnings }),
    },
  };
}

// kubectl prints `message` for both reasons as long as the status carries no `details`.
const statuses = {
  content: { code: 422, reason: 'Invalid' },
  policy: { code: 403, reason: 'Forbidden' },
} as const;

function statusOf(denial: NonNullable<Decision['denial']>): NonNullable<AdmissionResponse['status']> {
  return { ...statuses[denial.because], message: messageOf(denial) };
}

function encodePatch(patch: readonly PatchOperation[]): string {
  return Buffer.from(JSON.stringify(patch)).toString('base64');
}
