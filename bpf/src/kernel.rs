//! The kernel side: loads the programs, attaches them to cgroups, reads counters. Everything that calls libbpf.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, OpenObject, PrintLevel};

use crate::cgroup;
use crate::control::Controls;
use crate::counters::Counters;
use crate::error::{CaptureError, Code};

#[cfg(test)]
pub(crate) mod machine;
mod older;
#[cfg(test)]
mod packet_tests;
mod rings;
#[cfg(test)]
mod tls_packet_tests;
pub use older::OlderFlow;
pub use rings::{Drained, Mark, Rings};
#[cfg(test)]
pub use rings::{Writer, tag_of};

#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    unused_imports,
    unsafe_op_in_unsafe_fn
)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/plaintext.skel.rs"));
}
use skel::{PlaintextSkel, PlaintextSkelBuilder};

/// Classes of connections, `enum conn_class` of kernel/record.h.
pub const CONNECTION_CLASSES: [&str; 7] = ["http1", "http2", "tls", "proxy", "other", "client_side", "joined_late"];
const CLASS_SLOTS: usize = 8;

/// What of a target is captured, `enum target_kind` of kernel/record.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// With all that is below it.
    Whole,
    /// Records carry the id of the child right below it.
    PerChild,
    /// Nothing, whatever lies around it.
    Excluded,
}

/// What loading cgroup_skb programs and reading packets takes (capabilities(7); Linux 5.8).
const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
const CAP_SYS_ADMIN: u32 = 21;

/// libbpf explains failures only to its print callback.
static LIBBPF_SAYS: Mutex<String> = Mutex::new(String::new());

fn remember(_: PrintLevel, text: String) {
    if let Ok(mut said) = LIBBPF_SAYS.lock()
        && said.len() < 1 << 16
    {
        said.push_str(&text);
    }
}

pub struct Kernel<'a> {
    skel: PlaintextSkel<'a>,
    links: BTreeMap<PathBuf, (Link, Link)>,
    pub controls: Controls,
    generation: u32,
    lost_ends_seen: u32,
}

pub type Storage = MaybeUninit<OpenObject>;

impl<'a> Kernel<'a> {
    pub fn load(storage: &'a mut Storage, ring_bytes: u32, copy_tls: bool) -> Result<Self, CaptureError> {
        check_capabilities()?;
        libbpf_rs::set_print(Some((PrintLevel::Warn, remember)));
        if let Ok(mut said) = LIBBPF_SAYS.lock() {
            said.clear();
        }
        let mut open = PlaintextSkelBuilder::default().open(storage).map_err(load_error)?;
        // Responses that user space has to frame come whole; of requests there is less.
        open.maps.ring_in.set_max_entries(ring_bytes / 2).map_err(load_error)?;
        open.maps.ring_out.set_max_entries(ring_bytes).map_err(load_error)?;
        if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
            rodata.ring_bytes = ring_bytes;
            rodata.copy_tls = copy_tls.into();
        }
        let skel = open.load().map_err(load_error)?;
        let itself = skel.progs.podmirror_out.as_fd().as_raw_fd().to_ne_bytes();
        skel.maps
            .again
            .update(&0u32.to_ne_bytes(), &itself, MapFlags::ANY)
            .map_err(|e| CaptureError::internal("let the egress program call itself", e))?;
        let controls = Controls::map(&skel.maps.controls)?;
        Ok(Self { skel, links: BTreeMap::new(), controls, generation: 1, lost_ends_seen: 0 })
    }

    /// The map `targets`, for other programs that ask who is one.
    pub fn targets(&self) -> BorrowedFd<'_> {
        self.skel.maps.targets.as_fd()
    }

    /// The map of connections, for programs that look one up.
    pub fn flows(&self) -> BorrowedFd<'_> {
        self.skel.maps.flows.as_fd()
    }

    /// The array behind `controls`, likewise.
    pub fn control_slots(&self) -> BorrowedFd<'_> {
        self.skel.maps.controls.as_fd()
    }

    pub fn rings(&self) -> Result<Rings, CaptureError> {
        Rings::map(&self.skel.maps.ring_in, &self.skel.maps.ring_out)
    }

    /// Makes the probes stand on exactly these cgroups.
    pub fn attach(&mut self, wanted: &BTreeSet<PathBuf>) -> Result<(), CaptureError> {
        for path in wanted {
            if self.links.contains_key(path) {
                continue;
            }
            let (dir, _) = cgroup::open(path)?;
            let attach = |program: &libbpf_rs::ProgramMut| {
                program.attach_cgroup(dir.as_raw_fd()).map_err(|e| attach_error(path, &e))
            };
            let links = (attach(&self.skel.progs.podmirror_in)?, attach(&self.skel.progs.podmirror_out)?);
            self.links.insert(path.clone(), links);
        }
        self.links.retain(|path, _| wanted.contains(path));
        Ok(())
    }

    /// Forgets the probes of one cgroup, whatever lies there now.
    pub fn detach(&mut self, path: &Path) {
        self.links.remove(path);
    }

    pub fn detach_all(&mut self) {
        self.links.clear();
    }

    /// `since` of a target whose capture begins with the next `set_target`.
    pub fn now(&self) -> u32 {
        self.generation + 1
    }

    /// Connections that nobody followed since `since` count as joined late.
    pub fn set_target(&mut self, id: u64, kind: Kind, since: u32) -> Result<(), CaptureError> {
        let targets = &self.skel.maps.targets;
        // `since`, the kind, then the counters.
        let mut value = [0u8; 16 + CLASS_SLOTS * 8];
        value[..8].copy_from_slice(&u64::from(since).to_ne_bytes());
        value[8..12].copy_from_slice(&(kind as u32).to_ne_bytes());
        targets
            .update(&id.to_ne_bytes(), &value, MapFlags::ANY)
            .map_err(|e| CaptureError::internal("add a target", e))?;
        self.changed();
        Ok(())
    }

    pub fn remove_target(&mut self, id: u64) {
        // Already gone is as good.
        let _ = self.skel.maps.targets.delete(&id.to_ne_bytes());
        self.changed();
    }

    /// Connections by class, in the order of `CONNECTION_CLASSES`.
    pub fn connections(&self, id: u64) -> BTreeMap<String, u64> {
        let Ok(Some(value)) = self.skel.maps.targets.lookup(&id.to_ne_bytes(), MapFlags::ANY) else {
            return BTreeMap::new();
        };
        CONNECTION_CLASSES
            .iter()
            .zip(&value.as_chunks::<8>().0[2..])
            .map(|(name, n)| ((*name).to_owned(), u64::from_ne_bytes(*n)))
            .collect()
    }

    /// Ids of flows whose end the ring had no room for, since the last call.
    pub fn take_lost_ends(&mut self) -> Vec<u64> {
        let count = self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.lost_ends_count);
        if count == self.lost_ends_seen {
            return Vec::new();
        }
        self.lost_ends_seen = count;
        let map = &self.skel.maps.lost_ends;
        let keys: Vec<[u8; 8]> = map.keys().filter_map(|key| key.try_into().ok()).collect();
        for key in &keys {
            // Evicted meanwhile is as good.
            let _ = map.delete(key);
        }
        keys.into_iter().map(u64::from_ne_bytes).collect()
    }

    pub fn counters(&self) -> Result<Counters, CaptureError> {
        let packets = sum_percpu(&self.skel.maps.counters)?;
        Ok(Counters { packets, ..Counters::default() })
    }

    /// Flows look their target up again.
    fn changed(&mut self) {
        self.generation += 1;
        if let Some(data) = self.skel.maps.data_data.as_deref_mut() {
            data.generation = self.generation;
        }
    }
}

/// Counts of an array with one value, summed over the processors.
pub(crate) fn sum_percpu<const N: usize>(map: &impl MapCore) -> Result<[u64; N], CaptureError> {
    let mut sums = [0; N];
    let of_processors = map
        .lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)
        .map_err(|e| CaptureError::internal("read the counters", e))?
        .unwrap_or_default();
    for of_one in &of_processors {
        for (sum, value) in sums.iter_mut().zip(of_one.as_chunks::<8>().0) {
            *sum += u64::from_ne_bytes(*value);
        }
    }
    Ok(sums)
}

fn attach_error(path: &Path, cause: &libbpf_rs::Error) -> CaptureError {
    let context = format!("attach to cgroup {}", path.display());
    if cause.kind() == libbpf_rs::ErrorKind::PermissionDenied {
        return CaptureError::new(
            Code::NoCapability,
            format!(
                "{context}: {cause}. Another program on this cgroup may forbid a second one; look with bpftool cgroup tree"
            ),
        );
    }
    CaptureError::internal(&context, cause)
}

/// Asked beforehand: a kernel may load the programs and refuse to attach them.
pub(crate) fn check_capabilities() -> Result<(), CaptureError> {
    let missing = missing_capabilities(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    if missing.is_empty() {
        return Ok(());
    }
    Err(CaptureError::new(
        Code::NoCapability,
        format!(
            "load the BPF programs: not permitted. This process lacks {}. Run it as root, or grant them (systemd AmbientCapabilities=, Kubernetes securityContext.capabilities.add)",
            missing.join(", ")
        ),
    ))
}

pub(crate) fn load_error(cause: libbpf_rs::Error) -> CaptureError {
    let said = LIBBPF_SAYS.lock().map(|s| s.clone()).unwrap_or_default();
    let last: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
    let last = last[last.len().saturating_sub(6)..].join(" | ");
    // E2BIG and EFAULT come from the verifier's limits, EACCES and EINVAL from its rules: our bug on this kernel.
    let what = if said.contains("BEGIN PROG LOAD LOG") {
        "The kernel's verifier refuses them: a bug of podmirror on this kernel, please report it with this message"
    } else {
        "Linux 5.10 or newer with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF is needed"
    };
    CaptureError::new(Code::KernelFeature, format!("load the BPF programs: {cause}. libbpf says: {last}. {what}"))
}

/// The names of the needed capabilities that the text of /proc/self/status does not show as effective.
fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |bit: u32| effective & (1 << bit) != 0;
    // CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON.
    CAPABILITIES
        .iter()
        .filter(|(name, bit)| !has(*bit) && (*name == "CAP_NET_ADMIN" || !has(CAP_SYS_ADMIN)))
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::missing_capabilities;

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(missing_capabilities("CapEff:\t0000000000000000\n"), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing_capabilities("CapEff:\t000001ffffffffff\n"), [] as [&str; 0]);
        assert_eq!(missing_capabilities("CapEff:\t0000000000200000\n"), ["CAP_NET_ADMIN"]);
    }
}
