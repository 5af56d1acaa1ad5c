// A command from its line to its answer; what it touches is handed in.
import { checkFilters } from '../check/check.ts';
import { readFiltersFile } from '../check/filters-file.ts';
import { renderCheck } from '../check/render.ts';
import { sentenceOf } from '../cluster/log.ts';
import { explainNamespace } from '../explain/namespace.ts';
import { explainPod } from '../explain/pod.ts';
import { renderExplanation } from '../explain/render.ts';
import { show } from '../intent/show.ts';
import { exitCodes, Refusal } from '../refusal.ts';
import { readDump } from './dump.ts';
import { type Command, type Flags, readCommand, usage } from './flags.ts';
import { type ReadApi, readCluster, readNamespace } from './lists.ts';
import { viewOf } from './view.ts';

export interface CommandDeps {
  version: string;
  /** `-` is standard input. */
  readText(file: string): string;
  connect(flags: Pick<Flags, 'kubeconfig' | 'context'>): Promise<{ api: ReadApi; close(): void }>;
}

export interface Outcome {
  output: string;
  /** 0, or 1: asked and answered, with a no. */
  exitCode: 0 | 1;
}

/** Throws a Refusal when there is no answer. */
export async function runCommand(args: string[], deps: CommandDeps): Promise<Outcome> {
  const command = readCommand(args);
  switch (command.command) {
    case 'print':
      return { output: command.what === 'usage' ? usage : `${deps.version}\n`, exitCode: 0 };
    case 'explain':
      return await explain(command, deps);
    case 'check':
      return await check(command, deps);
  }
}

async function explain(
  { question, flags }: Extract<Command, { command: 'explain' }>,
  deps: CommandDeps,
): Promise<Outcome> {
  const { namespace, pod } = question;
  const objects = await withApi(deps, flags, (api) => readNamespace(api, flags.settings, namespace));
  const { view } = viewOf(objects, flags.settings);
  const explanation =
    pod === undefined ? explainNamespace(view, namespace) : explainPod(view, namespace, pod);
  return {
    output: flags.json ? jsonOf(explanation) : renderExplanation(explanation),
    exitCode: explanation.kind === 'unknown' ? 1 : 0,
  };
}

async function check(
  { file, against, flags }: Extract<Command, { command: 'check' }>,
  deps: CommandDeps,
): Promise<Outcome> {
  const { settings } = flags;
  const filtersFile = readWith(file, deps, (text) => readFiltersFile(text, settings));
  const compared = against === undefined ? undefined : await readAgainst(against, flags, deps);
  const found = checkFilters(filtersFile, compared?.view);
  const notes = [...(compared?.notes ?? []), ...found.notes];
  const result = { ...found, notes };
  return {
    output: flags.json
      ? jsonOf(result)
      : renderCheck(result, {
          file: nameOf(file),
          against: against === 'cluster' ? 'the cluster' : nameOf(against),
        }),
    exitCode: found.problems.length > 0 ? 1 : 0,
  };
}

async function readAgainst(
  against: string,
  flags: Flags,
  deps: CommandDeps,
): Promise<ReturnType<typeof viewOf>> {
  const { settings } = flags;
  if (against === 'cluster') {
    return viewOf(await withApi(deps, flags, (api) => readCluster(api, settings)), settings);
  }
  const { objects, notes } = readWith(against, deps, readDump);
  const read = viewOf(objects, settings);
  return { view: read.view, notes: [...notes, ...read.notes] };
}

function nameOf<T extends string | undefined>(file: T): T | string {
  return file === '-' ? 'standard input' : file;
}

function jsonOf(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function readWith<T>(file: string, { readText }: CommandDeps, read: (text: string) => T): T {
  let text: string;
  try {
    text = readText(file);
  } catch (cause) {
    const why = `read ${show(file)}: ${(cause as Error).message}. Write the path of a file that can be read`;
    throw new Refusal(why, exitCodes.config, { cause });
  }
  try {
    return read(text);
  } catch (cause) {
    throw new Refusal(`${nameOf(file)}: ${(cause as Error).message}`, exitCodes.config, { cause });
  }
}

async function withApi<T>(
  { connect }: CommandDeps,
  flags: Flags,
  ask: (api: ReadApi) => Promise<T>,
): Promise<T> {
  const { api, close } = await connect(flags);
  try {
    return await ask(api);
  } catch (cause) {
    if (cause instanceof Refusal) throw cause;
    const instead = 'See that kubectl get namespaces works, or name another --kubeconfig or --context';
    throw new Refusal(`${sentenceOf(cause)}. ${instead}`, exitCodes.unavailable, { cause });
  } finally {
    close();
  }
}
