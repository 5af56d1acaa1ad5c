// What the coverage view says, as text and numbers. Pure: no element is made here.

const kinds = {
  http1: 'HTTP/1',
  tls: 'TLS',
  http2: 'HTTP/2',
  proxy: 'with a PROXY header',
  other: 'of something else',
  client_side: 'made by the target itself',
  joined_late: 'older than the agent',
};

const number = new Intl.NumberFormat('en');
export const amount = (count) => number.format(count);
export const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** "1 target", "2 targets". */
export const plural = (count, noun) => `${amount(count)} ${noun}${count === 1 ? '' : 's'}`;

/** "12 s", "4 min", "3 h", "2 days". */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export const heardText = ({ silent, heardMsAgo }) =>
  silent ? `last heard ${duration(heardMsAgo)} ago` : `heard ${duration(heardMsAgo)} ago`;

/** `[kind, count]` of those that there were, most first. */
export const connectionKinds = (connections) =>
  Object.entries(connections)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => [kinds[kind] ?? kind.replaceAll('_', ' '), count]);

/** "9 delivered, 2 dropped (queue full 2), 1 on the way". */
export function accountText({ delivered, dropped, inFlight }) {
  const reasons = Object.entries(dropped).filter(([, count]) => count > 0);
  const why = reasons.map(([reason, count]) => `${reason.replaceAll('_', ' ')} ${amount(count)}`).join(', ');
  const lost = reasons.length === 0 ? '' : `, ${amount(sum(dropped))} dropped (${why})`;
  return `${amount(delivered)} delivered${lost}${inFlight > 0 ? `, ${amount(inFlight)} on the way` : ''}`;
}

/** Of connections that began with a handshake while the agent looked. */
export function tlsText({ handshakes, decrypted, called, dark }) {
  if (handshakes === 0 && sum(dark) === 0) return { value: 'none', detail: 'no TLS connection yet' };
  const byCalls = sum(called) > 0 ? `, ${amount(sum(called))} read by calls` : '';
  const notRead = sum(dark) > 0 ? `, ${amount(sum(dark))} dark` : '';
  return {
    value: `${amount(decrypted)} of ${amount(handshakes)}`,
    detail: `TLS connections decrypted${byCalls}${notRead}`,
  };
}

/** What a target's connections come to, for its badge: `good`, `bad` or `none`. */
export function verdictOf({ exchanges, connections, tls, notes, notCovered }) {
  if (sum(tls.dark) > 0) return ['bad', 'not all of it is read'];
  if (notCovered.length > 0) return ['bad', 'not all of it can be read'];
  if (exchanges === 0 && sum(connections) === 0) return ['none', 'nothing seen yet'];
  return notes.length > 0 ? ['bad', 'see notes'] : ['good', 'all of it is read'];
}

const verdicts = ['bad', 'none', 'good'];

export const worstFirst = (targets) => {
  const rank = (target) => verdicts.indexOf(verdictOf(target)[0]);
  return targets.toSorted((a, b) => rank(a) - rank(b));
};

/** Notes of a target, with the reasons for dark connections that they do not tell. */
export function notesOf({ notes, tls }) {
  const dark = Object.entries(tls.dark).map(
    ([why, count]) => `${count} TLS connections are not read: ${why}`,
  );
  return [...notes, ...dark.filter((note) => !notes.includes(note))];
}

/** Processes that say the same of themselves, as one with all their pids; those that are not read first, those without a library last. */
export function groupProcesses(processes) {
  const groups = new Map();
  // The proof says what `armed` does, and more.
  for (const { pid, secrets, verified = 0, armed: _, ...program } of processes) {
    const key = JSON.stringify(program);
    const group = groups.get(key) ?? { ...program, pids: [], secrets: 0, verified: 0 };
    // A process is in the list once for each of its libraries.
    if (!group.pids.includes(pid)) group.pids.push(pid);
    group.secrets += secrets;
    group.verified += verified;
    groups.set(key, group);
  }
  const rank = ({ library, attached, proof }) =>
    attached && !isVain(proof) ? 1 : library === undefined ? 2 : 0;
  return [...groups.values()].sort((a, b) => rank(a) - rank(b));
}

/** Of probes that stand and give nothing. */
const vain = { unarmed: 'not in place', contradicted: 'logs nothing' };
const isVain = (proof) => Object.hasOwn(vain, proof ?? '');

/** Of a group of processes: `[kind, words]` of its badge. */
export function probeVerdict({ attached, library, proof }) {
  if (!attached) return library === undefined ? ['none', 'none'] : ['bad', 'not read'];
  if (isVain(proof)) return ['bad', vain[proof]];
  return ['good', proof === 'proven' ? 'proven' : 'read'];
}

/** "3 secrets logged, 2 connections verified" */
export function loggedText({ secrets, verified }) {
  const logged = `${plural(secrets, 'secret')} logged`;
  return verified === 0 ? logged : `${logged}, ${plural(verified, 'connection')} verified`;
}

/** "pid 7", "4 processes". */
export const pidsText = ({ pids }) => (pids.length === 1 ? `pid ${pids[0]}` : `${pids.length} processes`);

export const shortBuildId = (buildId) => (buildId.length > 12 ? `${buildId.slice(0, 12)}…` : buildId);
