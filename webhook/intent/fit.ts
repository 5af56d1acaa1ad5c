// An intent that is more than the ConfigMaps hold: told shorter, and in the end without the largest namespaces.
import { type Intent, layOut } from './document.ts';
import { compactGrants } from './grant.ts';

export interface Fitted {
  data: Record<string, string>[];
  /** Namespaces of which nothing is written, rather than that nothing at all is: what somebody took back must be gone. */
  leftOut: string[];
}

export function fitIntent(intent: Intent): Fitted {
  const whole = layOut(intent);
  if (whole) return { data: whole, leftOut: [] };
  const { meta } = intent;
  let classes = new Map([...intent.classes].map(([id, grants]) => [id, compactGrants(grants)]));
  const leftOut: string[] = [];
  for (;;) {
    const data = layOut({ meta, classes });
    if (data) return { data, leftOut: leftOut.sort() };
    if (classes.size === 0) throw new Error('an intent without classes does not fit: its _meta is too large');
    const largest = largestNamespace(classes);
    leftOut.push(largest);
    classes = new Map([...classes].filter(([id]) => namespaceOfClass(id) !== largest));
  }
}

/** Class ids are `<namespace>.<hex>`, and names of namespaces have no dots. */
export function namespaceOfClass(id: string): string {
  return id.slice(0, id.lastIndexOf('.'));
}

/** The name decides between equals, so that every replica leaves out the same. */
function largestNamespace(classes: Intent['classes']): string {
  const bytes = new Map<string, number>();
  for (const [id, grants] of classes) {
    const namespace = namespaceOfClass(id);
    bytes.set(namespace, (bytes.get(namespace) ?? 0) + id.length + JSON.stringify(grants).length);
  }
  const [largest = ''] = [...bytes].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))[0] ?? [];
  return largest;
}
