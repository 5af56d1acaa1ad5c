// Finds where in the request, as sent, the matched part stands.
import type { Exchange, Latin1 } from '../exchange.ts';
import type { Match } from '../modsecurity/modsecurity.ts';
import { decodings, findIn, squeezed, squeezedText, type View } from './decoded.ts';
import { type Region, regionsOf } from './region.ts';

/** Byte offsets, `end` exclusive, into the target, the value of the header at `header`, or the body. */
export type Mark =
  | { where: 'target' | 'body'; start: number; end: number }
  | { where: 'header'; header: number; start: number; end: number };

// Shorter ones stand everywhere.
const minNeedle = 2;

/**
 * Rules see decoded and lower-cased text, so the matched text is looked for in the places that the rule's
 * variable names, decoded step by step with its offsets kept. A place that is one value is marked whole
 * when the text is not found in it. Null: not located.
 */
export function locate({ request }: Pick<Exchange, 'request'>, { variable, data }: Match): Mark | null {
  const told = readData(data);
  const regions = regionsOf(request, variable || told.variable);
  const needles = [told.matched, told.value];
  const span = spanIn(regions, needles) ?? spanIn(regions, needles.map(squeezedText), squeezed);
  if (span) return span;
  const whole = regions.find((region) => region.isValue && region.text.length > 0);
  return whole ? { ...whole.place, start: whole.start, end: whole.start + whole.text.length } : null;
}

function spanIn(regions: Region[], needles: string[], change = (view: View) => view): Mark | undefined {
  for (const needle of needles.filter((needle) => needle.length >= minNeedle)) {
    for (const region of regions) {
      for (const view of decodings(region.text)) {
        const span = findIn(change(view), needle);
        if (span) return { ...region.place, start: region.start + span.start, end: region.start + span.end };
      }
    }
  }
  return undefined;
}

/** CRS: "Matched Data: <matched> found within <variable>: <value>", each of them the client's words. */
export function readData(data: Latin1): { matched: Latin1; variable: Latin1; value: Latin1 } {
  const parts = data.match(/^Matched Data: (.*?) found within ([^\s:]+(?::[^\s:]+)?): (.*)$/s);
  const [, matched = '', variable = '', value = ''] = parts ?? [];
  // limitTo() in libmodsecurity ends a long text with this.
  return { matched, variable, value: value.replace(/ \(\d+ characters omitted\)$/, '') };
}
