import test from 'ava';
import { runInImage } from '../images/builder.ts';
import { buildImages, imageTag, type Service, services } from '../images/images.ts';

test.before('the images are built', async (t) => {
  t.timeout(900_000);
  await buildImages();
});

const shell = (service: Service, script: string) => runInImage(imageTag(service), ['sh', '-c', script]);

const started: [service: Service, command: string, says: RegExp][] = [
  ['agent', 'node --max-semi-space-size=1 agent/main.ts --version', /^\d+\.\d+\.\d+\n$/],
  ['webhook', 'node webhook/main.ts --version', /^\d+\.\d+\.\d+\n$/],
  ['processor', 'node processor/main.ts --help', /^Usage: /],
];

for (const [service, command, says] of started) {
  test.serial(`${service}: its program starts`, (t) => {
    t.regex(shell(service, command), says);
  });
}

test.serial("agent: the addon finds its libraries and this machine's cgroups", (t) => {
  const script = `node --input-type=module -e 'import("/app/bpf/addon.ts").then(({ Capture }) => console.log(typeof Capture))'`;
  t.is(shell('agent', script), 'function\n');
});

test.serial('processor: a request for /etc/passwd is an attack, by the rules that the image brings', (t) => {
  const script = `
    import { mkdtempSync } from 'node:fs';
    import { assembleRules } from '/app/processor/rules/folder.ts';
    import { loadInspector } from '/app/processor/modsecurity/modsecurity.ts';
    const crsFolder = process.env.PODMIRROR_PROCESSOR_INSPECTION_CRS_FOLDER;
    const rules = assembleRules({ crsFolder, folder: mkdtempSync('/tmp/rules-'), paranoia: 1, threshold: 5 });
    const bytes = (text) => new TextEncoder().encode(text);
    const headers = [{ name: bytes('Host'), value: bytes('shop') }];
    const matches = loadInspector(rules).inspect({
      clientAddress: '192.0.2.1', clientPort: 40000, serverAddress: '192.0.2.2', serverPort: 80,
      method: bytes('GET'), target: bytes('/?file=/etc/passwd'), version: '1.1', headers, body: bytes(''), responseHeaders: [],
    });
    console.log(matches.map(({ id }) => id).join());
  `;
  t.regex(runInImage(imageTag('processor'), ['node', '--input-type=module', '--eval', script]), /\b930120\b/);
});

for (const service of services) {
  test.serial(`${service}: no compiler, no package manager of a language, no test, no source map`, (t) => {
    const tools = shell(
      service,
      'for tool in cc gcc g++ ld clang cargo rustc go npm make; do command -v $tool || :; done',
    );
    t.is(tools, '');
    const files = shell(
      service,
      "find /app /usr/local -name '*.map' -o -name '*.test.*' -o -name '*.bench.*' -o -name fake -o -name '*.rs' -o -name Cargo.toml",
    );
    t.is(files, '');
  });

  test.serial(`${service}: nothing tells which registries made it`, (t) => {
    const traces = [
      '/root/.npmrc',
      '/root/.cargo',
      '/root/.config',
      '/run/secrets',
      '/etc/apt/sources.list.d/*',
      '/etc/apt/auth.conf.d/*',
    ];
    t.is(runInImage(imageTag(service), ['sh', '-c', `ls -d ${traces.join(' ')} 2>/dev/null || :`]), '');
  });
}

test.serial('only the agent has the capture addon, only the processor that of ModSecurity', (t) => {
  const addons = services.map((service) => shell(service, "find /app -name '*.node'"));
  t.deepEqual(addons, ['/app/bpf/podmirror.node\n', '', '/app/processor/modsecurity/modsecurity.node\n']);
});

const users: [Service, string][] = [
  ['agent', '0'],
  ['webhook', '65532'],
  ['processor', '65532'],
];
for (const [service, uid] of users) {
  test.serial(`${service}: runs as user ${uid} and may change nothing of its own`, (t) => {
    t.is(shell(service, 'id -u').trim(), uid);
    if (uid !== '0') t.is(shell(service, 'find /app /usr/local -writable ! -type l'), '');
  });

  test.serial(`${service}: types were stripped when it was built, for the user that it runs as`, (t) => {
    t.regex(shell(service, 'ls /app/.compiled'), new RegExp(`^v24\\S*-${uid}\n$`));
  });
}
