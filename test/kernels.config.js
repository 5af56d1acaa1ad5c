// What boots other kernels, in QEMU; one at a time.
export default {
  extensions: ['ts'],
  files: ['test/kernels/kernels.test.ts'],
  workerThreads: false,
  timeout: '20m',
};
