/** What must be undone even when the process ends before anybody could: run synchronously at its exit. */

const undoings = new Set<() => void>();

process.once('exit', () => {
  for (const undo of undoings) undo();
});

/** Returns the function that takes the undoing off the list again, once it has been done in order. */
export function atExit(undo: () => void): () => void {
  undoings.add(undo);
  return () => void undoings.delete(undo);
}

export function killAtExit(pid: number | undefined): () => void {
  return atExit(() => {
    if (pid === undefined) return;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  });
}
