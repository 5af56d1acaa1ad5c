// What kind of attack a rule is about.

export type AttackType =
  | 'path_traversal'
  | 'remote_file_inclusion'
  | 'rce'
  | 'php_injection'
  | 'ssrf'
  | 'template_injection'
  | 'code_injection'
  | 'java_injection'
  | 'xss'
  | 'sqli'
  | 'session_fixation'
  | 'scanner'
  | 'protocol';

/**
 * CRS tag, rule family (the first three digits of the rule's id) and type; the order decides between equals.
 * The family counts when there is no tag: libmodsecurity 3.0.9 writes none for rules with `multiMatch`.
 * Families 911, 920 and 922 are not here: a numeric Host or a missing Accept is no attack by itself.
 */
export const attackTypes: readonly { tag: string; family: number; type: AttackType }[] = [
  { tag: 'attack-lfi', family: 930, type: 'path_traversal' },
  { tag: 'attack-ssrf', family: 0, type: 'ssrf' },
  { tag: 'attack-rfi', family: 931, type: 'remote_file_inclusion' },
  { tag: 'attack-sqli', family: 942, type: 'sqli' },
  { tag: 'attack-xss', family: 941, type: 'xss' },
  { tag: 'attack-ssti', family: 0, type: 'template_injection' },
  { tag: 'attack-injection-php', family: 933, type: 'php_injection' },
  { tag: 'attack-injection-java', family: 0, type: 'java_injection' },
  { tag: 'attack-rce', family: 932, type: 'rce' },
  { tag: 'attack-rce', family: 944, type: 'rce' },
  { tag: 'attack-injection-generic', family: 934, type: 'code_injection' },
  { tag: 'attack-fixation', family: 943, type: 'session_fixation' },
  { tag: 'attack-reputation-scanner', family: 913, type: 'scanner' },
  { tag: 'attack-protocol', family: 921, type: 'protocol' },
];

const enforcement = new Set([911, 920, 922]);

/** Undefined: the rule alone makes no attack. */
export function typeOfRule({ id, tags }: { id: number; tags: readonly string[] }): AttackType | undefined {
  const family = Math.floor(id / 1000);
  if (enforcement.has(family)) return undefined;
  const row =
    attackTypes.find(({ tag }) => tags.includes(tag)) ?? attackTypes.find((row) => row.family === family);
  return row?.type;
}
