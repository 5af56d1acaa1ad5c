/** Preloaded into a process whose wall clock shall jump by hours every second: this machine's own may not be set. */
const { now } = Date;
const HOUR_MS = 3_600_000;

Date.now = () => now() + (Math.floor(now() / 1000) % 3) * 2 * HOUR_MS;
