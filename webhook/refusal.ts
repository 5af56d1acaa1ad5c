// Why a process of ours ends without doing its work: one message for a person and an exit code of sysexits.h.
export const exitCodes = {
  /** EX_USAGE: the command line. */
  usage: 64,
  /** EX_UNAVAILABLE: the API server does not answer, or does not allow it. */
  unavailable: 69,
  /** EX_SOFTWARE: our bug. */
  software: 70,
  /** EX_CONFIG: kubeconfig, certificates, ports, files. Starting again does not help. */
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
