//! Writes records as the kernel does, to a file that is mapped like a ring.
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use super::{BUSY, DISCARDED, ORDER, Ring, Rings, Stalls};

const PAGE: u64 = 4096;
const SIZE: u64 = 1 << 16;
const TAG: usize = ORDER + 8;

pub struct Writer {
    file: File,
    pub end: u64,
}

/// What `put` wrote into the record.
pub fn tag_of(record: &[u8]) -> char {
    char::from(record[TAG])
}

impl Rings {
    pub fn of(inward: &Writer, outward: &Writer) -> Self {
        let ring = |writer: &Writer| Ring::map(&writer.file, SIZE as usize).unwrap();
        Self { inward: ring(inward), outward: ring(outward), stalls: Stalls::default() }
    }
}

impl Writer {
    pub const BUSY: u32 = BUSY;
    pub const DISCARDED: u32 = DISCARDED;

    pub fn new() -> Self {
        // SAFETY: a name that ends with NUL; the result is checked, and nobody else has the descriptor.
        let file = unsafe {
            let fd = libc::memfd_create(c"ring".as_ptr(), 0);
            assert!(fd >= 0);
            File::from_raw_fd(fd)
        };
        file.set_len(2 * PAGE + 2 * SIZE).unwrap();
        Self { file, end: 0 }
    }

    /// Where it stands, for `finish`.
    pub fn put(&mut self, order: u64, tag: u8, flags: u32) -> u64 {
        let at = 2 * PAGE + self.end;
        let len = TAG as u32 + 1;
        self.file.write_all_at(&(len | flags).to_ne_bytes(), at).unwrap();
        self.file.write_all_at(&order.to_ne_bytes(), at + 8 + ORDER as u64).unwrap();
        self.file.write_all_at(&[tag], at + 8 + TAG as u64).unwrap();
        self.end += (8 + u64::from(len)).next_multiple_of(8);
        self.file.write_all_at(&self.end.to_ne_bytes(), PAGE).unwrap();
        at
    }

    pub fn finish(&self, at: u64) {
        self.file.write_all_at(&(TAG as u32 + 1).to_ne_bytes(), at).unwrap();
    }

    /// How far the kernel was told that was read.
    pub fn told(&self) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 0).unwrap();
        u64::from_ne_bytes(bytes)
    }
}
