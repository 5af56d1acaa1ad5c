/** A table for a terminal. */

const GAP = '  ';
const WIDEST = 72;

/** Columns as wide as their widest cell; over-long cells are cut, control characters made visible. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows.map((row) => row.map((cell) => printable(cell)))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(GAP)
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join(GAP);
  const [first = [], ...others] = cells;
  return [line(first), rule, ...others.map(line)].join('\n');
}

/** Traffic is hostile: an escape sequence in a target must not reach the terminal. */
export function printable(text: string, widest = WIDEST): string {
  const safe = text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return safe.length > widest ? `${safe.slice(0, widest - 1)}…` : safe;
}
