// What main.ts loads in tests through PODMIRROR_ADDON. FAKE_BATCHES: batches of two exchanges queued at the start;
// FAKE_ERROR: the code that the constructor throws, with its options in the message.
import { encodedBatch } from './batch.ts';
import { type FakeCapture, fakeCapture } from './capture.ts';

export const cgroup2Mount = () => process.env.FAKE_MOUNT ?? '/sys/fs/cgroup';

/** Called with `new`, like the class it stands for; the object returned takes the place of `this`. */
export function Capture(options: object): FakeCapture {
  const code = process.env.FAKE_ERROR;
  if (code !== undefined) {
    throw Object.assign(new Error(`something lacks in ${JSON.stringify(options)}. Do this about it`), {
      code,
    });
  }
  const capture = fakeCapture();
  for (let n = 0; n < Number(process.env.FAKE_BATCHES ?? 0); n++) capture.push(encodedBatch(n, 2));
  return capture;
}
