// Settings by host and path: which application a request belongs to, and whether it is inspected.
import { compileHostGlob, type HostGlob } from './host.ts';
import { BadPattern, compilePattern, maxTextChars } from './pattern.ts';

export interface RouteConfig {
  host?: string | undefined;
  route?: string | undefined;
  wallarm_application?: number | undefined;
  wallarm_mode?: 'off' | 'monitoring' | 'safe_blocking' | 'block' | undefined;
  routes?: readonly RouteConfig[] | undefined;
}

export interface RouteSettings {
  /** Absent: none was written. */
  application?: number;
  isOff: boolean;
}

// The vendor's number of "no application".
const none = -1;

/**
 * `paths`: pathForms(). It is off only when all of them are, and they are short enough to tell.
 * The application is that of the first.
 */
export function compileRoutes(
  config: Omit<RouteConfig, 'host' | 'route'>,
): (host: string, paths: readonly string[]) => RouteSettings {
  const root = compileRoute(config);
  return (host, paths) => {
    const found = paths.map((path) => settingsOf(root, host, path, { isOff: false }));
    const isOff = found.every(({ isOff }) => isOff) && paths.every(({ length }) => length <= maxTextChars);
    const application = found[0]?.application ?? none;
    return { isOff, ...(application !== none && { application }) };
  };
}

interface Route {
  host?: HostGlob;
  location: Location;
  settings: Partial<RouteSettings>;
  routes: Route[];
}

function compileRoute({
  host,
  route = '',
  wallarm_application,
  wallarm_mode,
  routes = [],
}: RouteConfig): Route {
  return {
    ...(host !== undefined && { host: compileHostGlob(host) }),
    location: compileLocation(route),
    settings: {
      ...(wallarm_application !== undefined && { application: wallarm_application }),
      ...(wallarm_mode !== undefined && { isOff: wallarm_mode === 'off' }),
    },
    routes: routes.map(compileRoute),
  };
}

function settingsOf(
  { settings, routes }: Route,
  host: string,
  path: string,
  outer: RouteSettings,
): RouteSettings {
  const merged = { ...outer, ...settings };
  const inner = bestRoute(routes, host, path);
  return inner ? settingsOf(inner, host, path, merged) : merged;
}

/** The nearest host first, as nginx chooses a server; then the path, as it chooses a location. */
function bestRoute(routes: readonly Route[], host: string, path: string): Route | undefined {
  const matching = routes.filter(
    (route) => (!route.host || route.host.matches(host)) && route.location.matches(path),
  );
  const nearest = Math.max(...matching.map(({ host }) => nearness(host)));
  return bestLocation(matching.filter(({ host }) => nearness(host) === nearest));
}

/** Exact names, then the longest glob, then no host. */
function nearness(host: HostGlob | undefined): number {
  if (!host) return 0;
  return host.isExact ? Number.MAX_SAFE_INTEGER : host.text.length;
}

/** https://nginx.org/en/docs/http/ngx_http_core_module.html#location */
function bestLocation(routes: readonly Route[]): Route | undefined {
  const exact = routes.find(({ location }) => location.kind === 'exact');
  if (exact) return exact;
  const longest = routes
    .filter(({ location }) => location.kind === 'prefix' || location.kind === 'final prefix')
    .reduce<Route | undefined>(
      (best, next) => (best && best.location.length >= next.location.length ? best : next),
      undefined,
    );
  if (longest?.location.kind === 'final prefix') return longest;
  return routes.find(({ location }) => location.kind === 'regex') ?? longest;
}

interface Location {
  kind: 'exact' | 'regex' | 'prefix' | 'final prefix';
  length: number;
  matches(path: string): boolean;
}

/** `=/path`, `~regex`, `~*regex`, `^~/path`, `/path`, with blanks behind the sign or without. Throws BadPattern. */
export function compileLocation(text: string): Location {
  const [, sign = '', place = ''] = text.match(/^(=|~\*|~|\^~)?\s*(.*)$/s) ?? [];
  const { length } = place;
  if (sign === '~' || sign === '~*') {
    const pattern = compilePattern(place, { ignoreCase: sign === '~*' });
    return { kind: 'regex', length, matches: (path) => pattern.finds(path, false) };
  }
  if (text !== '' && !place.startsWith('/')) throw new BadPattern('its path does not begin with /');
  if (sign === '=') return { kind: 'exact', length, matches: (path) => path === place };
  return {
    kind: sign === '^~' ? 'final prefix' : 'prefix',
    length,
    matches: (path) => path.startsWith(place),
  };
}
