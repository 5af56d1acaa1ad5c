// What is asked for: a pod or a namespace.
import { nearest } from '../intent/near-miss.ts';
import { quote } from '../intent/show.ts';

export type Question = { namespace: string; pod: string | undefined };

/** `wrong`: a sentence that says what to write. */
export type ReadQuestion = { question: Question } | { wrong: string };

const parameters = ['pod', 'namespace'];
const usage = 'Write /explain?pod=<namespace>/<name> or /explain?namespace=<name>';

export function readQuestion(query: URLSearchParams): ReadQuestion {
  const stranger = [...query.keys()].find((key) => !parameters.includes(key));
  if (stranger !== undefined) {
    const near = nearest(stranger, parameters);
    const instead = near === undefined ? usage : `Write ${near}=`;
    return { wrong: `there is no parameter ${quote(stranger)}. ${instead}` };
  }
  const [pods, namespaces] = [query.getAll('pod'), query.getAll('namespace')];
  const given = [...pods, ...namespaces];
  const [value] = given;
  if (value === undefined) return { wrong: `neither a pod nor a namespace is named. ${usage}` };
  if (given.length > 1) return { wrong: `${given.length} things are asked for at once. ${usage}` };
  const isPod = pods.length > 0;
  if (isPod && !value.includes('/')) {
    return { wrong: `pod=${quote(value)} names no namespace. Write pod=<namespace>/<name>` };
  }
  if (!isPod && value.includes('/')) {
    return { wrong: `namespace=${quote(value)} is no namespace. Write pod=<namespace>/<name> for a pod` };
  }
  return questionOf(value);
}

/** `shop` is a namespace, `shop/web-7d4b` a pod. */
export function questionOf(text: string): ReadQuestion {
  const [namespace = '', pod, ...rest] = text.split('/');
  if (rest.length > 0) return { wrong: `${quote(text)} has too many slashes. Write <namespace>/<name>` };
  if (!isNamespaceName(namespace))
    return { wrong: `${quote(namespace)} is no name of a namespace. ${remedy}` };
  if (pod !== undefined && !isPodName(pod)) return { wrong: `${quote(pod)} is no name of a pod. ${remedy}` };
  return { question: { namespace, pod } };
}

const remedy = 'Write lower case letters, digits and hyphens, such as shop or shop/web-7d4b';

/** RFC 1123 label. */
export const isNamespaceName = (name: string) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name);
/** RFC 1123 subdomain, not strictly. */
const isPodName = (name: string) => /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name);
