// What the ConfigMap holds for a pod, and whether it would be written so today.
import type { KnownPod } from '../cluster/view.ts';
import { isFinished, keysOf } from '../controller/desired.ts';
import type { Meta } from '../intent/class.ts';
import { INTENT_NAME, shardName, shardOf } from '../intent/document.ts';
import { compactGrants } from '../intent/grant.ts';
import type { Grant } from '../intent/model.ts';
import { listed, show } from '../intent/show.ts';
import type { ExplainView, Stored } from './explanation.ts';
import { classIdOf, type Fresh } from './fresh.ts';

export function storedFor(pod: KnownPod, view: ExplainView, fresh: Fresh): Stored {
  const intent = view.intent();
  if (!intent) {
    const because = view.intentProblems?.()[0] ?? `there is no ${INTENT_NAME} that can be read`;
    return { configMap: INTENT_NAME, classId: null, grants: [], agrees: false, because };
  }
  const { meta, classes } = intent;
  const classId = classIdOf(pod, meta);
  const grants = classes.get(classId) ?? [];
  return {
    configMap: shardName(shardOf(classId, meta.shards)),
    classId,
    grants,
    ...compare(pod, { meta, grants }, fresh),
  };
}

function compare(
  pod: KnownPod,
  written: { meta: Meta; grants: Grant[] },
  fresh: Fresh,
): Pick<Stored, 'agrees' | 'because'> {
  const id = classIdOf(pod, fresh.meta);
  const wanted = fresh.grantsOf(id);
  const alike = effectOf(written.grants) === effectOf(wanted);
  const origin = otherOrigin(written.meta, fresh.meta);
  if (origin !== undefined) {
    const entry = written.grants.length === 0 ? 'it has no entry, and ' : 'it ';
    return { agrees: alike, because: `${entry}${origin}${alike ? '; for this pod it says the same' : ''}` };
  }
  const conflict = fresh.conflictOf(id);
  if (conflict) {
    const pods = listed(conflict.pods.map(show), 3);
    const why = `two kinds of pods share this id by chance (${pods}), so nothing is written for either`;
    return { agrees: alike, because: `${why}. Add a label to one of them that a filter names` };
  }
  return { agrees: alike, because: differenceOf(written.grants, wanted, pod) };
}

/** Sentences of grants may differ while agents do the same. */
function effectOf(grants: Grant[]): string {
  return JSON.stringify(
    compactGrants(grants)
      .map(({ containers, nodes }) => [containers, nodes])
      .sort(),
  );
}

function differenceOf(written: Grant[], wanted: Grant[], pod: KnownPod): string {
  if (wanted.length === 0) {
    if (written.length === 0) return 'it has no entry, and none belongs there';
    const why = isFinished(pod) ? 'no pod that runs asks for it' : 'nothing asks for it any more';
    return `its entry is left over: ${why}, and the leading webhook has not removed it yet`;
  }
  if (written.length === 0) return 'it has no entry yet, though one belongs there';
  if (effectOf(written) === effectOf(wanted)) return 'its entry is what it would be if written now';
  return 'its entry is older than what decides now: it is not written anew yet';
}

/** undefined: from the same filters and keys. */
function otherOrigin(written: Meta, now: Meta): string | undefined {
  if (written.filtersHash !== now.filtersHash) {
    return `was made from other filters (hash ${show(written.filtersHash)}, now ${now.filtersHash})`;
  }
  if (keysOf(written) === keysOf(now)) return undefined;
  const [then, here] = [written, now].map(({ annotationKeys }) => listed(annotationKeys.map(show), 5));
  return `was made with other settings than those used here: its ids take the annotations ${then}; here they take ${here}`;
}
