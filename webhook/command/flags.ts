// The command line of podmirror.
import { parseArgs } from 'node:util';
import { isNamespaceName, type Question, questionOf } from '../explain/question.ts';
import { isQualifiedName } from '../intent/filter-schema.ts';
import { defaultSettings, type Settings } from '../intent/model.ts';
import { nearest } from '../intent/near-miss.ts';
import { show } from '../intent/show.ts';
import { exitCodes, Refusal } from '../refusal.ts';

export const usage = `usage: podmirror explain <namespace>/<pod> | <namespace>  [options]
       podmirror check <filters.yaml> [--against cluster|<dump>]  [options]

explain  which containers of a pod are mirrored, which rule decided, which lost and why, what stands in the
         ConfigMap podmirror-intent, and what an agent does; or the pods of a namespace by class
check    what is wrong with new filters, before they are applied; and with --against, what they would change
         The file holds filters.yaml alone or the ConfigMap podmirror-filters; - is standard input.

  --against cluster           compare with the cluster as it is
  --against <dump>            or with a file of: kubectl get namespaces,pods,configmaps -A -o json
  --json                      JSON instead of text
  --kubeconfig <file>         (KUBECONFIG, ~/.kube/config, or the ServiceAccount of the pod)
  --context <name>            of the kubeconfig (its current context)
  --namespace <name>          podmirror's own namespace (podmirror)
  --label-key <key>           label of namespaces (wallarm-mirror)
  --annotation-key <key>      annotation of pods (mirror.wallarm.com/enabled)
  --exclude-namespace <name>  never mirrored, as kube-system is anyway; may be given again
  --version, --help

Everything is computed here, from what your kubeconfig may read; nothing is written.
Ends with 0, 1 (the filters are refused; no such pod or namespace), 64 (command line), 69 (the API server does
not answer or does not allow it), 78 (kubeconfig or file).
`;

export interface Flags {
  settings: Settings;
  kubeconfig: string | undefined;
  context: string | undefined;
  json: boolean;
}

export type Command =
  | { command: 'explain'; question: Question; flags: Flags }
  | { command: 'check'; file: string; against: string | undefined; flags: Flags }
  | { command: 'print'; what: 'usage' | 'version' };

const commands = ['explain', 'check'];

/** Throws a Refusal that says what to write. */
export function readCommand(args: string[]): Command {
  const { values, positionals } = parse(args);
  if (values.help) return { command: 'print', what: 'usage' };
  if (values.version) return { command: 'print', what: 'version' };
  const [command, subject, another] = positionals;
  if (command === undefined) throw new Refusal(usage.trimEnd(), exitCodes.usage);
  if (!commands.includes(command)) refuse(`there is no command ${show(command)}. Write ${instead(command)}`);
  if (another !== undefined) refuse(`${show(another)} is one word too many. Write ${formOf(command)}`);
  if (subject === undefined) refuse(`nothing is named. Write ${formOf(command)}`);
  const flags = { ...settingsOf(values), json: values.json };
  if (command === 'check')
    return { command, file: subject, against: againstOf(subject, values.against), flags };
  if (values.against !== undefined) refuse('--against is for check. Leave it out');
  const read = questionOf(subject);
  if ('wrong' in read) refuse(read.wrong);
  return { command: 'explain', question: read.question, flags };
}

function refuse(message: string): never {
  throw new Refusal(`${message}\npodmirror --help says more`, exitCodes.usage);
}

function instead(command: string): string {
  return nearest(command, commands) ?? commands.join(' or ');
}

function formOf(command: string): string {
  return command === 'check' ? 'podmirror check filters.yaml' : 'podmirror explain <namespace>/<pod>';
}

function againstOf(file: string, against: string | undefined): string | undefined {
  if (against === '-' && file === '-') refuse('standard input cannot be both. Write a file after --against');
  return against;
}

function settingsOf(values: ReturnType<typeof parse>['values']): Omit<Flags, 'json'> {
  const { kubeconfig, context } = values;
  const excludedNamespaces = [...new Set([...defaults.excludedNamespaces, ...values['exclude-namespace']])];
  for (const name of [values.namespace, ...excludedNamespaces]) {
    if (!isNamespaceName(name))
      refuse(`${show(name)} is no name of a namespace. Write one such as podmirror`);
  }
  const [labelKey, annotationKey] = [values['label-key'], values['annotation-key']];
  for (const key of [labelKey, annotationKey]) {
    if (!isQualifiedName(key))
      refuse(`${show(key)} is no Kubernetes key. Write one such as example.com/mirror`);
  }
  const settings = { labelKey, annotationKey, ownNamespace: values.namespace, excludedNamespaces };
  return { settings, kubeconfig, context };
}

const defaults = defaultSettings('podmirror');

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        against: { type: 'string' },
        json: { type: 'boolean', default: false },
        kubeconfig: { type: 'string' },
        context: { type: 'string' },
        namespace: { type: 'string', short: 'n', default: defaults.ownNamespace },
        'label-key': { type: 'string', default: defaults.labelKey },
        'annotation-key': { type: 'string', default: defaults.annotationKey },
        'exclude-namespace': { type: 'string', multiple: true, default: [] },
        version: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (cause) {
    throw new Refusal(`${(cause as Error).message}\npodmirror --help says more`, exitCodes.usage, { cause });
  }
}
