// A check as people read it.
import { bullets, counted, paragraph, section, textOf } from '../explain/text.ts';
import type { Check } from './check.ts';
import { type Change, type Difference, kinds } from './difference.ts';
import { renderMirrored } from './mirrored.ts';

/** `file` and `against` as their user calls them. */
export function renderCheck(
  { problems, warnings, notes, difference }: Check,
  { file, against }: { file: string; against: string | undefined },
): string {
  const refused = `${file}: refused, ${counted(problems.length, 'problem')}`;
  return textOf([
    problems.length > 0 ? section(refused, bullets(problems)) : paragraph(`${file}: in order`),
    section('Warnings', bullets(warnings)),
    section('Notes', bullets(notes)),
    ...(difference ? renderDifference(difference, against ?? '') : []),
  ]);
}

function renderDifference({ changes, moreChanges, pods }: Difference, against: string): string[][] {
  const { changed, unchanged, mirroredBefore, mirroredAfter } = pods;
  const counts =
    changed === 0
      ? `Against ${against}, nothing changes: ${counted(unchanged, 'pod')}, ${mirroredAfter} mirrored`
      : `Against ${against}: ${counted(changed, 'pod')} of ${changed + unchanged} would change; ${mirroredBefore} are mirrored now, ${mirroredAfter} then`;
  return [
    paragraph(counts),
    ...kinds.map((kind) => {
      const ofKind = changes.filter((change) => change.kind === kind);
      const heading = `${kind[0]?.toUpperCase()}${kind.slice(1)}`;
      return section(heading, ofKind.flatMap(renderChange));
    }),
    moreChanges > 0 ? paragraph(`and ${counted(moreChanges, 'more change')}`) : [],
  ];
}

function renderChange({ kind, workload, pods, example, before, after, because }: Change): string[] {
  const what =
    kind === 'newly mirrored'
      ? renderMirrored(after)
      : `${renderMirrored(before)} now, ${renderMirrored(after)} then`;
  return [
    ...bullets([`${workload}: ${counted(pods, 'pod')}, such as ${example}`]),
    ...paragraph(what, '    '),
    ...paragraph(because, '    '),
  ];
}
