//! What is known of the TLS of a target's processes, for people.
use std::collections::HashMap;

/// One row per process and library that is, or may be, a TLS library; one row without a library for a process that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessCoverage {
    pub pid: u32,
    /// The path in the process's own root; its command name when that is not to be had.
    pub executable: String,
    /// The path in the process's own root.
    pub library: Option<String>,
    /// "OpenSSL 3.0.19"
    pub version: Option<String>,
    pub build_id: Option<String>,
    /// "inner keylog function at +0x32e50", or why there is none.
    pub probe: String,
    /// Whether a probe stands.
    pub attached: bool,
    /// Secrets that this process logged through this library's probe. 0 is no failure: it may not have had a handshake.
    pub hits: u64,
    /// Where the probe stands in this process.
    pub(super) probe_at: Option<u64>,
    pub(super) target: u64,
    pub(super) member: u64,
}

/// A bound on what a container full of processes takes.
const MAX_KEPT: usize = 16_384;

/// Secrets by the instruction that logged them.
#[derive(Default)]
pub struct Hits(HashMap<(u32, u64), u64>);

impl Hits {
    /// False: there is no room for another process.
    pub fn count(&mut self, tgid: u32, ip: u64) -> bool {
        if self.0.len() >= MAX_KEPT && !self.0.contains_key(&(tgid, ip)) {
            return false;
        }
        *self.0.entry((tgid, ip)).or_default() += 1;
        true
    }

    pub fn of(&self, row: &ProcessCoverage) -> u64 {
        row.probe_at.and_then(|ip| self.0.get(&(row.pid, ip))).copied().unwrap_or(0)
    }

    /// Forgets processes that are gone.
    pub fn retain(&mut self, alive: impl Fn(u32) -> bool) {
        self.0.retain(|(tgid, _), _| alive(*tgid));
    }
}
