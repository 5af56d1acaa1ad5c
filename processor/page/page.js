// The page: token, list of attacks, one attack, coverage. The address after # says what is shown.
import { agentCard, agentView } from './coverage.js';
import { byId, bytes, make } from './elements.js';
import { requestNodes } from './request.js';

const tokenKey = 'podmirror-token';
const refreshIntervalMs = 10_000;
const types = [
  'path_traversal',
  'sqli',
  'xss',
  'rce',
  'remote_file_inclusion',
  'ssrf',
  'template_injection',
  'php_injection',
  'java_injection',
  'code_injection',
  'session_fixation',
  'scanner',
  'protocol',
];

let next = null;
// Each view that begins outdates the answers that earlier ones wait for.
let view = 0;

const typeName = (type) => type.replaceAll('_', ' ');
const timeText = (iso) =>
  new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

function targetName({ name, namespace, pod, container, cgroup }) {
  return pod ? [namespace, pod, container].filter(Boolean).join('/') : name || cgroup;
}

async function read(path) {
  const response = await fetch(path, {
    headers: { authorization: `Bearer ${sessionStorage.getItem(tokenKey)}` },
  });
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status === 401) sessionStorage.removeItem(tokenKey);
  throw new Error(answer.error.detail ?? answer.error.message);
}

const sections = ['login', 'list', 'detail', 'coverage', 'agent'];

function show(section) {
  for (const id of sections) byId(id).hidden = id !== section;
  for (const id of ['logout', 'views']) byId(id).hidden = section === 'login';
  const isCoverage = section === 'coverage' || section === 'agent';
  for (const [id, isHere] of [
    ['to-attacks', !isCoverage],
    ['to-coverage', isCoverage],
  ]) {
    if (isHere) byId(id).setAttribute('aria-current', 'page');
    else byId(id).removeAttribute('aria-current');
  }
  if (section === 'login') {
    byId('ledger').textContent = '';
    byId('token').focus();
  }
}

function tellProblem(message) {
  byId('problem').textContent = message;
  byId('problem').hidden = message === '';
}

const clientText = (client, peer) => (client === peer ? client : `${client} via ${peer}`);

function attackRow(attack) {
  const link = make(
    'a',
    { href: `#/attacks/${attack.id}`, class: 'code' },
    ...bytes(`${attack.method} ${attack.path}`),
  );
  return make(
    'tr',
    {},
    make('td', { class: 'time' }, timeText(attack.lastSeen)),
    make('td', { class: 'badge-cell' }, make('span', { class: 'badge' }, typeName(attack.type))),
    make('td', { class: 'code' }, targetName(attack.target)),
    make('td', { class: 'code' }, clientText(attack.clientAddress, attack.peerAddress)),
    make('td', {}, link),
    make('td', {}, attack.status === null ? 'not seen' : String(attack.status)),
    make('td', { class: 'number' }, String(attack.hits)),
  );
}

async function showList({ older = false } = {}) {
  const mine = older ? view : ++view;
  const query = new URLSearchParams({ type: byId('type').value, before: older ? (next ?? '') : '' });
  const [{ attacks, next: following }, stats] = await Promise.all([
    read(`api/attacks?${query}`),
    read('api/stats'),
  ]);
  if (mine !== view) return;
  next = following;
  if (older) byId('attacks').append(...attacks.map(attackRow));
  else byId('attacks').replaceChildren(...attacks.map(attackRow));
  const isEmpty = byId('attacks').childElementCount === 0;
  byId('attacks-card').hidden = isEmpty;
  byId('empty').hidden = !isEmpty;
  byId('empty-advice').textContent = emptyAdvice(stats);
  byId('more').hidden = next === null;
  showLedger(stats);
  show('list');
}

function emptyAdvice({ received }) {
  if (byId('type').value !== '') return 'None of this type. Choose "all", or try one:';
  if (received === 0)
    return 'No exchange has arrived yet: is an agent running, and does it name a target? Then try one:';
  return `${received} exchanges arrived and none was an attack. To see one:`;
}

function showLedger({ received, inspected, pending, excluded, dropped, hits }) {
  const sum = (amounts) => Object.values(amounts).reduce((sum, amount) => sum + amount, 0);
  const left = sum(excluded);
  byId('ledger').textContent =
    `${received} exchanges: ${inspected} inspected, ${pending} waiting, ${left > 0 ? `${left} excluded, ` : ''}${sum(dropped)} dropped · ${hits} malicious`;
}

async function showAttack(id) {
  const mine = ++view;
  const attack = await read(`api/attacks/${encodeURIComponent(id)}`);
  if (mine !== view) return;
  byId('detail-title').replaceChildren(
    make('span', { class: 'badge' }, typeName(attack.type)),
    ' ',
    make('span', { class: 'code' }, ...bytes(attack.endpoint)),
  );
  byId('facts').replaceChildren(
    ...fact('Target', targetName(attack.target)),
    ...fact('Parameter', ...bytes(attack.parameter || 'unknown')),
    ...fact('Seen', `${timeText(attack.firstSeen)} to ${timeText(attack.lastSeen)}`),
    ...fact('Hits', `${attack.hits} (score ${attack.score})`),
  );
  byId('hit').replaceChildren(
    ...attack.recorded.map((hit, index) =>
      make('option', { value: String(index) }, `${timeText(hit.time)}, ${hit.client.address}`),
    ),
  );
  byId('hit').onchange = () => showHit(attack.recorded[Number(byId('hit').value)]);
  if (attack.recorded.length > 0) showHit(attack.recorded[0]);
  show('detail');
  byId('detail-title').focus();
}

const fact = (name, ...value) => [make('dt', {}, name), make('dd', {}, ...value)];

// A hit of an older processor only says whether there was TLS.
function tlsText(tls) {
  if (!tls) return 'plaintext';
  const { version, cipherSuite, serverName, boundBy } = tls;
  const name = serverName ? ` for ${serverName}` : '';
  const proof = boundBy === 'aead' ? ', each record verified' : '';
  return `${[version || 'TLS', cipherSuite].filter(Boolean).join(' ')}${name}${proof}`;
}

function showHit(hit) {
  const { client, host, application, connection, response, gap, joinedLate, mark } = hit;
  const facts = [
    ...(client.header ? [`Client ${client.address} by ${client.header}`] : []),
    ...(client.unknown ? [`real client unknown: ${client.unknown}`] : []),
    ...(host ? [`host ${host}`] : []),
    ...(application === null ? [] : [`application ${application}`]),
    `From ${connection.clientAddress} port ${connection.clientPort} to ${connection.serverAddress} port ${connection.serverPort}`,
    tlsText(connection.tls),
    response ? `answered ${response.status}` : 'answer not seen',
    ...(gap ? ['bytes of it were lost on the way'] : []),
    ...(joinedLate ? ['the connection was older than the capture'] : []),
  ];
  byId('hit-facts').replaceChildren(
    ...facts.flatMap((text, index) => [...(index === 0 ? [] : [' · ']), ...bytes(text)]),
  );
  byId('request').replaceChildren(...requestNodes(hit));
  byId('mark-note').textContent = mark
    ? 'Marked: what the deciding rule matched.'
    : 'The matched part could not be located in what was sent; the rules below say what they saw.';
  byId('rules').replaceChildren(...hit.rules.map(ruleRow));
}

function ruleRow({ id, message, variable, data, decided }) {
  return make(
    'tr',
    {},
    make('td', { class: 'code' }, `${id}${decided ? ' (decided)' : ''}`),
    make('td', {}, ...bytes(message)),
    make('td', { class: 'code' }, ...bytes(variable)),
    make('td', { class: 'code' }, ...bytes(data)),
  );
}

async function showCoverage() {
  const mine = ++view;
  const [{ agents }, stats] = await Promise.all([read('api/coverage'), read('api/stats')]);
  // Who has one agent wants to see its targets at once.
  const only = agents.length === 1 ? await read(`api/coverage/${agents[0].id}`) : undefined;
  if (mine !== view) return;
  byId('agents').replaceChildren(...(only ? [agentView(only)] : agents.map(agentCard)));
  byId('no-agents').hidden = agents.length > 0;
  showLedger(stats);
  show('coverage');
}

async function showAgent(id) {
  const mine = ++view;
  const agent = await read(`api/coverage/${id}`);
  if (mine !== view) return;
  const isNew = byId('agent').hidden;
  byId('agent-view').replaceChildren(agentView(agent));
  show('agent');
  if (isNew) byId('agent-title').focus();
}

/** What the address asks for. */
function showAddressed() {
  const [, attack] = location.hash.match(/^#\/attacks\/(\d+)$/) ?? [];
  if (attack) return showAttack(attack);
  const [isCoverage, agent] = location.hash.match(/^#\/coverage(?:\/([0-9a-f]+))?$/) ?? [];
  if (!isCoverage) return showList();
  return agent ? showAgent(agent) : showCoverage();
}

async function route() {
  tellProblem('');
  if (!sessionStorage.getItem(tokenKey)) return show('login');
  try {
    await showAddressed();
  } catch (error) {
    tellProblem(error.message);
    if (!sessionStorage.getItem(tokenKey)) show('login');
  }
}

async function showOlder() {
  try {
    await showList({ older: true });
  } catch (error) {
    tellProblem(error.message);
  }
}

byId('login-form').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(tokenKey, byId('token').value.trim());
  byId('token').value = '';
  void route();
});
byId('logout').addEventListener('click', () => {
  sessionStorage.removeItem(tokenKey);
  view += 1;
  show('login');
});
byId('type').append(...types.map((type) => make('option', { value: type }, typeName(type))));
byId('type').addEventListener('change', () => void route());
for (const id of ['refresh', 'refresh-coverage']) byId(id).addEventListener('click', () => void route());
byId('more').addEventListener('click', () => void showOlder());
addEventListener('hashchange', () => void route());
setInterval(() => {
  // Someone who reads older pages is not thrown back to the first.
  const isAtTop = !byId('list').hidden && byId('attacks').childElementCount <= 50;
  const isCoverage = !byId('coverage').hidden || !byId('agent').hidden;
  // What somebody has opened or marked stays so.
  const isTouched = document.querySelector('details[open]') || document.getSelection()?.isCollapsed === false;
  if ((isAtTop || (isCoverage && !isTouched)) && document.visibilityState === 'visible') void route();
}, refreshIntervalMs);
void route();
