// GET /explain: JSON, or text for people who send Accept: text/plain.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExplainView, Explanation } from './explanation.ts';
import { explainNamespace } from './namespace.ts';
import { isInside } from './peer.ts';
import { explainPod } from './pod.ts';
import { readQuestion } from './question.ts';
import { renderExplanation } from './render.ts';
import { renderUnknown } from './unknown.ts';

interface Answer {
  status: number;
  /** As JSON. */
  value: object;
  text: string;
}

/** A request listener of node:http and of express. Only for peers in our network namespace: it tells about pods. */
export function createExplain(
  view: ExplainView,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const { status, value, text } = answer(view, request);
    const asText = wantsText(request.headers.accept);
    const body = asText ? text : `${JSON.stringify(value, undefined, 2)}\n`;
    response.writeHead(status, {
      'content-type': `${asText ? 'text/plain' : 'application/json'}; charset=utf-8`,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(status === 405 && { allow: 'GET, HEAD' }),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
}

function answer(view: ExplainView, { method, url = '', socket, headers }: IncomingMessage): Answer {
  if (!isInside(socket, headers.host)) return refusal(403, outside(view.settings.ownNamespace));
  if (method !== 'GET' && method !== 'HEAD')
    return refusal(405, 'only GET is answered here. Send GET /explain');
  const read = readQuestion(new URLSearchParams(url.split('?').slice(1).join('?')));
  if ('wrong' in read) return refusal(400, read.wrong);
  const { namespace, pod } = read.question;
  const explanation =
    pod === undefined ? explainNamespace(view, namespace) : explainPod(view, namespace, pod);
  return { status: statusOf(explanation), value: bodyOf(explanation), text: renderExplanation(explanation) };
}

/** What is not known before everything was read may be there all the same. */
function statusOf({ kind, synced }: Explanation): number {
  if (kind !== 'unknown') return 200;
  return synced ? 404 : 503;
}

function bodyOf(explanation: Explanation): object {
  if (explanation.kind !== 'unknown') return explanation;
  return { error: renderUnknown(explanation), near: explanation.near };
}

function refusal(status: number, sentence: string): Answer {
  return { status, value: { error: sentence }, text: `${sentence}\n` };
}

function outside(ownNamespace: string): string {
  const forward = `kubectl -n ${ownNamespace} port-forward deploy/podmirror-webhook 9090`;
  return `explain tells about pods, so it answers only from inside this pod. Use: ${forward}, or podmirror explain`;
}

/** The one of the two that is named first; without either, JSON. */
function wantsText(accept = ''): boolean {
  const types = accept.split(',').map((part) => part.split(';')[0]?.trim().toLowerCase());
  return types.find((type) => type === 'text/plain' || type === 'application/json') === 'text/plain';
}
