/** How a build reaches the registries that this machine is told to use. Nothing of it may get into an image. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const caBundle = '/etc/ssl/certs/ca-certificates.crt';
const settings =
  /^(npm_config_(?!userconfig|cache|prefix)\w+|CARGO_(HTTP|NET|REGISTR|SOURCE)\w+|GO(PROXY|SUMDB|NOSUMDB|NOSUMCHECK|PRIVATE|NOPROXY|INSECURE|FLAGS|AUTH)|(https?|all|no)_proxy)$/i;

/**
 * A shell script that a Dockerfile's step runs in itself, as its secret `registries`: this machine's CA certificates,
 * the configuration files of npm, cargo and go, and the environment variables that they read.
 */
export function registriesScript(env: Record<string, string | undefined> = process.env): string {
  const home = homedir();
  const cargo = env.CARGO_HOME ?? join(home, '.cargo');
  const files: [from: string, to: string][] = [
    [env.SSL_CERT_FILE ?? caBundle, caBundle],
    [env.npm_config_userconfig ?? env.NPM_CONFIG_USERCONFIG ?? join(home, '.npmrc'), '"$HOME/.npmrc"'],
    [join(cargo, 'config.toml'), `"\${CARGO_HOME:-$HOME/.cargo}/config.toml"`],
    [join(cargo, 'config'), `"\${CARGO_HOME:-$HOME/.cargo}/config.toml"`],
    [join(cargo, 'credentials.toml'), `"\${CARGO_HOME:-$HOME/.cargo}/credentials.toml"`],
    [join(home, '.config/go/env'), '"$HOME/.config/go/env"'],
    [join(home, '.netrc'), '"$HOME/.netrc"'],
  ];
  const variables = Object.entries(env).filter(([name]) => settings.test(name));
  // Last: the machine's own paths to a bundle are of no use there.
  for (const name of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS', 'CARGO_HTTP_CAINFO', 'npm_config_cafile'])
    variables.push([name, caBundle]);
  return [
    // Docker's own base images have no HOME in a build.
    `export HOME="\${HOME:-/root}"`,
    ...files
      .filter(([from]) => existsSync(from))
      .map(([from, to]) => heredoc(readFileSync(from, 'utf8'), to)),
    ...variables.map(([name, value]) => `export ${name}=${quoted(value ?? '')}`),
    '',
  ].join('\n');
}

/** Folders that every Debian has, so that a mount leaves no trace; a step's apt sees this machine's. */
export function aptFolders(): string[] {
  const folders = ['sources.list.d', 'apt.conf.d', 'auth.conf.d', 'preferences.d', 'trusted.gpg.d'];
  return folders.map((name) => `/etc/apt/${name}`).filter((folder) => existsSync(folder));
}

/** apt's lists of sources on this machine. */
export function aptSources(): string[] {
  const folder = '/etc/apt/sources.list.d';
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return [
    '/etc/apt/sources.list',
    ...names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(folder, name)),
  ].filter((file) => existsSync(file));
}

function heredoc(text: string, to: string): string {
  const body = text.endsWith('\n') ? text : `${text}\n`;
  return `mkdir -p "$(dirname ${to})"\ncat >${to} <<'END-OF-FILE'\n${body}END-OF-FILE`;
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
