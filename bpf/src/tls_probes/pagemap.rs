//! /proc/PID/pagemap: whether a page of a process is a copy of its own (Documentation/admin-guide/mm/pagemap.rst). It says
//! nothing of what is in there, and does nothing to the process.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::smaps;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// A page of a file, or of shared anonymous memory.
const OF_FILE: u64 = 1 << 61;
/// Of one probe in one process, by its mappings: that takes a walk over all its pages.
const MAX_WALKS: u8 = 12;
/// 512 MiB: at some 10 ns each, little more than a millisecond.
const MAX_WALKED_PAGES: u64 = 131_072;
/// What userfaultfd(2) and guard regions (madvise(2)) leave where no page is; it counts as swapped.
const MARKS: u64 = 1 << 58 | 1 << 57;

pub enum Pagemap {
    Pages {
        file: File,
        page_bytes: u64,
    },
    /// Of a process of another user, without CAP_DAC_READ_SEARCH: by whole mappings.
    Mappings(Vec<u8>),
}

impl Pagemap {
    /// `again`: how often that was asked of the process before. Errors: as of `smaps::read`, `WouldBlock` when it was asked too
    /// often for what it costs.
    pub fn open(pid: u32, again: u8) -> io::Result<Self> {
        // SAFETY: no pointers; a name that every Linux has.
        let page_bytes = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(io::Error::other)?;
        match File::open(format!("/proc/{pid}/pagemap")) {
            Ok(file) => Ok(Self::Pages { file, page_bytes }),
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
            Err(_) if again >= MAX_WALKS => Err(io::ErrorKind::WouldBlock.into()),
            Err(_) => smaps::read(pid, MAX_WALKED_PAGES).map(Self::Mappings),
        }
    }

    /// Whether the page at this address is an anonymous copy that stands in the place of the file's, as the kernel makes one
    /// for a breakpoint. None: it cannot be told.
    pub fn has_own_copy(&self, address: u64) -> Option<bool> {
        match self {
            Self::Pages { file, page_bytes } => {
                let mut word = [0; 8];
                file.read_exact_at(&mut word, address / page_bytes * 8).ok()?;
                is_own_copy(u64::from_ne_bytes(word))
            }
            // Another page's copy says as much: breakpoints come into all of a mapping or into nothing of it.
            Self::Mappings(text) => smaps::has_own_copies(text, address),
        }
    }
}

fn is_own_copy(word: u64) -> Option<bool> {
    let (present, swapped) = (word & PRESENT != 0, word & SWAPPED != 0);
    if !present && swapped && word & MARKS != 0 {
        return None;
    }
    Some((present || swapped) && word & OF_FILE == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_anonymous_page_in_memory_or_in_swap_is_a_copy_of_its_own() {
        for (word, expected) in [
            (0, Some(false)),
            (PRESENT, Some(true)),
            (PRESENT | 1 << 56 | 1 << 55 | 0x1234, Some(true)),
            (PRESENT | OF_FILE, Some(false)),
            (SWAPPED | 0x20, Some(true)),
            (SWAPPED | OF_FILE, Some(false)),
            (SWAPPED | 1 << 57, None),
            (SWAPPED | 1 << 58, None),
            (PRESENT | 1 << 57, Some(true)),
            (OF_FILE, Some(false)),
        ] {
            assert_eq!(is_own_copy(word), expected, "{word:#x}");
        }
    }

    #[test]
    fn of_our_own_pages_code_is_the_files_and_what_was_written_is_ours() {
        let map = Pagemap::open(std::process::id(), 0).unwrap();
        let written = vec![7u8; 3 * 65536];
        assert_eq!(map.has_own_copy(written.as_ptr() as u64 + 65536), Some(true));
        assert_eq!(map.has_own_copy(only_the_file_has_it as *const () as u64), Some(false));
        assert_eq!(map.has_own_copy(u64::MAX), None, "behind all that a process can have");
    }

    #[inline(never)]
    fn only_the_file_has_it() {}
}
