// Loads the native addon that `make build` puts beside this file.
import { createRequire } from 'node:module';
import type * as Addon from './index.d.ts';

const addon = createRequire(import.meta.url)('./podmirror.node') as typeof Addon;

export const { Capture, cgroup2Mount } = addon;
export type * from './index.d.ts';
