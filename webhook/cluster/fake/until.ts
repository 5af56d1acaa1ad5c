/** Looks until it is so; generous, since the machines that test are slow at times. */
export async function until(isSo: () => unknown, what = String(isSo), timeoutMs = 60_000): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!isSo()) {
    if (performance.now() > giveUpAt) throw new Error(`It never came to: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
