// When to look at the cgroup tree.
import { watchCgroups } from './changes.ts';

// Cgroups of one service come in bursts.
const burstMs = 30;

/**
 * Looks now, then every `intervalMs`, and soon after cgroups came or went; never twice at a time. `notice` hears of each
 * that came or went at once, and answers whether that is worth a look.
 */
export async function lookRepeatedly({
  mount,
  intervalMs,
  look,
  notice = () => true,
}: {
  mount: string;
  intervalMs: number;
  look: () => Promise<string[]>;
  notice?: (path: string) => boolean;
}): Promise<{ close(): void }> {
  let timer: NodeJS.Timeout | undefined;
  let changed = false;
  let closed = false;
  const again = () => {
    changed = false;
    timer = undefined;
    void lookOnce();
  };
  const lookOnce = async () => {
    const cgroups = await look();
    if (closed) return;
    const isNew = changes.follow(cgroups);
    timer = setTimeout(again, changed || isNew ? burstMs : intervalMs);
  };
  const changes = watchCgroups({
    mount,
    onChange(path) {
      if (closed || !notice(path) || changed) return;
      changed = true;
      if (timer === undefined) return;
      clearTimeout(timer);
      timer = setTimeout(again, burstMs);
    },
  });
  await lookOnce();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      changes.close();
    },
  };
}
