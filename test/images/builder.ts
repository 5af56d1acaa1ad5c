/** Builds images without a daemon: Debian's buildah and mmdebstrap, unpacked into the cache and not installed. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { aptFolders } from './registries.ts';

/** Everything of this folder can be made again. */
export const imagesCache = join(
  process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
  'podmirror',
  'images',
);

const store = join(imagesCache, 'store');
const tools = join(imagesCache, 'tools');
const scratch = join(imagesCache, 'tmp');
const policy = join(imagesCache, 'policy.json');

// Layers and cache mounts of many sources add up; from nothing it takes five minutes again.
const maxStoreKiB = 16 * 1024 * 1024;

export interface Build {
  dockerfile: string;
  /** The folder that COPY sees. */
  context: string;
  tag: string;
  args?: Record<string, string>;
  /** Id and file. */
  secrets?: Record<string, string>;
}

/** What it prints goes to this process' stderr. Throws `<program> failed with <status>`. */
export function buildImage({ dockerfile, context, tag, args = {}, secrets = {} }: Build): void {
  buildah([
    'build',
    // Root is all that it takes: no namespaces of a user's, no OCI runtime, which would want CAP_SYS_RESOURCE.
    '--isolation=chroot',
    '--network=host',
    '--layers',
    `--file=${dockerfile}`,
    `--tag=${tag}`,
    ...Object.entries(args).map(([name, value]) => `--build-arg=${name}=${value}`),
    ...Object.entries(secrets).map(([id, file]) => `--secret=id=${id},src=${file}`),
    // apt in the build asks whom apt asks here, and nothing of that gets into an image.
    ...aptFolders().map((folder) => `--volume=${folder}:${folder}:ro`),
    context,
  ]);
}

/** A docker-archive that `ctr images import` takes. */
export function exportImage(tag: string, file: string): void {
  const name = tag.replace(/^localhost\//, '');
  rmSync(`${file}.new`, { force: true });
  buildah(['push', '--quiet', tag, `docker-archive:${file}.new:${name}`]);
  renameSync(`${file}.new`, file);
}

/** Written behind the output: once in some hundred runs buildah has ended well and handed nothing on. */
const END = 'the-end';

/** A container of the image, and a command in it, in a chroot; what it wrote is returned. For a look, not for service. */
export function runInImage(tag: string, command: readonly string[], mounts: readonly string[] = []): string {
  const container = buildah(['from', '--pull-never', tag], 'pipe').trim();
  try {
    const volumes = mounts.map((mount) => `--volume=${mount}`);
    const whole = ['sh', '-c', `"$@" && printf ${END}`, 'sh', ...command];
    for (let attempt = 1; ; attempt++) {
      const output = buildah(['run', '--isolation=chroot', ...volumes, container, '--', ...whole], 'pipe');
      if (output.endsWith(END)) return output.slice(0, -END.length);
      if (attempt === 3) throw new Error(`run ${command[0]} in ${tag}: its output was lost ${attempt} times`);
    }
  } finally {
    buildah(['rm', container], 'pipe');
  }
}

export function hasImage(tag: string): boolean {
  return buildah(['images', '--quiet', '--filter', `reference=${tag}`], 'pipe').trim() !== '';
}

/** Forgets layers when they have become too many. */
export function trimStore(): void {
  if (!existsSync(store)) return;
  const kib = Number.parseInt(run('du', ['-sk', imagesCache], {}, 'pipe'), 10);
  if (kib > maxStoreKiB) for (const folder of [store, scratch]) rmSync(folder, { recursive: true });
}

export function mmdebstrap(args: readonly string[]): void {
  run('mmdebstrap', args, { PATH: `${join(toolsFolder(), 'usr/bin')}:${process.env.PATH}` });
}

/** One of the folders with hooks that it brings. */
export const mmdebstrapHooks = (name: string): string =>
  join(toolsFolder(), 'usr/share/mmdebstrap/hooks', name);

function buildah(args: readonly string[], stdout: 'inherit' | 'pipe' = 'inherit'): string {
  const root = toolsFolder();
  mkdirSync(scratch, { recursive: true });
  writeFileSync(policy, '{"default": [{"type": "insecureAcceptAnything"}]}\n');
  const libraries = `/usr/lib/${multiarch()}`;
  // buildah starts itself again without LD_LIBRARY_PATH, so its libraries must be where the linker looks: laid over
  // the machine's, in a mount namespace that only it sees.
  const script = `mount -t overlay podmirror -o "lowerdir=$0$1:$1" "$1" && root=$0 && shift && exec "$root/usr/bin/buildah" "$@"`;
  const wanted = ['build', 'push', 'from'].includes(args[0] ?? '') ? [`--signature-policy=${policy}`] : [];
  const [command = '', ...rest] = args;
  const global = [
    `--storage-driver=${storageDriver()}`,
    `--root=${join(store, 'layers')}`,
    `--runroot=${join(store, 'run')}`,
  ];
  return run(
    'unshare',
    [
      '--mount',
      '--propagation=private',
      'sh',
      '-c',
      script,
      root,
      libraries,
      ...global,
      command,
      ...wanted,
      ...rest,
    ],
    { TMPDIR: scratch, BUILDAH_ISOLATION: 'chroot' },
    stdout,
  );
}

/** overlayfs cannot lie upon itself, as it would in a container. */
function storageDriver(): string {
  mkdirSync(store, { recursive: true });
  return run('stat', ['-f', '-c', '%T', store], {}, 'pipe').trim() === 'overlayfs' ? 'vfs' : 'overlay';
}

const multiarch = () => run('dpkg-architecture', ['-qDEB_HOST_MULTIARCH'], {}, 'pipe').trim();

/** The packages that this machine lacks for the two programs, unpacked. */
function toolsFolder(): string {
  const root = join(tools, 'root');
  if (existsSync(root)) return root;
  rmSync(tools, { recursive: true, force: true });
  const archives = join(tools, 'archives');
  mkdirSync(join(archives, 'partial'), { recursive: true });
  const options = ['--yes', '--quiet', '--download-only', '--no-install-recommends', '--reinstall'];
  run('apt-get', [
    'install',
    ...options,
    `--option=Dir::Cache::archives=${archives}`,
    'buildah',
    'mmdebstrap',
  ]);
  const packages = readdirSync(archives).filter((name) => name.endsWith('.deb'));
  for (const name of packages) run('dpkg', ['--extract', join(archives, name), join(tools, 'new')]);
  rmSync(archives, { recursive: true });
  renameSync(join(tools, 'new'), root);
  return root;
}

function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
  stdout: 'inherit' | 'pipe' = 'inherit',
): string {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    stdio: ['ignore', stdout === 'pipe' ? 'pipe' : process.stderr.fd, process.stderr.fd],
    env: { ...process.env, ...env },
  });
  if (result.error) throw new Error(`run ${command}: ${result.error.message}`, { cause: result.error });
  if (result.status !== 0) {
    throw new Error(
      `run ${command} ${args.at(-1)}: it failed with ${result.status ?? result.signal}; see above`,
    );
  }
  return result.stdout ?? '';
}
