import test from 'ava';
import { reasonIn, troubleOfError } from './trouble.ts';

const cut = (code: string) =>
  troubleOfError(Object.assign(new Error(`write ${code}`), { code }), 'https://p');

test('a connection that was cut is one trouble, by whichever name', (t) => {
  t.is(cut('EPIPE').kind, cut('ECONNRESET').kind);
  t.regex(cut('EPIPE').sentence, /If it stays so, the processor does not accept this agent's certificate/);
});

for (const [text, reason] of [
  ['{"error":{"code":"stopping","message":"The processor is stopping"}}', 'The processor is stopping'],
  ['{"error":{"code":"c","message":"No name","detail":"it names me"}}', 'No name: it names me'],
  ['{"error":{"code":"cut off', '{"error":{"code":"cut off'],
  ['null', 'null'],
  ['<html>', '<html>'],
] as const) {
  test(`of the answer ${text} is told: ${reason}`, (t) => {
    t.is(reasonIn(text), reason);
  });
}
