// The places of a request that a ModSecurity variable speaks about.
import type { Exchange } from '../exchange.ts';

type Request = Exchange['request'];

export interface Region {
  place: { where: 'target' | 'body' } | { where: 'header'; header: number };
  /** Where `text` begins in the target, the header's value or the body. */
  start: number;
  text: string;
  /** One value, such as an argument's: may be marked whole. */
  isValue: boolean;
}

/** Most likely place first. `variable` is for example "ARGS:file" or "REQUEST_HEADERS:User-Agent". */
export function regionsOf(request: Request, variable: string): Region[] {
  const colon = variable.indexOf(':');
  const collection = (colon === -1 ? variable : variable.slice(0, colon)).toUpperCase();
  const member = colon === -1 ? '' : variable.slice(colon + 1);
  const target = (start = 0, end = request.target.length, isValue = false): Region => ({
    place: { where: 'target' },
    start,
    text: request.target.slice(start, end),
    isValue,
  });
  const body: Region = { place: { where: 'body' }, start: 0, text: request.body, isValue: false };
  const query = request.target.indexOf('?');

  switch (collection) {
    case 'REQUEST_FILENAME':
    case 'REQUEST_BASENAME':
      return [target(0, query === -1 ? undefined : query, true)];
    case 'REQUEST_URI':
    case 'REQUEST_URI_RAW':
    case 'REQUEST_LINE':
    case 'QUERY_STRING':
      return [target()];
    case 'ARGS':
    case 'ARGS_GET':
    case 'ARGS_POST':
      return [
        ...argumentRegions(request, member),
        ...(query === -1 ? [] : [target(query + 1)]),
        body,
        target(),
      ];
    case 'ARGS_NAMES':
    case 'ARGS_GET_NAMES':
    case 'ARGS_POST_NAMES':
      return [...(query === -1 ? [] : [target(query + 1)]), body];
    case 'REQUEST_HEADERS':
      return headerRegions(request, member);
    case 'REQUEST_COOKIES':
    case 'REQUEST_COOKIES_NAMES':
      return headerRegions(request, 'cookie').map((region) => ({ ...region, isValue: false }));
    case 'REQUEST_BODY':
    case 'XML':
    case 'FILES':
    case 'FILES_NAMES':
    case 'MULTIPART_PART_HEADERS':
      return [body];
    default:
      return [target(), body];
  }
}

function headerRegions({ headers }: Request, wanted: string): Region[] {
  return headers.flatMap(({ name, value }, header) =>
    name.toLowerCase() === wanted.toLowerCase()
      ? [{ place: { where: 'header' as const, header }, start: 0, text: value, isValue: true }]
      : [],
  );
}

/** The values of the argument `name` in the query and in a form body. */
function argumentRegions({ target, body }: Request, name: string): Region[] {
  const query = target.indexOf('?');
  const places = [
    ...(query === -1 ? [] : [{ where: 'target' as const, text: target, from: query + 1 }]),
    { where: 'body' as const, text: body, from: 0 },
  ];
  return places.flatMap(({ where, text, from }) =>
    pairsOf(text, from)
      .filter((pair) => formDecode(pair.name) === name)
      .map(({ start, end }) => ({ place: { where }, start, text: text.slice(start, end), isValue: true })),
  );
}

function pairsOf(text: string, from: number): { name: string; start: number; end: number }[] {
  const pairs = [];
  for (let start = from; start < text.length; ) {
    const next = text.indexOf('&', start);
    const end = next === -1 ? text.length : next;
    const equals = text.indexOf('=', start);
    if (equals !== -1 && equals < end)
      pairs.push({ name: text.slice(start, equals), start: equals + 1, end });
    start = end + 1;
  }
  return pairs;
}

/** To one character per byte, as the names that rules report. */
function formDecode(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
