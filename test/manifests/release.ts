/** The chart as a release in a test's API server, through the real helm. */
import type { Kube } from '../kube/kube.ts';
import { helmProgram } from '../kube/programs.ts';
import { CHART } from './render-chart.ts';
import { type HelmResult, runHelm } from './run-helm.ts';

export interface Release {
  /** `helm install`, and later `helm upgrade`, with further arguments. */
  install(args?: readonly string[]): Promise<HelmResult>;
  upgrade(args?: readonly string[]): Promise<HelmResult>;
  uninstall(args?: readonly string[]): Promise<HelmResult>;
}

export function releaseIn({ kubeconfig }: Kube, namespace = 'podmirror'): Release {
  const run = (args: readonly string[]) => runHelm(helmProgram(), [...args, '-n', namespace], kubeconfig);
  return {
    install: (args = []) => run(['install', 'podmirror', CHART, '--create-namespace', ...args]),
    upgrade: (args = []) => run(['upgrade', 'podmirror', CHART, ...args]),
    uninstall: (args = []) => run(['uninstall', 'podmirror', ...args]),
  };
}
