// Which requests are inspected, by path and headers.
import type { Header } from '../exchange.ts';
import { valuesOf } from './client.ts';
import { bareHost } from './host.ts';
import { compilePattern, type Pattern } from './pattern.ts';

/** All that is written must match. */
export interface InputFilterConfig {
  path?: string | undefined;
  url?: string | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
}

export interface InputFiltersConfig {
  inspect: readonly InputFilterConfig[];
  bypass: readonly InputFilterConfig[];
}

export interface Filterable {
  paths: readonly string[];
  host: string;
  headers: readonly Header[];
}

export type FilterVerdict = 'inspected' | 'bypassed' | 'not_selected';

/**
 * `bypass` wins over `inspect`; an empty `inspect` selects all. In doubt (a path with two meanings, a value too
 * long to match) a request is inspected: those who write requests would like not to be.
 */
export function compileInputFilters({
  inspect,
  bypass,
}: InputFiltersConfig): (request: Filterable) => FilterVerdict {
  const inspecting = inspect.map(compileFilter);
  const bypassing = bypass.map(compileFilter);
  return (request) => {
    if (bypassing.some((matches) => matches(request, false))) return 'bypassed';
    if (inspecting.length === 0 || inspecting.some((matches) => matches(request, true))) return 'inspected';
    return 'not_selected';
  };
}

type Filter = (request: Filterable, doubt: boolean) => boolean;

function compileFilter({ path, url, headers = {} }: InputFilterConfig): Filter {
  const ofPath = [path, url].flatMap((source) => (source === undefined ? [] : [compilePattern(source)]));
  const ofHeaders = Object.entries(headers).map(([name, source]) => ({
    name,
    pattern: compilePattern(source),
  }));
  return (request, doubt) =>
    ofPath.every((pattern) => findsPath(pattern, request.paths, doubt)) &&
    ofHeaders.every(({ name, pattern }) =>
      headerValues(request, name).some((value) => pattern.finds(value, doubt)),
    );
}

function findsPath(pattern: Pattern, paths: readonly string[], doubt: boolean): boolean {
  const finds = (path: string) => pattern.finds(path, doubt);
  return doubt ? paths.some(finds) : paths.every(finds);
}

function headerValues({ host, headers }: Filterable, name: string): string[] {
  return name.toLowerCase() === 'host' ? [host, bareHost(host)] : valuesOf(headers, name);
}
