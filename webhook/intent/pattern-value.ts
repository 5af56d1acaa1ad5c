// A pattern in a document, and what people write instead of one.
import { GlobMistake } from './glob.ts';
import { maxValueLength, type Pattern, parsePattern } from './pattern.ts';
import { isBlock, type Place, refuse } from './place.ts';
import { quote } from './show.ts';

/** undefined when there is none, or it was refused. */
export function readPattern(place: Place): Pattern | undefined {
  const { value } = place;
  if (value === undefined) return undefined;
  if (typeof value !== 'string') return refuse(place, ...notText(value));
  const shown = quote(value);
  if (value.length > maxValueLength) {
    return refuse(
      place,
      `${shown} is ${value.length} characters long`,
      'Write several filters with shorter lists',
    );
  }
  try {
    return parsePattern(value);
  } catch (error) {
    if (!(error instanceof GlobMistake)) throw error;
    return refuse(place, `${shown}: ${error.wrong}`, error.instead);
  }
}

function notText(value: unknown): [wrong: string, instead: string] {
  if (value === null) {
    return [
      'nothing follows the colon',
      "Write a name or a pattern in quotes, such as 'shop-*', or leave the key out",
    ];
  }
  if (Array.isArray(value)) {
    const words = value.filter((item) => typeof item === 'string').join(',');
    const plain = words !== '' && words.length <= 60 ? words : 'a,b';
    // [a-z] without quotes is a list of one.
    const example = value.length === 1 ? `'[${plain}]' or '${plain}'` : `'${plain}'`;
    return [`${quote(value)} is a list to YAML`, `Write one text in quotes, such as ${example}`];
  }
  if (isBlock(value)) {
    const example = Object.values(value).every((inside) => inside === null)
      ? Object.keys(value).join(',')
      : '';
    const pattern = example !== '' && example.length <= 60 ? `{${example}}` : '{a,b}';
    return [
      `${quote(value)} is a block of keys to YAML`,
      `Write a pattern in quotes, such as '${pattern}' or 'shop-*'`,
    ];
  }
  // YAML has lost the zero of 1.10 by now.
  const instead =
    Number.isInteger(value) || typeof value === 'boolean' ? `Quote it: '${value}'` : 'Quote it as it stands';
  return [`${quote(value)} without quotes is a ${typeof value} to YAML, not text`, instead];
}
