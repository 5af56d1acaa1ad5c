//! The kernel's counts of secrets, mmap-ed: `struct tally` of kernel/secret.h.
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::CaptureError;

const COUNTS: usize = 24;
/// Values of an array are mapped in whole pages.
const BYTES: usize = 4096;
const PUSHED: usize = 0;
const EXECS: usize = 1;
const EXECS_FULL: usize = 5;
const NAMES: [(usize, &str); 10] = [
    (PUSHED, "secrets"),
    (EXECS, "execs"),
    (2, "lost_queue_full"),
    (3, "lost_secret_unread"),
    (4, "lost_random_unread"),
    (EXECS_FULL, "execs_lost"),
    (6, "label_unread"),
    (7, "unwanted"),
    (8, "repeated"),
    (16, "hits_by_others"),
];

pub struct Tally {
    base: NonNull<[AtomicU64; COUNTS]>,
}

// SAFETY: the mapping belongs to this value alone, and its words are atomics.
unsafe impl Send for Tally {}

impl Tally {
    pub fn map(map: BorrowedFd) -> Result<Self, CaptureError> {
        // SAFETY: a new shared mapping of a map that was created with BPF_F_MMAPABLE, one page as its one value of 192
        // bytes takes; the result is checked.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), BYTES, libc::PROT_READ, libc::MAP_SHARED, map.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(CaptureError::internal("map the counts of secrets", std::io::Error::last_os_error()));
        }
        let base =
            NonNull::new(base.cast()).ok_or_else(|| CaptureError::internal("map the counts of secrets", "null"))?;
        Ok(Self { base })
    }

    fn read(&self, index: usize) -> u64 {
        // SAFETY: the mapping lives as long as self, and its words are atomics that are only read.
        let counts = unsafe { self.base.as_ref() };
        counts[index].load(Ordering::Acquire)
    }

    /// Raised with every secret in the queue.
    pub fn pushed(&self) -> u64 {
        self.read(PUSHED)
    }

    /// Raised with every exec in the queue.
    pub fn execs(&self) -> u64 {
        self.read(EXECS)
    }

    /// Raised with every exec that found its queue full.
    pub fn execs_lost(&self) -> u64 {
        self.read(EXECS_FULL)
    }

    /// All of them, by name.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        NAMES.iter().map(|(index, name)| ((*name).to_owned(), self.read(*index))).collect()
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; no reference outlives self.
        unsafe { libc::munmap(self.base.as_ptr().cast(), BYTES) };
    }
}
