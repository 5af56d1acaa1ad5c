import test from 'ava';
import { questionOf, readQuestion } from './question.ts';

const read = (query: string) => readQuestion(new URLSearchParams(query));

test('a pod is asked for as namespace/name, a namespace by its name', (t) => {
  t.deepEqual(read('pod=shop/web-7d4b'), { question: { namespace: 'shop', pod: 'web-7d4b' } });
  t.deepEqual(read('pod=shop%2Fweb.1'), { question: { namespace: 'shop', pod: 'web.1' } });
  t.deepEqual(read('namespace=shop'), { question: { namespace: 'shop', pod: undefined } });
  t.deepEqual(questionOf('shop/web'), { question: { namespace: 'shop', pod: 'web' } });
  t.deepEqual(questionOf('shop'), { question: { namespace: 'shop', pod: undefined } });
});

const wrong: [query: string, sentence: RegExp][] = [
  ['', /^neither a pod nor a namespace is named\. Write \/explain\?pod=<namespace>\/<name>/],
  ['pod=a/b&namespace=a', /^2 things are asked for at once\. Write/],
  ['pod=a/b&pod=c/d', /^2 things/],
  ['pod=web', /^pod="web" names no namespace\. Write pod=<namespace>\/<name>$/],
  ['namespace=a/b', /Write pod=<namespace>\/<name> for a pod$/],
  ['name-space=a', /^there is no parameter "name-space"\. Write namespace=$/],
  ['format=text&pod=a/b', /^there is no parameter "format"\. Write \/explain/],
  ['pod=a/b/c', /too many slashes/],
  ['pod=/b', /^"" is no name of a namespace\. Write lower case/],
  ['pod=a/', /^"" is no name of a pod/],
  ['namespace=Shop', /^"Shop" is no name of a namespace/],
  [`namespace=${'x'.repeat(5000)}`, /^"x{60}"… is no name/],
  ['pod=a/%1b[31m', /^"\\u001b\[31m" is no name of a pod/],
];

for (const [query, sentence] of wrong) {
  test(`?${query.slice(0, 40)} is answered with what to write`, (t) => {
    const answer = read(query);
    t.true('wrong' in answer && sentence.test(answer.wrong), JSON.stringify(answer));
  });
}
