// What boots nodes as virtual machines; one file after the other.
export default {
  extensions: ['ts'],
  files: ['test/vm/*.test.ts'],
  workerThreads: false,
  timeout: '30m',
};
