//! The processes of targets: who runs in which cgroup, and what /proc says of one.
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use crate::cgroup;
use crate::kernel::Kind;

/// Bounds on what a container can make of cgroups and processes.
const MAX_PROCESSES: usize = 16_384;
const MAX_DIRECTORIES: usize = 16_384;
/// As deep as the kernel side looks for a target.
const MAX_DEPTH: usize = 16;

#[derive(Clone, Debug)]
pub struct Target {
    /// Of its cgroup.
    pub id: u64,
    pub path: PathBuf,
    pub kind: Kind,
}

/// The ids of the target and of what its traffic is told apart by: the child's for `Kind::PerChild`, else the target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub target: u64,
    pub member: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub pid: u32,
    pub place: Place,
}

/// All processes of all targets, each with the innermost one that it is in. What cannot be read has none.
pub fn walk(targets: &[Target]) -> Vec<Found> {
    let kinds: HashMap<u64, Kind> = targets.iter().map(|target| (target.id, target.kind)).collect();
    let mut found = Vec::new();
    let mut directories = MAX_DIRECTORIES;
    for path in cgroup::outermost(targets.iter().map(|target| &target.path)) {
        if let Ok((_, id)) = cgroup::open(&path) {
            visit(&path, id, None, 0, &kinds, &mut directories, &mut found);
        }
    }
    found
}

fn visit(
    path: &Path,
    id: u64,
    above: Option<(Place, Kind, bool)>,
    depth: usize,
    kinds: &HashMap<u64, Kind>,
    directories: &mut usize,
    found: &mut Vec<Found>,
) {
    if *directories == 0 || depth > MAX_DEPTH {
        return;
    }
    *directories -= 1;
    // The last field: whether this is the target itself, so that what lies right below tells apart.
    let here = match (kinds.get(&id), above) {
        (Some(kind), _) => Some((Place { target: id, member: id }, *kind, true)),
        (None, Some((place, Kind::PerChild, true))) => {
            Some((Place { target: place.target, member: id }, Kind::PerChild, false))
        }
        (None, above) => above.map(|(place, kind, _)| (place, kind, false)),
    };
    if let Some((place, kind, _)) = here
        && kind != Kind::Excluded
    {
        let room = MAX_PROCESSES.saturating_sub(found.len());
        found.extend(pids(path).into_iter().take(room).map(|pid| Found { pid, place }));
    }
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path(), entry.ino(), here, depth + 1, kinds, directories, found);
        }
    }
}

/// Those of other pid namespaces read as 0. A threaded cgroup's are told by the cgroup above it.
fn pids(cgroup: &Path) -> Vec<u32> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect()
}

/// In clock ticks since boot: with the pid it names a process for good (proc_pid_stat(5), field 22).
pub fn start_time(pid: u32) -> io::Result<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat"))?;
    after_name(&stat).and_then(|rest| rest.split(' ').nth(19)?.parse().ok()).ok_or(io::ErrorKind::InvalidData.into())
}

/// The command's name may hold anything, parentheses and spaces too.
fn after_name(stat: &[u8]) -> Option<&str> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    str::from_utf8(stat.get(end + 2..)?).ok()
}

/// Where the process's program lies in its own root; None without CAP_SYS_PTRACE.
pub fn executable(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// At most 15 bytes of the program's name.
pub fn command(pid: u32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(name.trim_ascii_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_parentheses_does_not_hide_the_start_time() {
        let stat = b"7 (a) S 1 (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(after_name(stat).and_then(|rest| rest.split(' ').nth(19)), Some("4242"));
        assert_eq!(after_name(b"7 (a)"), None);
        assert!(start_time(std::process::id()).unwrap() > 0);
    }
}
