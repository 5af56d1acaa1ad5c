// What Prometheus sees of admission.
import { Counter, Histogram, type Registry } from 'prom-client';

export type AdmissionPath = '/mutate' | '/validate';
export type Outcome = 'allowed' | 'patched' | 'denied' | 'refused' | 'failed';

export interface AdmissionMetrics {
  /** `refused`: no readable review (4xx). `failed`: our mistake (5xx). */
  answered(path: AdmissionPath, outcome: Outcome, seconds: number): void;
  denied(kind: string): void;
  warned(count: number): void;
  /** An intent write that took longer than an admission may wait. */
  writeLate(): void;
  writeFailed(): void;
  /** An intent write left to the controller, since too many are under way. */
  writeSkipped(): void;
}

// From a pure decision (~0.1 ms) over the target (5 ms) and the write budget (300 ms) to the API server's timeout (2 s).
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.5, 1, 2];

export function createAdmissionMetrics(registry: Registry): AdmissionMetrics {
  const registers = [registry];
  const counter = (name: string, help: string) =>
    new Counter({ name: `podmirror_admission_${name}`, help, registers });
  const duration = new Histogram({
    name: 'podmirror_admission_duration_seconds',
    help: 'From the head of a review to its answer',
    labelNames: ['path', 'outcome'],
    buckets,
    registers,
  });
  const denied = new Counter({
    name: 'podmirror_admission_denied_total',
    help: 'Objects refused',
    labelNames: ['kind'],
    registers,
  });
  const warnings = counter('warnings_total', 'Warnings sent to whoever wrote the object');
  const late = counter(
    'write_budget_exceeded_total',
    'Intent writes that an admission did not wait for any longer',
  );
  const failed = counter('write_failed_total', 'Intent writes that failed; the controller makes up for them');
  const skipped = counter(
    'write_skipped_total',
    'Intent writes left to the controller, since too many were under way',
  );
  return {
    answered: (path, outcome, seconds) => duration.observe({ path, outcome }, seconds),
    denied: (kind) => denied.inc({ kind }),
    warned: (count) => warnings.inc(count),
    writeLate: () => late.inc(),
    writeFailed: () => failed.inc(),
    writeSkipped: () => skipped.inc(),
  };
}

export const noMetrics: AdmissionMetrics = {
  answered() {},
  denied() {},
  warned() {},
  writeLate() {},
  writeFailed() {},
  writeSkipped() {},
};
