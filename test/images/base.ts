/** A small Debian as base image, where none can be pulled: what debian:12-slim is, from this machine's own sources. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildImage, hasImage, imagesCache, mmdebstrap, mmdebstrapHooks } from './builder.ts';
import { aptFolders, aptSources } from './registries.ts';

const suite = 'bookworm';
const tag = 'localhost/podmirror-base:12';

/** Makes it when it is not there; takes half a minute. Returns its name for FROM. */
export function baseImage(): string {
  if (hasImage(tag)) return tag;
  const folder = join(imagesCache, 'base');
  mkdirSync(folder, { recursive: true });
  const archive = join(folder, 'base.tar');
  if (!existsSync(archive)) makeArchive(archive);
  const dockerfile = join(folder, 'Dockerfile');
  writeFileSync(dockerfile, 'FROM scratch\nADD base.tar /\nCMD ["bash"]\n');
  buildImage({ dockerfile, context: folder, tag });
  return tag;
}

function makeArchive(archive: string): void {
  const made = `${archive.replace(/\.tar$/, '')}.new.tar`;
  rmSync(made, { force: true });
  const copies = aptFolders().filter((name) => /conf|preferences/.test(name));
  mmdebstrap([
    '--mode=root',
    '--variant=minbase',
    // Without these two it brings a program that merges /usr, and all of Perl for it.
    `--hook-dir=${mmdebstrapHooks('merged-usr')}`,
    '--include=usr-is-merged',
    ...copies.map((name) => `--setup-hook=mkdir -p "$1${name}" && cp -r ${name}/. "$1${name}"`),
    // Whom this machine asks is nobody else's business, and builds see it through mounts.
    ...copies.map((name) => `--customize-hook=find "$1${name}" -type f ! -name '*mmdebstrap*' -delete`),
    '--customize-hook=rm -f "$1"/etc/apt/sources.list.d/* && : >"$1/etc/apt/sources.list"',
    '--customize-hook=find "$1/usr/share/doc" -type f ! -name copyright -delete; rm -rf "$1"/usr/share/man/* "$1"/usr/share/info/* "$1"/usr/share/locale/* "$1"/var/cache/*/* "$1"/var/log/*',
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/info/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-include=/usr/share/doc/*/copyright',
    suite,
    made,
    ...aptSources(),
  ]);
  renameSync(made, archive);
}
