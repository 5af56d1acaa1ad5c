// Room for bytes. When it is full, whoever has been in it longest must go: that is somebody slow, not somebody new.

export interface Room {
  /** `evict` names the guest, and is called when it must go; it has left then. */
  add(evict: () => void, bytes: number): void;
  leave(evict: () => void): void;
}

export function createRoom(maxBytes: number): Room {
  // In the order in which they came.
  const guests = new Map<() => void, number>();
  let held = 0;

  const leave = (evict: () => void) => {
    held -= guests.get(evict) ?? 0;
    guests.delete(evict);
  };

  return {
    add(evict, bytes) {
      guests.set(evict, (guests.get(evict) ?? 0) + bytes);
      held += bytes;
      for (const oldest of guests.keys()) {
        if (held <= maxBytes) return;
        leave(oldest);
        oldest();
      }
    },
    leave,
  };
}
