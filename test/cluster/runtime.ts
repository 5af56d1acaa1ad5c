/** What runs a node's containers. */
export interface Runtime {
  /** Its socket in the node, as `unix:///run/containerd/containerd.sock`. */
  endpoint: string;
  /** A docker-archive or OCI layout, with the names that it carries. Returns those. */
  importImage(tar: string): Promise<string[]>;
}
