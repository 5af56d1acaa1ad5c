//! The mmap-ed array through which user space tells the kernel what it does not want: `struct control`.
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use libbpf_rs::MapCore;

use crate::error::CaptureError;
use crate::flow::Wish;

const SLOTS: usize = 65536;
const IGNORE: u32 = 1 << 0;
const IN_SKIP: u32 = 1 << 1;
const OUT_HEAD: u32 = 1 << 2;
const OUT_RESYNC: u32 = 1 << 3;
const RAW_SEEN: u32 = 1 << 4;
const CALLED: u32 = 1 << 5;
const BY_PACKETS: u32 = 1 << 6;

#[repr(C)]
struct Control {
    flow_id: AtomicU64,
    flags: AtomicU32,
    in_skip: AtomicU32,
    out_at: AtomicU32,
    raw_seen: AtomicU32,
    in_from: AtomicU32,
    pad0: AtomicU32,
}

const _: () = assert!(size_of::<Control>() == 32);

pub struct Controls {
    base: NonNull<Control>,
}

impl Controls {
    pub fn map(map: &impl MapCore) -> Result<Self, CaptureError> {
        // SAFETY: a new shared mapping of a map that was created with BPF_F_MMAPABLE; the length is
        // the map's own (65536 values of 32 bytes); the result is checked.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SLOTS * size_of::<Control>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(CaptureError::internal("map the control slots", std::io::Error::last_os_error()));
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| CaptureError::internal("map the control slots", "null"))?;
        Ok(Self { base })
    }

    /// Asks the kernel. A slot that two connections share belongs to the last one: the other's wishes are forgotten, which costs
    /// copies until it asks again. Gives that other one, if there was one; it may have ended long ago.
    pub fn write(&self, flow_id: u64, wish: &Wish) -> Option<u64> {
        if *wish == Wish::default() {
            return None;
        }
        let slot = self.slot(flow_id);
        let before = slot.flow_id.load(Ordering::Relaxed);
        let own = before == flow_id;
        let mut flags = if own { slot.flags.load(Ordering::Relaxed) } else { 0 };
        slot.flow_id.store(0, Ordering::Release);
        if wish.ignore {
            flags |= IGNORE;
        }
        if wish.by_packets {
            flags |= BY_PACKETS;
        }
        if wish.called {
            flags = (flags | CALLED) & !BY_PACKETS;
        }
        // What has passed is cleared: a place means something for 2 GiB only.
        if wish.in_skip_done {
            flags &= !IN_SKIP;
        }
        if wish.out_done {
            flags &= !(OUT_HEAD | OUT_RESYNC | RAW_SEEN);
        }
        if let Some((from, to)) = wish.in_skip {
            slot.in_from.store(from, Ordering::Release);
            slot.in_skip.store(to, Ordering::Release);
            flags |= IN_SKIP;
        }
        if let Some(seq) = wish.out_head {
            slot.out_at.store(seq, Ordering::Release);
            flags = (flags | OUT_HEAD) & !OUT_RESYNC;
        }
        if wish.out_resync {
            flags = (flags | OUT_RESYNC) & !OUT_HEAD;
        }
        if let Some(seq) = wish.raw_seen {
            slot.raw_seen.store(seq, Ordering::Release);
            flags |= RAW_SEEN;
        }
        slot.flags.store(flags, Ordering::Release);
        slot.flow_id.store(flow_id, Ordering::Release);
        (!own && before != 0).then_some(before)
    }

    fn slot(&self, flow_id: u64) -> &Control {
        let index = (flow_id ^ (flow_id >> 16) ^ (flow_id >> 32)) as usize & (SLOTS - 1);
        // SAFETY: index < SLOTS, the mapping lives as long as self, and all fields are atomics.
        unsafe { self.base.add(index).as_ref() }
    }
}

impl Drop for Controls {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; no reference outlives self.
        unsafe { libc::munmap(self.base.as_ptr().cast(), SLOTS * size_of::<Control>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::machine::with_machine;

    #[test]
    fn a_connection_whose_slot_another_one_takes_is_named() {
        with_machine(|machine| {
            let (wish, none) = (Wish { ignore: true, ..Wish::default() }, Wish::default());
            let write = |id, wish| machine.kernel.controls.write(id, wish);
            let (one, other) = (5, 0x10004);
            assert_eq!([write(one, &wish), write(one, &wish), write(other, &none)], [None; 3]);
            assert_eq!([write(other, &wish), write(one, &wish)], [Some(one), Some(other)]);
        });
    }
}
