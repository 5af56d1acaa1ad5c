// What boots a node as a virtual machine.
export default {
  extensions: ['ts'],
  files: ['test/vm/vm.test.ts'],
  workerThreads: false,
  timeout: '30m',
};
