/** `node burner-process.ts <part>`: busy for this part of the time, until it is killed. */
const part = Number(process.argv[2]);
// A timer of a millisecond takes a little longer.
const restMs = 1.06;
const busyMs = (part / (1 - part)) * restMs;

function turn(): void {
  const end = performance.now() + busyMs;
  while (performance.now() < end);
  setTimeout(turn, 1);
}
turn();
