/** `node burner-process.ts`, with an IPC channel: busy for that part of the time, 0 to below 1, which it was sent last. */

// A timer of a millisecond takes a little longer.
const REST_MS = 1.06;
let busyMs = 0;
let turning = false;

process.on('message', (part: number) => {
  busyMs = (part / (1 - part)) * REST_MS;
  if (!turning) turn();
});
process.once('disconnect', () => process.exit());

function turn(): void {
  turning = busyMs > 0;
  if (!turning) return;
  const end = performance.now() + busyMs;
  while (performance.now() < end);
  setTimeout(turn, 1);
}
