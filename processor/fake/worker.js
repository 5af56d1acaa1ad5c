// An inspection worker that does what the request's target says.
import { parentPort } from 'node:worker_threads';

parentPort.on('message', ({ request }) => {
  if (request.target === '/crash') process.exit(3);
  if (request.target === '/hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  parentPort.postMessage(
    request.target === '/error'
      ? { kind: 'error', message: 'no' }
      : { kind: 'judged', judgement: null, origin: { client: { address: '10.0.0.1' }, host: '' } },
  );
});
parentPort.postMessage({ kind: 'ready' });
