/** What the tests read of a pod that a controller made. */

export interface Pod {
  metadata: { name: string; namespace: string };
  spec: {
    containers: Container[];
    volumes?: { secret?: { secretName: string } }[];
    terminationGracePeriodSeconds?: number;
  };
}

export interface Container {
  name: string;
  image: string;
  args?: string[];
  env?: { name: string; value?: string; valueFrom?: { fieldRef?: { fieldPath: string } } }[];
  ports?: { name?: string; containerPort: number }[];
  readinessProbe?: Probe;
}

export interface Probe {
  httpGet?: { path: string; port: string | number };
  periodSeconds: number;
  timeoutSeconds: number;
  failureThreshold: number;
}

/** As a kubelet resolves them: plain values and fields of the pod. */
export function environmentOf(pod: Pod, { env = [] }: Container): Record<string, string> {
  return Object.fromEntries(
    env.map(({ name, value, valueFrom }) => [
      name,
      value ?? fieldOf(pod, valueFrom?.fieldRef?.fieldPath ?? ''),
    ]),
  );
}

function fieldOf(pod: Pod, path: string): string {
  const value = path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], pod);
  if (typeof value !== 'string') throw new Error(`pod ${pod.metadata.name} has no field ${path}`);
  return value;
}

export function portOf({ ports = [] }: Container, port: string | number): number {
  if (typeof port === 'number') return port;
  const found = ports.find(({ name }) => name === port);
  if (!found) throw new Error(`the container has no port ${port}`);
  return found.containerPort;
}
