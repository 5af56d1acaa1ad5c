//! cgroup2 directories: where they are mounted, their ids, and which of the selected ones need probes.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{CaptureError, Code};

/// statfs(2)
const CGROUP2_SUPER_MAGIC: libc::__fsword_t = 0x6367_7270;

/// The mount point of cgroup2: also found in hybrid mode, where v1 controllers have mounts beside it.
pub fn mount() -> Result<PathBuf, CaptureError> {
    let mounts =
        fs::read_to_string("/proc/self/mounts").map_err(|e| CaptureError::internal("read /proc/self/mounts", e))?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (point, kind) = (fields.next()?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(point))
        })
        .next()
        .ok_or_else(|| {
            CaptureError::new(
                Code::NoCgroup2,
                "no cgroup2 file system is mounted. Mount it (mount -t cgroup2 none /sys/fs/cgroup) or boot with systemd.unified_cgroup_hierarchy=1",
            )
        })
}

/// An open cgroup2 directory and its id, which is its inode number.
pub fn open(path: &Path) -> Result<(File, u64), CaptureError> {
    let missing = |why: String| {
        CaptureError::new(Code::NotFound, format!("{}: {why}. Write the path of a cgroup2 directory", path.display()))
    };
    let file = File::open(path).map_err(|e| missing(e.to_string()))?;
    // SAFETY: statfs is plain data, all zeroes is a value of it.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor and a valid place for the result.
    if unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut stat) } != 0 || stat.f_type != CGROUP2_SUPER_MAGIC {
        return Err(missing("not on a cgroup2 file system".to_owned()));
    }
    let id = file.metadata().map_err(|e| missing(e.to_string()))?.ino();
    Ok((file, id))
}

/// Whether a cgroup with this id lies right below `path`. False when that cannot be read any more.
pub fn has_child(path: &Path, id: u64) -> bool {
    let Ok(entries) = fs::read_dir(path) else {
        return false;
    };
    // In kernfs the inode of a directory entry is that of the directory.
    entries.flatten().any(|entry| entry.ino() == id)
}

/// The paths that have no other one above them: packets of the ones inside pass these too,
/// and a packet must be captured once.
pub fn outermost<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    let all: BTreeSet<&PathBuf> = paths.into_iter().collect();
    all.iter()
        .filter(|path| !path.ancestors().skip(1).any(|a| all.contains(&a.to_path_buf())))
        .map(|p| (*p).clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_of_nested_cgroups_need_probes() {
        let paths: Vec<PathBuf> = ["/c/a/b", "/c/a", "/c/ab", "/c/d/e", "/c/d/f"].map(PathBuf::from).into();
        let found: Vec<String> = outermost(&paths).iter().map(|p| p.display().to_string()).collect();
        assert_eq!(found, ["/c/a", "/c/ab", "/c/d/e", "/c/d/f"]);
    }

    #[test]
    fn a_directory_elsewhere_is_refused_with_a_remedy() {
        let error = open(Path::new("/tmp")).unwrap_err();
        assert_eq!(error.code, Code::NotFound);
        assert!(error.message.contains("not on a cgroup2 file system. Write"), "{}", error.message);
    }
}
