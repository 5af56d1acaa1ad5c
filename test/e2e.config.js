// What needs a whole Kubernetes; one file after the other, each with a cluster of its own.
export default {
  extensions: ['ts'],
  files: ['test/e2e/**/*.test.ts'],
  workerThreads: false,
  timeout: '20m',
};
