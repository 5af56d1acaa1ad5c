//! /proc/PID/smaps: how much of each mapping is the process's own. Whoever may read maps may read it, where pagemap wants
//! CAP_DAC_READ_SEARCH for a process of another user. The kernel walks all pages of the process for it, while that waits with
//! changes of its mappings; so it is read of small ones, and not often.
use std::fs::{self, File};
use std::io::{self, Read};

/// A mapping takes 700 bytes. What is behind that is not known.
const MAX_BYTES: u64 = 4 << 20;

/// Errors: as of /proc/PID/maps, and `FileTooLarge` with more pages in memory.
pub fn read(pid: u32, max_resident_pages: u64) -> io::Result<Vec<u8>> {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    if resident.is_none_or(|pages| pages > max_resident_pages) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/smaps"))?.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// Whether the mapping of this address has anonymous pages, in memory or in swap. None: that is not in the text.
pub fn has_own_copies(text: &[u8], address: u64) -> Option<bool> {
    let lines = text.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
    let is_it = |line: &str| range(line).is_some_and(|(start, end)| (start..end).contains(&address));
    let mut rest = lines.skip_while(|line| !is_it(line));
    rest.next()?;
    let of_mapping = rest.take_while(|line| range(line).is_none());
    let (mut anonymous, mut swapped) = (None, None);
    for line in of_mapping {
        let amount = |name: &str| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
        anonymous = anonymous.or_else(|| amount("Anonymous:"));
        swapped = swapped.or_else(|| amount("Swap:"));
    }
    Some(anonymous? + swapped.unwrap_or(0) > 0)
}

/// `7f6c3b01f000-7f6c3b07c000 r-xp …`; the lines about it have a name and a colon.
fn range(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"\
7f0000000000-7f0000002000 r-xp 00001000 fe:00 77      /usr/lib/libssl.so.3
Size:                  8 kB
Anonymous:             4 kB
AnonHugePages:         0 kB
Swap:                  0 kB
SwapPss:               0 kB
VmFlags: rd ex mr mw me
7f0000002000-7f0000003000 r-xs 00003000 fe:00 77      /usr/lib/libssl.so.3
Anonymous:             0 kB
Swap:                  0 kB
7f0000004000-7f0000005000 r-xp 00004000 fe:00 77      /usr/lib/a \xff
Anonymous:             0 kB
Swap:                  4 kB
";

    #[test]
    fn a_mapping_has_copies_of_its_own_where_something_of_it_is_anonymous_or_in_swap() {
        let mapping = |at: u64| has_own_copies(TEXT, 0x7f00_0000_0000 + at);
        assert_eq!([0, 0x1fff, 0x2000, 0x3000].map(mapping), [Some(true), Some(true), Some(false), None]);
        let swapped = [b"7f0000000000-7f0000001000 r-xp 0 0:0 1 /a\nAnonymous: 0 kB\nSwap: 4 kB\n"];
        assert_eq!(has_own_copies(swapped[0], 0x7f00_0000_0000), Some(true));
        assert_eq!(has_own_copies(&TEXT[..80], 0x7f00_0000_0000), None, "the rest is missing");
    }

    #[test]
    fn a_page_of_a_file_that_was_written_to_is_found_in_the_process_itself() {
        const BYTES: usize = 65536;
        let file = File::open("/proc/self/exe").unwrap();
        let own = || read(std::process::id(), u64::MAX).unwrap();
        // SAFETY: a new private mapping of a file that is longer; the result is checked.
        let base = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), BYTES, access, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        assert_ne!(base, libc::MAP_FAILED);
        assert_eq!(has_own_copies(&own(), base as u64), Some(false));
        // SAFETY: within the mapping, which is writable and nobody else's.
        unsafe { base.cast::<u8>().add(BYTES / 2).write_volatile(7) };
        assert_eq!(has_own_copies(&own(), base as u64), Some(true));
        // SAFETY: exactly the mapping made above.
        unsafe { libc::munmap(base, BYTES) };
        assert_eq!(read(std::process::id(), 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..400), address: u64) {
            has_own_copies(&text, address);
        }
    }
}
