// What needs root, real programs and the machine to itself; one file after the other.
export default {
  extensions: ['ts'],
  files: ['test/integration/**/*.test.ts'],
  workerThreads: false,
  timeout: '10m',
};
