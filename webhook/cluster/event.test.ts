import test from 'ava';
import { eventOf } from './event.ts';

const facts = {
  namespace: 'shop',
  about: { apiVersion: 'v1', kind: 'Pod', name: 'web-1', uid: 'u1' },
  reason: 'Mirroring',
  text: 'mirroring container web: filter 1',
  isWarning: false,
  changed: false,
  source: { component: 'podmirror-agent', host: 'node-1' },
  instance: 'podmirror-agent-x',
  nowMs: 0,
};
const nameOf = (over: Partial<typeof facts>) =>
  (eventOf({ ...facts, ...over }).event as { metadata: { name: string } }).metadata.name;

test('the same said later has the same name, unless it was seen to become so', (t) => {
  t.is(nameOf({ nowMs: 1 }), nameOf({ nowMs: 2 }));
  t.not(nameOf({ nowMs: 1, changed: true }), nameOf({ nowMs: 2, changed: true }));
  t.not(nameOf({ text: 'another' }), nameOf({}));
});

test('a name that is cut behind a hyphen or a dot is still the name of an object', (t) => {
  for (const sign of ['-', '.', '-.-']) {
    const name = `${'a'.repeat(200 - sign.length)}${sign}b`;
    t.regex(nameOf({ about: { ...facts.about, name } }), /^a+\.[0-9a-f]{16}$/);
  }
});

test('a long text is cut to what the API server takes', (t) => {
  const { message } = eventOf({ ...facts, text: 'x'.repeat(3000) }).event as { message: string };
  t.is(message.length, 1000);
  t.true(message.endsWith('…'));
});
