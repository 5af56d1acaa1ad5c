// Runs the suites named as arguments and ends with their sum: "N passed, N failed[, N skipped]".
// Every number is read off a tool's own summary; a tool that fails without counting counts as one failure.
import { spawn } from 'node:child_process';

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

interface Step {
  name: string;
  command: string[];
  /** Reads the tool's summary; null when it printed none. */
  count: (output: string) => Tally | null;
}

const pass: Tally = { passed: 1, failed: 0, skipped: 0 };

const sumOf = (output: string, pattern: RegExp) =>
  [...output.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);

/** ava: "12 tests passed", "1 test failed", "2 tests skipped", "1 uncaught exception". */
const ava = (output: string): Tally | null => ({
  passed: sumOf(output, /^\s*(\d+) tests? passed/gm),
  failed: sumOf(output, /^\s*(\d+) (?:tests? failed|uncaught exceptions?|unhandled rejections?)/gm),
  skipped: sumOf(output, /^\s*(\d+) tests? skipped/gm),
});

/** cargo test: "test result: ok. 5 passed; 0 failed; 1 ignored; …", once a crate. */
const cargo = (output: string): Tally | null => ({
  passed: sumOf(output, /^test result: .*?(\d+) passed/gm),
  failed: sumOf(output, /^test result: .*? (\d+) failed/gm),
  skipped: sumOf(output, /^test result: .*? (\d+) ignored/gm),
});

/** A tool that says nothing when all is well: one check. */
const silent = () => pass;

const suites: Record<string, Step[]> = {
  check: [
    { name: 'types', command: ['tsc', '--noEmit'], count: silent },
    { name: 'lint', command: ['biome', 'check', '--error-on-warnings', '.'], count: silent },
    { name: 'rustfmt', command: ['cargo', 'fmt', '--check'], count: silent },
    { name: 'clippy', command: ['cargo', 'clippy', '--all-targets', '--', '-D', 'warnings'], count: silent },
    { name: 'rust', command: ['cargo', 'test', '--quiet', '--lib'], count: cargo },
    { name: 'unit', command: ['ava'], count: ava },
  ],
  integration: [
    {
      name: 'integration',
      command: ['ava', '--config', 'test/integration.config.js', '--serial', '--concurrency', '1'],
      count: ava,
    },
    { name: 'demo', command: ['node', 'test/demo/demo.ts'], count: silent },
  ],
  kernels: [{ name: 'kernels', command: ['ava', '--config', 'test/kernels.config.js'], count: ava }],
  'node-vm': [
    {
      name: 'node-vm',
      command: ['ava', '--config', 'test/vm.config.js', '--serial', '--concurrency', '1'],
      count: ava,
    },
  ],
  e2e: [
    {
      name: 'e2e',
      command: ['ava', '--config', 'test/e2e.config.js', '--serial', '--concurrency', '1'],
      count: ava,
    },
  ],
};

async function run(step: Step): Promise<Tally> {
  console.log(`\n── ${step.name}: ${step.command.join(' ')}`);
  const [file = '', ...args] = step.command;
  const started = Date.now();
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      process.stdout.write(text);
    });
  }
  const code = await new Promise<number>((resolve) => {
    child.on('error', (error) => {
      console.log(`${step.name}: ${error.message}`);
      resolve(127);
    });
    child.on('exit', (status) => {
      // What a failed test left running may hold its pipes for ever.
      const letGo = setTimeout(
        () => [child.stdout, child.stderr].forEach((stream) => void stream.destroy()),
        5000,
      );
      child.on('close', () => {
        clearTimeout(letGo);
        resolve(status ?? 1);
      });
    });
  });
  console.log(
    `── ${step.name}: ${code === 0 ? 'ok' : `failed with ${code}`}, ${((Date.now() - started) / 1000).toFixed(1)} s`,
  );
  if (isMissing(step, output)) {
    console.log(`skipped ${step.name}: this Rust has no ${step.name}; rustup's has`);
    return { passed: 0, failed: 0, skipped: 1 };
  }
  const tally = code === 0 || step.count !== silent ? step.count(output) : null;
  if (code !== 0 && (tally === null || tally.failed === 0))
    return { ...(tally ?? { passed: 0, skipped: 0 }), failed: 1 };
  if (tally === null || tally.passed + tally.failed + tally.skipped === 0)
    return { passed: 0, failed: 1, skipped: 0 };
  return tally;
}

/** Debian's cargo comes without clippy and rustfmt. */
const isMissing = (step: Step, output: string) =>
  ['clippy', 'rustfmt'].includes(step.name) && /no such (?:sub)?command/.test(output);

const total: Tally = { passed: 0, failed: 0, skipped: 0 };
for (const suite of process.argv.slice(2)) {
  const steps = suites[suite];
  if (!steps) throw new Error(`no suite '${suite}'. Write one of ${Object.keys(suites).join(', ')}`);
  for (const step of steps) {
    const tally = await run(step);
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
  }
}
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed === 0 ? 0 : 1;
