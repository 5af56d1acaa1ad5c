//! What is known of the TLS of a target's processes, for people.
use std::collections::HashMap;

use super::canary::Proof;
use crate::tls::Logger;

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
    /// Whether its breakpoint stands in this process; None: that is not known (yet).
    pub armed: Option<bool>,
    /// Connections whose records verified with a secret that this process logged there.
    pub verified: u64,
    pub proof: Proof,
    /// Where the probe stands in this process.
    pub(super) probe_at: Option<u64>,
    pub(super) target: u64,
    pub(super) member: u64,
}

/// A bound on what a container full of processes takes.
const MAX_KEPT: usize = 16_384;

/// Secrets, and what came of them, by the instruction that logged them.
#[derive(Default)]
pub struct Hits(HashMap<Logger, Hit>);

#[derive(Clone, Copy, Default)]
pub struct Hit {
    pub secrets: u64,
    /// Connections.
    pub verified: u64,
}

impl Hits {
    /// False: there is no room for another process.
    pub fn count(&mut self, by: Logger) -> bool {
        if self.0.len() >= MAX_KEPT && !self.0.contains_key(&by) {
            return false;
        }
        self.0.entry(by).or_default().secrets += 1;
        true
    }

    /// Records of another connection verified with what it logged.
    pub fn verified(&mut self, by: Logger) {
        if let Some(hit) = self.0.get_mut(&by) {
            hit.verified += 1;
        }
    }

    pub fn of(&self, row: &ProcessCoverage) -> Hit {
        let hit = |ip| self.0.get(&Logger { tgid: row.pid, ip });
        row.probe_at.and_then(hit).copied().unwrap_or_default()
    }

    /// Forgets processes that are gone.
    pub fn retain(&mut self, alive: impl Fn(u32) -> bool) {
        self.0.retain(|by, _| alive(by.tgid));
    }
}
