// How values of strangers stand in sentences: bounded, on one line, quoted when they are not plain.

const maxShown = 60;

/** As JSON, cut when long; what would break the line or turn the writing direction is escaped. */
export function quote(value: unknown): string {
  if (typeof value === 'string') {
    const cut = value.slice(0, maxShown);
    return escapeInvisible(JSON.stringify(cut)) + (cut === value ? '' : '…');
  }
  const json = JSON.stringify(value) ?? String(value);
  return escapeInvisible(json.length > maxShown ? `${json.slice(0, maxShown)}…` : json);
}

/** What would break the line, steer a terminal or turn the writing direction, as \u{…}. */
export function escapeInvisible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}

/** A plain word as it is, anything else quoted. */
export function show(text: string): string {
  return /^[\w./*?![\]{},=:@+-]{1,60}$/.test(text) ? text : quote(text);
}

/** The first few of many, and how many more. */
export function listed(items: readonly string[], most: number): string {
  const rest = items.length - most;
  return rest > 0 ? `${items.slice(0, most).join(', ')} and ${rest} more` : items.join(', ');
}
