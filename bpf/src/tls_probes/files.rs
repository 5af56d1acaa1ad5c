//! Opens the very file that a process has mapped, through the process's own root.
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::maps::{self, FileId, Mapping};

/// Tells a file from its later self.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    pub bytes: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    pub fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            bytes: meta.len(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// The mapped file, to be read. Errors: a sentence for coverage.
pub fn open(pid: u32, mapping: &Mapping) -> Result<File, String> {
    let by_path = if mapping.deleted { Err(io::ErrorKind::NotFound.into()) } else { through_root(pid, &mapping.path) };
    if let Ok(file) = &by_path
        && is(file, mapping.file)
    {
        return by_path.map_err(|e| e.to_string());
    }
    // The mapping itself leads there, even to a file that has no name any more; the kernel allows that to few.
    let mapped = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    let by_mapping = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(mapped);
    match (by_path, by_mapping) {
        (_, Ok(file)) if is(&file, mapping.file) => Ok(file),
        (Ok(_), Err(error)) => Err(format!(
            "another file lies at its path by now, and the mapped one cannot be opened: {error}. Restart the process, or give the agent CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE"
        )),
        (Err(_), Err(error)) if mapping.deleted => Err(format!(
            "it was replaced or removed since the process mapped it, and cannot be opened: {error}. Restart the process, or give the agent CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE"
        )),
        (Err(error), _) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(format!("cannot be opened: {error}. Give the agent CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"))
        }
        (Err(error), _) => Err(format!("cannot be opened: {error}")),
        (Ok(_), Ok(_)) => Err("another file lies at its path by now".to_owned()),
    }
}

/// A regular file at `path` as the process sees it: no link of a container leads out of its root.
fn through_root(pid: u32, path: &Path) -> io::Result<File> {
    let root = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(format!("/proc/{pid}/root"))?;
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: open_how is plain data, all zeroes is a value of it.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC).unsigned_abs().into();
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: a descriptor, a string that ends with NUL, and the struct with its size, all valid during the call.
    let fd =
        unsafe { libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &raw const how, size_of_val(&how)) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: a new descriptor that nobody else has.
    let found = unsafe { File::from_raw_fd(fd) };
    // Opening a device or a pipe for real may have effects.
    if !found.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(format!("/proc/self/fd/{fd}"))
}

/// Whether the open file is the one that /proc/PID/maps names.
fn is(file: &File, named: FileId) -> bool {
    let Ok(meta) = file.metadata() else {
        return false;
    };
    if !meta.is_file() {
        return false;
    }
    let (major, minor) = (libc::major(meta.dev()), libc::minor(meta.dev()));
    if (FileId { major, minor, ino: meta.ino() }) == named {
        return true;
    }
    // overlayfs and btrfs name another device in maps than in stat: so have the kernel name it the same way for us.
    as_mapped(file) == Some(named)
}

/// How maps names the file: maps one page of it, which is never read.
fn as_mapped(file: &File) -> Option<FileId> {
    const PAGE: usize = 4096;
    // SAFETY: a new private mapping at an address of the kernel's choice; nobody reads from it, so a file that shrinks
    // does no harm; the result is checked.
    let base =
        unsafe { libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    if base == libc::MAP_FAILED {
        return None;
    }
    let text = fs::read("/proc/self/maps");
    // SAFETY: exactly the mapping made above.
    unsafe { libc::munmap(base, PAGE) };
    maps::at(&text.ok()?, base as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_each_of_our_own_mappings_is_found() {
        let own = std::process::id();
        let text = maps::read(own).unwrap();
        let mappings: Vec<Mapping> = maps::executable(&text).collect();
        assert!(!mappings.is_empty());
        for mapping in mappings {
            let file = open(own, &mapping).unwrap();
            assert_eq!(as_mapped(&file), Some(mapping.file), "{}", mapping.path.display());
        }
    }

    #[test]
    fn a_file_that_is_not_the_mapped_one_is_refused() {
        let own = std::process::id();
        let text = maps::read(own).unwrap();
        let mut mapping = maps::executable(&text).next().unwrap();
        mapping.path = "/etc/passwd".into();
        mapping.start += 4096;
        let reason = open(own, &mapping).unwrap_err();
        assert!(reason.starts_with("another file lies at its path"), "{reason}");
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let error = through_root(std::process::id(), Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
    }
}
