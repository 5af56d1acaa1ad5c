// An API server over real HTTP, as much of it as cluster and controller use, with faults to order.
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Stored {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    [key: string]: unknown;
  };
  [key: string]: unknown;
}

export interface Asked {
  verb: 'get' | 'list' | 'watch' | 'create' | 'patch' | 'update' | 'delete';
  resource: string;
  namespace: string | undefined;
  name: string | undefined;
  path: string;
  query: URLSearchParams;
  headers: http.IncomingHttpHeaders;
  body: unknown;
}

export type Fault =
  | { kind: 'reset' }
  | { kind: 'hang' }
  | { kind: 'slow'; ms: number }
  | { kind: 'status'; code: number; reason?: string; retryAfter?: number }
  /** Half of a JSON text, and then a clean end or a reset. */
  | { kind: 'truncated'; reset: boolean }
  /** The request is carried out, but its answer never arrives. */
  | { kind: 'lost-answer' };

export interface LiveWatch {
  asked: Asked;
  end(): void;
  reset(): void;
  /** Stays open, and nothing comes any more. */
  hang(): void;
  /** Half an event, then a clean end or a reset. */
  truncate(reset: boolean): void;
  error(code: number, reason?: string): void;
  bookmark(): void;
  send(text: string): void;
}

interface Change {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  resource: string;
  object: Stored;
}

export interface FakeApiServer {
  url: string;
  asked: Asked[];
  /** Creates or replaces. */
  put(path: string, object: unknown): Stored;
  get(path: string): Stored | undefined;
  remove(path: string): void;
  /** Watches from before now are answered 410. */
  compact(): void;
  /** The next requests that fit get this instead of their answer. */
  fault(fault: Fault, fits?: (asked: Asked) => boolean, times?: number): void;
  /** No faults any more. */
  heal(): void;
  watches(resource?: string): LiveWatch[];
  /** All connections are cut. */
  cut(): void;
  close(): Promise<void>;
}

export async function startFakeApiServer({
  allows,
}: {
  allows?: (asked: Asked) => boolean;
} = {}): Promise<FakeApiServer> {
  let version = 100;
  let oldest = 0;
  let uids = 0;
  const objects = new Map<string, Stored>();
  const history: Change[] = [];
  const asked: Asked[] = [];
  const faults: { fault: Fault; fits: (asked: Asked) => boolean; left: number }[] = [];
  const live = new Set<LiveWatch & { tell(change: Change): void }>();
  const sockets = new Set<Socket>();

  const keyOf = ({ resource, namespace, name }: Place) => `${resource}|${namespace ?? ''}|${name ?? ''}`;
  const change = (type: Change['type'], resource: string, object: Stored) => {
    const made = { version, type, resource, object };
    history.push(made);
    for (const watch of live) watch.tell(made);
  };
  const store = (place: Place, object: unknown): Stored => {
    const before = objects.get(keyOf(place));
    const given = structuredClone(object) as Stored;
    const body = withoutNulls(given) as Stored;
    version += 1;
    const stored: Stored = {
      ...body,
      metadata: {
        ...body.metadata,
        name: place.name ?? body.metadata.name,
        ...(place.namespace !== undefined && { namespace: place.namespace }),
        uid: before?.metadata.uid ?? body.metadata.uid ?? `uid-${++uids}`,
        resourceVersion: String(version),
      },
    };
    objects.set(keyOf({ ...place, name: stored.metadata.name }), stored);
    change(before ? 'MODIFIED' : 'ADDED', place.resource, stored);
    return stored;
  };
  const drop = (place: Place) => {
    const before = objects.get(keyOf(place));
    if (!before) return;
    objects.delete(keyOf(place));
    version += 1;
    const last = { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } };
    change('DELETED', place.resource, last);
  };

  const listed = ({ resource, namespace }: Place, query: URLSearchParams) =>
    [...objects]
      .filter(([key]) => key.startsWith(`${resource}|`))
      .map(([, object]) => object)
      .filter((object) => fitsSelector(object, namespace, query));

  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => answer(request, response, Buffer.concat(chunks).toString()));
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });

  const say = (response: http.ServerResponse, code: number, body: unknown, headers = {}) => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
  const refuse = (response: http.ServerResponse, code: number, reason: string, retryAfter?: number) => {
    const body = {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      code,
      reason,
      message: `fake: ${reason}`,
    };
    say(response, code, body, retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) });
  };

  const answer = (request: http.IncomingMessage, response: http.ServerResponse, text: string) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    const place = placeOf(url.pathname);
    const verb = verbOf(request.method ?? 'GET', place, url.searchParams);
    const body = text === '' ? undefined : JSON.parse(text);
    const headers = request.headers;
    const one: Asked = { verb, ...place, path: url.pathname, query: url.searchParams, headers, body };
    asked.push(one);
    if (allows && !allows(one)) return refuse(response, 403, 'Forbidden');

    const found = faults.find(({ fits, left }) => left > 0 && fits(one));
    if (found) {
      found.left -= 1;
      const { fault } = found;
      if (fault.kind === 'hang') return;
      if (fault.kind === 'reset') return void request.socket.resetAndDestroy();
      if (fault.kind === 'status') return refuse(response, fault.code, fault.reason ?? '', fault.retryAfter);
      if (fault.kind === 'slow') return void setTimeout(() => carryOut(one, place, response), fault.ms);
      if (fault.kind === 'truncated') {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write('{"type":"ADDED","object":{"metadata":{"na');
        if (fault.reset) return void setTimeout(() => request.socket.resetAndDestroy(), 5);
        return void response.end();
      }
      carryOut(one, place, { writeHead() {}, end() {} } as unknown as http.ServerResponse);
      return void request.socket.resetAndDestroy();
    }
    carryOut(one, place, response);
  };

  const carryOut = (one: Asked, place: Place, response: http.ServerResponse) => {
    const { verb, query, body } = one;
    const before = objects.get(keyOf(place));
    if (verb === 'list') return list(place, query, response);
    if (verb === 'watch') return watch(one, place, response);
    if (verb === 'create') {
      const name = (body as Stored).metadata.name;
      if (objects.has(keyOf({ ...place, name }))) return refuse(response, 409, 'AlreadyExists');
      return say(response, 201, store({ ...place, name }, body));
    }
    if (!before) return refuse(response, 404, 'NotFound');
    if (verb === 'get') return say(response, 200, before);
    if (verb === 'delete') {
      drop(place);
      return say(response, 200, { kind: 'Status', status: 'Success' });
    }
    const wanted = (body as Stored).metadata?.resourceVersion;
    if (wanted !== undefined && wanted !== before.metadata.resourceVersion)
      return refuse(response, 409, 'Conflict');
    const next = verb === 'patch' ? merged(before, body) : body;
    if (isTooLarge(next)) return refuse(response, 422, 'Invalid');
    const stored = store(place, next);
    const metadataOnly = one.headers.accept?.includes('as=PartialObjectMetadata');
    say(response, 200, metadataOnly ? { kind: 'PartialObjectMetadata', metadata: stored.metadata } : stored);
  };

  const list = (place: Place, query: URLSearchParams, response: http.ServerResponse) => {
    const all = listed(place, query);
    const from = Number(query.get('continue') ?? 0);
    const limit = Number(query.get('limit') ?? all.length) || all.length;
    const more = from + limit < all.length;
    const metadata = { resourceVersion: String(version), ...(more && { continue: String(from + limit) }) };
    const items = all.slice(from, from + limit);
    // Go writes null for an empty list.
    say(response, 200, { kind: 'List', metadata, items: items.length === 0 ? null : items });
  };

  const watch = (one: Asked, place: Place, response: http.ServerResponse) => {
    const { query } = one;
    const from = Number(query.get('resourceVersion'));
    if (from < oldest) return refuse(response, 410, 'Expired');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    let silent = false;
    const send = (text: string) => {
      if (!silent) response.write(text);
    };
    const event = (type: string, object: unknown) => send(`${JSON.stringify({ type, object })}\n`);
    const leave = () => {
      live.delete(self);
      clearTimeout(timer);
    };
    const self = {
      asked: one,
      tell({ type, resource, object }: Change) {
        if (resource === place.resource && fitsSelector(object, place.namespace, query)) event(type, object);
      },
      end() {
        leave();
        response.end();
      },
      reset() {
        leave();
        response.socket?.resetAndDestroy();
      },
      hang() {
        silent = true;
        clearTimeout(timer);
      },
      truncate(reset: boolean) {
        send('{"type":"MODIFIED","object":{"metad');
        if (reset) setTimeout(self.reset, 5);
        else self.end();
      },
      error(code: number, reason = '') {
        event('ERROR', { kind: 'Status', status: 'Failure', code, reason, message: `fake ${code}` });
        self.end();
      },
      bookmark: () => event('BOOKMARK', { metadata: { resourceVersion: String(version) } }),
      send,
    };
    const timer = setTimeout(() => self.end(), Number(query.get('timeoutSeconds') ?? 300) * 1000);
    response.on('close', leave);
    live.add(self);
    for (const past of history) if (past.version > from) self.tell(past);
  };

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    put: (path, object) => store(placeOf(path), object),
    get: (path) => objects.get(keyOf(placeOf(path))),
    remove: (path) => drop(placeOf(path)),
    compact() {
      oldest = version;
    },
    fault: (fault, fits = () => true, times = 1) => void faults.push({ fault, fits, left: times }),
    heal: () => void faults.splice(0),
    watches: (resource) => [...live].filter(({ asked }) => !resource || asked.resource === resource),
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Place {
  resource: string;
  namespace: string | undefined;
  name: string | undefined;
}

function placeOf(path: string): Place {
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  if (rest[0] === 'namespaces' && rest.length > 2) {
    return { resource: rest[2] as string, namespace: rest[1], name: rest[3] };
  }
  return { resource: rest[0] ?? '', namespace: undefined, name: rest[1] };
}

function verbOf(method: string, { name }: Place, query: URLSearchParams): Asked['verb'] {
  if (method === 'POST') return 'create';
  if (method === 'PUT') return 'update';
  if (method === 'PATCH') return 'patch';
  if (method === 'DELETE') return 'delete';
  if (query.get('watch')) return 'watch';
  return name === undefined ? 'list' : 'get';
}

function fitsSelector({ metadata }: Stored, namespace: string | undefined, query: URLSearchParams): boolean {
  const name = /^metadata\.name=(.*)$/.exec(query.get('fieldSelector') ?? '')?.[1];
  return (namespace === undefined || metadata.namespace === namespace) && (!name || metadata.name === name);
}

/** ConfigMaps hold 1 MiB of values. */
function isTooLarge(object: unknown): boolean {
  const { data = {} } = object as { data?: Record<string, unknown> };
  return (
    Object.values(data).reduce((sum: number, value) => sum + Buffer.byteLength(String(value)), 0) > 1 << 20
  );
}

/** JSON merge patch, RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const before = typeof target === 'object' && target !== null ? (target as Record<string, unknown>) : {};
  const result: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

const withoutNulls = (object: unknown): unknown => merged({}, object);

/** A pod as the API server keeps one, with much that nobody here reads. */
export function podObject({
  namespace = 'shop',
  name,
  labels = {},
  annotations = {},
  containers = ['web'],
  ephemeralContainers = [],
  phase = 'Running',
  owner,
}: {
  namespace?: string;
  name: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  containers?: string[];
  ephemeralContainers?: string[];
  phase?: string;
  owner?: { apiVersion: string; kind: string; name: string; uid: string };
}) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels,
      annotations,
      ...(owner && { ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }] }),
    },
    spec: {
      containers: containers.map((container) => ({
        name: container,
        image: `registry.invalid/${container}:1`,
      })),
      ...(ephemeralContainers.length > 0 && {
        ephemeralContainers: ephemeralContainers.map((name) => ({ name })),
      }),
      nodeName: 'node-1',
      restartPolicy: 'Always',
    },
    status: { phase, podIP: '10.0.0.1', conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

export const namespaceObject = (name: string, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
});

export const configMapObject = (name: string, data: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});
