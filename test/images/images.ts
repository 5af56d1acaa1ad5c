/** The images of manifests/images as archives, built once per state of their sources. `node test/images/images.ts` builds them. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { baseImage } from './base.ts';
import { buildImage, exportImage, imagesCache, trimStore } from './builder.ts';
import { registriesScript } from './registries.ts';

export const services = ['agent', 'webhook', 'processor'] as const;
export type Service = (typeof services)[number];

/** Paths of docker-archives. */
export type ImageArchives = Record<Service, string>;

const tree = fileURLToPath(new URL('../..', import.meta.url));
const keptStates = 3;
// Other checkouts of this machine build and use theirs at the same time.
const inUseMs = 3_600_000;

/** What kubelet calls it, after `ctr -n k8s.io images import <archive>`: docker.io/library/podmirror-agent:0.1.0. */
export const imageName = (service: Service): string => `podmirror-${service}:${version()}`;

/**
 * Seconds when the sources are as they were, up to a minute when some changed, four to six minutes from nothing.
 * Needs root, Debian 12 and its registries. Throws `run <program> …` when a step fails; what it printed is on stderr.
 */
export async function buildImages(): Promise<ImageArchives> {
  const folder = join(imagesCache, sourcesHash());
  const archives = Object.fromEntries(
    services.map((service) => [service, join(folder, `podmirror-${service}.tar`)]),
  ) as ImageArchives;
  if (Object.values(archives).every((file) => existsSync(file))) {
    utimesSync(folder, new Date(), new Date());
    return archives;
  }
  trimStore();
  const base = baseImage();
  mkdirSync(folder, { recursive: true });
  const registries = join(imagesCache, `registries-${process.pid}`);
  writeFileSync(registries, registriesScript(), { mode: 0o600 });
  try {
    for (const service of services) {
      const dockerfile = join(tree, 'manifests/images', `${service}.Dockerfile`);
      const tag = imageTag(service);
      buildImage({ dockerfile, context: tree, tag, args: { BASE: base }, secrets: { registries } });
      exportImage(tag, archives[service]);
    }
  } finally {
    rmSync(registries);
  }
  forgetOld();
  return archives;
}

/** Its name in the builder's own store. */
export const imageTag = (service: Service): string => `localhost/${imageName(service)}`;

function version(): string {
  return (JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as { version: string }).version;
}

/** Of everything that .dockerignore lets through, and the Dockerfiles. */
function sourcesHash(): string {
  const allowed = readFileSync(join(tree, '.dockerignore'), 'utf8').match(/(?<=^!).+$/gm) ?? [];
  const hash = createHash('sha256');
  for (const file of ['.dockerignore', 'manifests/images', ...allowed].flatMap((path) => filesUnder(path))) {
    hash.update(
      `${file}\0${createHash('sha256')
        .update(readFileSync(join(tree, file)))
        .digest('hex')}\n`,
    );
  }
  return hash.digest('hex').slice(0, 16);
}

const leftOut = /\.(bench\.ts|node|snap|test\.ts|test\.ts\.md)$|(^|\/)(fake|target)$/;

function filesUnder(path: string): string[] {
  if (leftOut.test(path)) return [];
  const full = join(tree, path);
  if (!statSync(full).isDirectory()) return [path];
  return readdirSync(full)
    .sort()
    .flatMap((name) => filesUnder(relative(tree, join(full, name))));
}

function forgetOld(): void {
  const states = readdirSync(imagesCache)
    .filter((name) => /^[0-9a-f]{16}$/.test(name))
    .map((name) => join(imagesCache, name))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const old of states.slice(keptStates))
    if (Date.now() - statSync(old).mtimeMs > inUseMs) rmSync(old, { recursive: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [service, file] of Object.entries(await buildImages())) {
    const mib = (statSync(file).size / 1024 / 1024).toFixed(0);
    process.stdout.write(`${imageName(service as Service)}\t${mib} MiB\t${file}\n`);
  }
}
