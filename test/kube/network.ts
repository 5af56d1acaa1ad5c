/** Where a control plane listens, and for which nodes. */
export interface KubeNetwork {
  /** IPv4 of this machine that the API server listens at. */
  address: string;
  /** IPv4 that the endpoints of Service `kubernetes` have; never loopback, which the API server refuses. */
  advertised: string;
  port: number;
  /** CIDR of Services, and the first of it, which is the API server's own. */
  serviceRange: string;
  serviceAddress: string;
  /** Machines with a kubelet; none: nothing runs, and what a test binds by hand stays. */
  nodes: readonly { name: string; address: string }[];
}
