//! /proc/PID/maps: the files whose code a process has mapped.
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A process may have 65,530 mappings (vm.max_map_count) and more; lines are some 100 bytes.
const MAX_BYTES: u64 = 16 << 20;

/// A file as /proc/PID/maps names it. Not as stat(2) does: overlayfs and btrfs tell another device there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub major: u32,
    pub minor: u32,
    pub ino: u64,
}

/// An executable mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    /// In the file, of `start`.
    pub offset: u64,
    pub file: FileId,
    /// What is written there goes to the file, or may: others may write.
    pub shared: bool,
    pub writable: bool,
    /// In the process's mount namespace.
    pub path: PathBuf,
    /// Nothing, or another file, lies at `path` now.
    pub deleted: bool,
}

/// The text of /proc/PID/maps. Errors: `NotFound` and ESRCH when the process is gone, `PermissionDenied` without
/// CAP_SYS_PTRACE, `FileTooLarge` over 16 MiB.
pub fn read(pid: u32) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/maps"))?.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// Executable mappings of files (proc_pid_maps(5)). Lines that cannot be read are passed by.
pub fn executable(text: &[u8]) -> impl Iterator<Item = Mapping> + '_ {
    text.split(|byte| *byte == b'\n').filter_map(line).filter_map(|(executable, mapping)| executable.then_some(mapping))
}

/// What is mapped at exactly this address.
pub fn at(text: &[u8], start: u64) -> Option<FileId> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(line).find(|(_, mapping)| mapping.start == start).map(|(_, mapping)| mapping.file)
}

/// `7f6c3b01f000-7f6c3b07c000 r-xp 0001f000 fe:00 6553   /usr/lib/libssl.so.3`, of a file; with whether it is executable.
fn line(line: &[u8]) -> Option<(bool, Mapping)> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (field, behind) = rest.split_at(end);
        rest = &behind[1..];
        str::from_utf8(field).ok()
    };
    let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let (start, end) = field()?.split_once('-')?;
    // rwxp: the last is `s` for a shared mapping.
    let &[_, write, execute, sharing, ..] = field()?.as_bytes() else {
        return None;
    };
    let (writable, executable, shared) = (write == b'w', execute == b'x', sharing == b's');
    let offset = hex(field()?)?;
    let (major, minor) = field()?.split_once(':')?;
    let ino: u64 = field()?.parse().ok()?;
    let path = rest.trim_ascii_start();
    if ino == 0 || path.first() != Some(&b'/') {
        return None;
    }
    let file = FileId { major: u32::from_str_radix(major, 16).ok()?, minor: u32::from_str_radix(minor, 16).ok()?, ino };
    let (path, deleted) = path.strip_suffix(b" (deleted)").map_or((path, false), |path| (path, true));
    let path = Path::new(OsStr::from_bytes(path)).to_owned();
    let (start, end) = (hex(start)?, hex(end)?);
    Some((executable, Mapping { start, end, offset, file, shared, writable, path, deleted }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"\
55d0c0a00000-55d0c0a20000 r--p 00000000 fe:00 77                         /usr/sbin/nginx
55d0c0a20000-55d0c0b00000 r-xp 00020000 fe:00 77                         /usr/sbin/nginx
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7f1000000000-7f1000001000 rwxs 00001000 103:1f 4294967297                /opt/a b/libssl.so.3 (deleted)
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn executable_mappings_of_files_are_read() {
        let found: Vec<Mapping> = executable(TEXT).collect();
        let nginx = FileId { major: 0xfe, minor: 0, ino: 77 };
        let library = FileId { major: 0x103, minor: 0x1f, ino: (1 << 32) + 1 };
        assert_eq!(found.iter().map(|m| m.file).collect::<Vec<_>>(), [nginx, library]);
        assert_eq!((found[0].start, found[0].end, found[0].offset), (0x55d0_c0a2_0000, 0x55d0_c0b0_0000, 0x20000));
        assert_eq!((found[1].path.to_str(), found[1].deleted), (Some("/opt/a b/libssl.so.3"), true));
        assert_eq!([&found[0], &found[1]].map(|m| (m.shared, m.writable)), [(false, false), (true, true)]);
        assert_eq!(at(TEXT, 0x55d0_c0a0_0000), Some(nginx));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = executable(&text).count();
        }

        #[test]
        fn a_line_is_read_back(start in 0u64..1 << 47, pages in 1u64..1 << 20, offset: u32, major in 0u32..4096, minor in 0u32..1 << 20, ino in 1u64.., name in "[a-z ]{0,20}[a-z]") {
            let end = start + pages * 4096;
            let text = format!("{start:x}-{end:x} r-xp {offset:08x} {major:02x}:{minor:02x} {ino}   /{name}\n");
            let expected = Mapping { start, end, offset: offset.into(), file: FileId { major, minor, ino }, shared: false, writable: false, path: PathBuf::from(format!("/{name}")), deleted: false };
            prop_assert_eq!(executable(text.as_bytes()).collect::<Vec<_>>(), vec![expected]);
        }
    }
}
