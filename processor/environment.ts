// The configuration's keys as environment variables: PODMIRROR_PROCESSOR_INGEST_MAX_BATCH_BYTES is ingest.maxBatchBytes.

const prefix = 'PODMIRROR_PROCESSOR_';
const lists = ['ingest.agents', 'realIp.trustedCIDRs'];

/** Values by path of those `paths` that `env` names; a sentence for each variable that names none. */
export function environmentOf(
  env: Readonly<Record<string, string | undefined>>,
  paths: readonly string[],
): { overrides: Record<string, unknown>; mistakes: string[] } {
  const byName = new Map(paths.map((path) => [variableOf(path), path]));
  const overrides: Record<string, unknown> = {};
  const mistakes: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(prefix) || value === undefined) continue;
    const path = byName.get(name);
    if (path === undefined)
      mistakes.push(`${name}: no such setting. Write one such as ${variableOf('api.token')}`);
    else overrides[path] = readValue(path, value);
  }
  return { overrides, mistakes };
}

export function variableOf(path: string): string {
  return (
    prefix +
    path
      .replaceAll('.', '_')
      .replace(/([a-z])([A-Z])/g, '$1_$2')
      .toUpperCase()
  );
}

function readValue(path: string, text: string): unknown {
  if (lists.includes(path)) return text.split(',').map((name) => name.trim());
  // A token of digits stays text.
  return path !== 'api.token' && /^\d+$/.test(text) ? Number(text) : text;
}
