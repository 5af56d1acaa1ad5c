// The coverage view: agents, and of one its targets. Names and sentences come from what runs on the nodes: they go in as text.
import {
  accountText,
  amount,
  connectionKinds,
  duration,
  groupProcesses,
  heardText,
  loggedText,
  notesOf,
  pidsText,
  plural,
  probeVerdict,
  shortBuildId,
  sum,
  tlsText,
  verdictOf,
  worstFirst,
} from './coverage-text.js';
import { make, text } from './elements.js';

/** One of several agents. */
export function agentCard(agent) {
  const { id, summary } = agent;
  return make(
    'article',
    { class: agent.silent ? 'card coverage silent' : 'card coverage' },
    make(
      'div',
      { class: 'row' },
      make('h3', {}, make('a', { href: `#/coverage/${id}` }, ...text(agent.node))),
      heardBadge(agent),
    ),
    make('p', { class: 'quiet' }, ...whoText(agent)),
    tiles(tile(amount(summary.targets), summary.targets === 1 ? 'target' : 'targets'), ...sumTiles(summary)),
    ...notCoveredBox(summary.notCovered),
    ...noteList(accountNotes(summary)),
  );
}

/** All that is known of one agent, with what is not read before what is. */
export function agentView(agent) {
  const { summary, targets, refused, notes, atMs, heardMsAgo } = agent;
  // By its own clock: ours may go otherwise.
  const nowMs = atMs + heardMsAgo;
  return make(
    'div',
    agent.silent ? { class: 'silent' } : {},
    make(
      'div',
      { class: 'row' },
      make('h2', { tabindex: '-1', id: 'agent-title' }, ...text(agent.node)),
      heardBadge(agent),
    ),
    make('p', { class: 'quiet' }, ...whoText(agent)),
    ...noteList([...notes, ...accountNotes({ ...summary, notes: [] })]),
    ...(targets.length === 0
      ? [noTargets()]
      : worstFirst(targets).map((target) => targetCard(target, nowMs))),
    ...(refused.length === 0 ? [] : [refusedList(refused)]),
  );
}

const whoText = ({ agentVersion, client, summary }) => [
  `podmirror agent ${agentVersion}`,
  ...(client === '' ? [] : [' · certificate of ', ...text(client)]),
  ` · ${plural(summary.exchanges.captured, 'exchange')}: ${accountText(summary.exchanges)}`,
];

const badge = (kind, words) => make('span', { class: `badge ${kind}` }, words);
const heardBadge = (agent) => badge(agent.silent ? 'bad' : 'good', heardText(agent));

const tiles = (...children) => make('div', { class: 'tiles' }, ...children);
const tile = (value, detail) =>
  make('div', { class: 'tile' }, make('strong', {}, value), make('span', { class: 'quiet' }, detail));

/** Of an agent, or of a target. */
function sumTiles({ connections, tls }) {
  const { value, detail } = tlsText(tls);
  const shown = connectionKinds(connections).map(([kind, count]) => `${amount(count)} ${kind}`);
  return [
    tile(amount(sum(connections)), shown.length === 0 ? 'connections' : `connections: ${shown.join(', ')}`),
    tile(value, detail),
  ];
}

/** What is missing from an agent's account, beside the sentences it has itself. */
const accountNotes = ({ notes, lostBytes, ledgerCloses }) => [
  ...notes,
  ...(sum(lostBytes) > 0
    ? [
        `${amount(sum(lostBytes))} bytes were lost on their way out of the kernel (${Object.keys(lostBytes)
          .filter((reason) => lostBytes[reason] > 0)
          .map((reason) => reason.replaceAll('_', ' '))
          .join(', ')})`,
      ]
    : []),
  ...(ledgerCloses ? [] : ["its ledger does not close: that is a bug, please report the agent's /ledger"]),
];

const noteList = (notes) =>
  notes.length === 0
    ? []
    : [make('ul', { class: 'notes' }, ...notes.map((note) => make('li', {}, ...text(note))))];

/** `notCovered`: of an agent with the target that has it, of a target without. */
function notCoveredBox(notCovered) {
  if (notCovered.length === 0) return [];
  const items = notCovered.map(({ library, executable, why, target }) =>
    make(
      'li',
      {},
      make('strong', {}, ...text(library)),
      ' in ',
      make('span', { class: 'code' }, ...text(executable)),
      ...(target === undefined ? [] : [' of ', ...text(target)]),
      ': ',
      ...text(why),
    ),
  );
  return [make('div', { class: 'uncovered' }, make('h4', {}, 'Not covered'), make('ul', {}, ...items))];
}

function targetCard(target, nowMs) {
  const { identity, cgroup, because, exchanges, lastExchangeAtMs, tls, notCovered } = target;
  const [kind, words] = verdictOf(target);
  const last = lastExchangeAtMs === null ? '' : `, the last ${duration(nowMs - lastExchangeAtMs)} ago`;
  return make(
    'article',
    { class: 'card coverage' },
    make('div', { class: 'row' }, make('h3', {}, ...text(targetName(identity))), badge(kind, words)),
    make('p', { class: 'quiet code' }, ...text(cgroup)),
    ...(because ? [make('p', { class: 'quiet' }, 'Mirrored: ', ...text(because))] : []),
    tiles(
      tile(amount(exchanges), `${exchanges === 1 ? 'exchange' : 'exchanges'}${last}`),
      ...sumTiles(target),
    ),
    ...notCoveredBox(notCovered),
    ...noteList(notesOf(target)),
    ...(tls.calls.length === 0
      ? []
      : [
          make(
            'p',
            { class: 'quiet' },
            'Probes on reads and writes stand in ',
            ...text(tls.calls.join(', ')),
          ),
        ]),
    ...(tls.processes.length === 0 ? [] : [processTable(groupProcesses(tls.processes))]),
  );
}

const targetName = ({ name, namespace, pod, container }) =>
  pod === undefined ? name : [`${namespace}/${pod}`, container].filter(Boolean).join(' · ');

function processTable(groups) {
  const columns = ['Process', 'TLS library', 'Version', 'Build id', 'Probe'];
  return make(
    'div',
    { class: 'scroll' },
    make(
      'table',
      { class: 'stacked' },
      make('thead', {}, make('tr', {}, ...columns.map((name) => make('th', {}, name)))),
      make('tbody', {}, ...groups.map((group) => processRow(group, columns))),
    ),
  );
}

function processRow(group, columns) {
  const { executable, library, version, buildId, probe, pids } = group;
  const [kind, words] = probeVerdict(group);
  const logged = group.attached ? [make('span', { class: 'quiet' }, ` · ${loggedText(group)}`)] : [];
  const where = library === executable ? 'inside the executable' : library;
  const cells = [
    [
      make('span', { class: 'code' }, ...text(executable)),
      make('span', { class: 'quiet nowrap', title: `pid ${pids.join(', ')}` }, ` ${pidsText(group)}`),
    ],
    where && [make('span', { class: 'code' }, ...text(where))],
    version && text(version),
    buildId && [make('span', { class: 'code nowrap', title: buildId }, ...text(shortBuildId(buildId)))],
    [badge(kind, words), ' ', ...text(probe), ...logged],
  ];
  return make('tr', {}, ...cells.map((children, index) => processCell(columns[index], children)));
}

/** Beside its column's name where there is no room for a row of them. */
const processCell = (column, children) =>
  make(
    'td',
    { 'data-column': column, ...(!children && { class: 'nothing' }) },
    make('div', {}, ...(children || ['–'])),
  );

function noTargets() {
  const advice =
    'It mirrors nothing now. On one machine, its targets: name what to mirror; in a cluster, a label, an annotation or a filter does:';
  return make(
    'div',
    { class: 'card empty' },
    make('h3', {}, 'No target'),
    make('p', {}, advice),
    make('pre', {}, make('code', {}, 'kubectl label namespace shop wallarm-mirror=enabled')),
  );
}

function refusedList(refused) {
  const items = refused.map(({ namespace, pod, container, because }) =>
    make(
      'li',
      {},
      make(
        'span',
        { class: 'code' },
        ...text([`${namespace}/${pod}`, container].filter(Boolean).join(' · ')),
      ),
      ': ',
      ...text(because),
    ),
  );
  return make(
    'details',
    { class: 'card coverage' },
    make('summary', {}, `Not mirrored: ${amount(refused.length)}`),
    make('ul', {}, ...items),
  );
}
