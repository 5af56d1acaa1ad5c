/** Container images of one layer, packed from this machine's files as docker-archives; nothing is pulled. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

export interface ImageRecipe {
  /** With a tag other than `latest`, which Kubernetes would pull. */
  name: string;
  entrypoint: readonly string[];
  /** Of this machine, at the same path in the image, with the libraries that they load. */
  programs?: readonly string[];
  /** Path in the image → file or folder of this machine. */
  files?: Readonly<Record<string, string>>;
  /** Path in the image → text. */
  texts?: Readonly<Record<string, string>>;
  folders?: readonly string[];
}

const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'podmirror/cluster-images');

// Enough for programs that ask who they are.
const TEXTS = {
  '/etc/passwd':
    'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n',
  '/etc/group': 'root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n',
};
// As on Debian: one folder by two names.
const LINKS = ['bin', 'lib', 'lib64', 'sbin'];
const FOLDERS = ['/dev', '/etc', '/proc', '/run', '/sys', '/tmp', '/var'];

/** Path of the tar; the one of an earlier run when nothing that went into it has changed. */
export function packImage(recipe: ImageRecipe): string {
  const files = filesOf(recipe);
  const facts = [...files].map(([path, source]) => [path, ...stateOf(source)]);
  const hash = createHash('sha256').update(JSON.stringify([recipe, TEXTS, FOLDERS, LINKS, facts]));
  const short = recipe.name.replaceAll(/[^a-z0-9.]+/g, '-');
  const tar = join(CACHE, `${short}-${hash.digest('hex').slice(0, 12)}.tar`);
  if (existsSync(tar)) return tar;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'pack-'));
  try {
    writeRoot(join(work, 'root'), recipe, files);
    renameSync(writeArchive(work, recipe), tar);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return tar;
}

function filesOf({ programs = [], files = {} }: ImageRecipe): Map<string, string> {
  const paths = programs.length > 0 ? [...programs, ...librariesOf(programs)] : [];
  return new Map([...Object.entries(files), ...paths.map((path): [string, string] => [path, path])]);
}

function librariesOf(programs: readonly string[]): string[] {
  // It fails where one is a script or linked statically, and goes on with the next.
  const { stdout, stderr, error } = spawnSync('ldd', programs, { encoding: 'utf8' });
  if (error) throw new Error(`ldd: ${error.message}`, { cause: error });
  const missing = /No such file.*|.* => not found/.exec(stderr + stdout);
  if (missing) throw new Error(`ldd: ${missing[0].trim()}. make cluster installs what an image takes`);
  return [...stdout.matchAll(/(?:=> |^\s+)(\/[^\s:]+) \(/gm)].map(([, path = '']) => path);
}

function stateOf(source: string): [string, number, number] {
  const real = realpathSync(source);
  const { size, mtimeMs } = statSync(real);
  return [real, size, mtimeMs];
}

function writeRoot(
  root: string,
  { texts = {}, folders = [] }: ImageRecipe,
  files: Map<string, string>,
): void {
  for (const name of LINKS) {
    mkdirSync(join(root, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(root, name));
  }
  for (const folder of [...FOLDERS, ...folders]) mkdirSync(join(root, folder), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
  for (const [path, text] of Object.entries({ ...TEXTS, ...texts })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  for (const [path, source] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(realpathSync(source), join(root, path), { recursive: true, dereference: true });
  }
}

/** Docker's format, version 1.2: manifest.json, the image's configuration, its layers. */
function writeArchive(work: string, { name, entrypoint }: ImageRecipe): string {
  const exact = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  execFileSync('tar', [...exact, '-C', join(work, 'root'), '-cf', join(work, 'layer.tar'), '.']);
  const digest = createHash('sha256')
    .update(readFileSync(join(work, 'layer.tar')))
    .digest('hex');
  const created = '1970-01-01T00:00:00Z';
  const configuration = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created,
    config: {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Entrypoint: entrypoint,
      WorkingDir: '/',
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
    history: [{ created }],
  };
  writeFileSync(join(work, 'config.json'), JSON.stringify(configuration));
  const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }];
  writeFileSync(join(work, 'manifest.json'), JSON.stringify(manifest));
  execFileSync('tar', [
    '-C',
    work,
    '-cf',
    join(work, 'image.tar'),
    'manifest.json',
    'config.json',
    'layer.tar',
  ]);
  return join(work, 'image.tar');
}
