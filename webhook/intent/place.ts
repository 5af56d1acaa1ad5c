// A value of a document that is read, with its path.
import { type Problem, renderPath } from './problem.ts';

/** A value at its place. */
export interface Place {
  value: unknown;
  path: PropertyKey[];
  problems: Problem[];
}

export function refuse({ path, problems }: Place, wrong: string, instead: string): undefined {
  problems.push({ where: renderPath(path), wrong, instead });
}

export function below({ value, path, problems }: Place, step: PropertyKey): Place {
  const has = value !== null && typeof value === 'object' && Object.hasOwn(value, step);
  return {
    value: has ? (value as Record<PropertyKey, unknown>)[step] : undefined,
    path: [...path, step],
    problems,
  };
}

export type Block = Record<string, unknown>;

export function isBlock(value: unknown): value is Block {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
