// Whether the store takes writes, and the way back by itself.
import type { Store } from './store.ts';

export interface StoreHealth {
  /** Undefined: it takes writes. */
  trouble(): string | undefined;
  /** A write failed. */
  failed(error: Error): void;
  close(): void;
}

/** While there is trouble, tries a small write every `intervalMs`. */
export function watchStore({
  store,
  intervalMs,
  onTrouble,
  onRecovered,
}: {
  store: Pick<Store, 'probe'>;
  intervalMs: number;
  onTrouble: (message: string) => void;
  onRecovered: () => void;
}): StoreHealth {
  let trouble: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  const probe = () => {
    try {
      store.probe();
    } catch {
      // Whatever it is: as long as the write fails, there is trouble, and a throw here would end the process.
      return;
    }
    clearInterval(timer);
    trouble = undefined;
    onRecovered();
  };

  return {
    trouble: () => trouble,
    failed: (error) => {
      if (trouble !== undefined) return;
      trouble = error.message;
      onTrouble(error.message);
      timer = setInterval(probe, intervalMs).unref();
    },
    close: () => clearInterval(timer),
  };
}
