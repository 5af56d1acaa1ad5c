// Why the agent does not start: one message for a person and an exit code of sysexits.h.
import type { CaptureErrorCode } from '../bpf/index.d.ts';

export const exitCodes = {
  /** EX_USAGE: the command line. */
  usage: 64,
  /** EX_UNAVAILABLE: this machine lacks something. */
  unavailable: 69,
  /** EX_SOFTWARE: our bug. */
  software: 70,
  /** EX_IOERR: stdout of --print. */
  output: 74,
  /** EX_CONFIG: podmirror.yaml, certificates, ports. Starting again does not help. */
  config: 78,
} as const;

export class Refusal extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Refusal';
    this.exitCode = exitCode;
  }
}

const causes: Record<CaptureErrorCode, string | undefined> = {
  NO_BTF: 'this kernel brings no type information (BTF)',
  NO_CAPABILITY: 'this process may not load BPF programs',
  NO_CGROUP2: 'no cgroup2 is mounted',
  KERNEL_FEATURE: 'this kernel lacks something',
  BAD_OPTION: 'limits in the configuration',
  NOT_FOUND: undefined,
  CLOSED: undefined,
  INTERNAL: undefined,
};

/** An error of the addon as a refusal; the addon's own message ends with what to do. */
export function refusalOf(error: unknown): Refusal {
  const { code, message } = error as Error & { code?: string };
  const known = isCaptureErrorCode(code) ? code : 'INTERNAL';
  const exitCode = known === 'BAD_OPTION' ? exitCodes.config : exitCodes.unavailable;
  const text = [`start the capture (${known})`, causes[known], message].filter((part) => part !== undefined);
  return new Refusal(text.join(': '), exitCode, { cause: error });
}

function isCaptureErrorCode(code: string | undefined): code is CaptureErrorCode {
  return code !== undefined && Object.hasOwn(causes, code);
}
