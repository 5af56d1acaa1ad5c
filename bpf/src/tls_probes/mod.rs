//! Secrets of TLS connections of targets, from probes on the functions to which TLS libraries hand them for logging.
//!
//! `Probes` belongs to the capture's owner thread and never makes it wait: it pops secrets, and passes on what the kernel
//! notes of new programs. A thread of its own (`scanner`) looks at processes and holds the probes; another (`analysis`) reads
//! and decodes files. A probe is inode-wide: one per file, for all processes that map it, now or later; the kernel side
//! leaves at once for those that are no target.
use std::collections::{BTreeMap, HashSet};
use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zeroize::{Zeroize, Zeroizing};

use crate::clock::monotonic_ns;
use crate::error::CaptureError;
use crate::kernel::Kind;
use crate::tls::Logger;

pub(crate) mod analysis;
mod canary;
mod contradiction;
mod coverage;
pub(crate) mod files;
pub(crate) mod finding;
mod labels;
pub(crate) mod maps;
mod pagemap;
pub(crate) mod processes;
pub(crate) mod programs;
#[cfg(test)]
mod root_tests;
mod scanner;
mod schedule;
mod secret;
mod smaps;
mod stands;
mod tally;
pub(crate) mod uprobes;

pub use coverage::ProcessCoverage;
pub use secret::LoggedSecret;

use canary::Proof;
use contradiction::Contradictions;
use coverage::Hits;
use programs::Programs;
use scanner::{Ask, Published, Scanner, lock};
use secret::{EXEC_VALUE, Origin, SECRET_VALUE};
use tally::Tally;

/// Of secrets, per call: the owner thread has packets to drain too. As many as the queue holds, so that all are popped that
/// were logged before: calls are taken behind the secrets from before them (rounds.rs).
const POP_AT_ONCE: usize = 8192;
const EXECS_AT_ONCE: usize = 256;
/// The scanner may be reading a large file system or decoding nothing at all; a close does not wait for ever.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// What connections without secrets say of the probes; processes are looked at every five seconds.
const JUDGE_EVERY: Duration = Duration::from_millis(250);

pub struct Probes {
    secrets: OwnedFd,
    execs: OwnedFd,
    tally: Tally,
    asks: Sender<Ask>,
    published: Arc<Mutex<Published>>,
    value: Zeroizing<[u8; SECRET_VALUE]>,
    /// What of the tally is dealt with.
    popped: u64,
    noted: u64,
    missed: u64,
    hits: Hits,
    contradictions: Contradictions,
    judged: Instant,
    lost: Lost,
}

/// What was popped and is of no use, and hits that coverage does not show.
#[derive(Default)]
struct Lost {
    labels: u64,
    malformed: u64,
    hits: u64,
}

/// Whether this kernel takes all programs, also those that no library here may need. Errors: as `Probes::load`.
pub fn load_every_program(targets: BorrowedFd) -> Result<(), CaptureError> {
    Programs::load(targets)?.load_log()
}

impl Probes {
    /// Loads the programs; no probe stands yet. `targets`: the map of that name (`Kernel::targets`).
    ///
    /// Errors: `NoCapability` without CAP_BPF and CAP_PERFMON; `KernelFeature` when the kernel refuses the programs, which
    /// before Linux 5.14 need its BTF. Plaintext goes on without: say the message in coverage.
    pub fn load(targets: BorrowedFd) -> Result<Self, CaptureError> {
        let programs = Programs::load(targets)?;
        let (secrets, execs) = (programs.map("secrets")?, programs.map("execs")?);
        let tally = Tally::map(programs.map("tally")?.as_fd())?;
        let (asks, received) = mpsc::channel();
        let done = asks.clone();
        let thread = |e: std::io::Error| CaptureError::internal("start the threads that look for TLS libraries", e);
        let jobs = analysis::start(move |answer| done.send(Ask::Done(Box::new(answer))).is_ok()).map_err(thread)?;
        let published = Arc::new(Mutex::new(Published::default()));
        let scanner = Scanner::new(programs, jobs, Arc::clone(&published));
        std::thread::Builder::new()
            .name("podmirror-libs".into())
            .spawn(move || scanner.serve(&received))
            .map_err(thread)?;
        Ok(Self {
            secrets,
            execs,
            tally,
            asks,
            published,
            value: Zeroizing::new([0; SECRET_VALUE]),
            popped: 0,
            noted: 0,
            missed: 0,
            hits: Hits::default(),
            contradictions: Contradictions::default(),
            judged: Instant::now(),
            lost: Lost::default(),
        })
    }

    /// All targets, whenever one came or went: cgroup id, directory, kind.
    pub fn set_targets(&self, targets: &[(u64, PathBuf, Kind)]) {
        let targets =
            targets.iter().map(|(id, path, kind)| processes::Target { id: *id, path: path.clone(), kind: *kind });
        self.ask(Ask::Targets(targets.collect()));
    }

    /// Connections of this target, or child of one, stay dark: looks at its processes now rather than within five seconds.
    pub fn look_again(&self, id: u64) {
        self.ask(Ask::LookAgain(id));
    }

    /// Passes new programs on. Two reads of memory when there is none.
    pub fn tick(&mut self) {
        let execs = self.tally.execs();
        if execs != self.noted {
            let mut noted = Vec::new();
            let mut value = [0; EXEC_VALUE];
            while noted.len() < EXECS_AT_ONCE {
                if !pop(self.execs.as_fd(), &mut value) {
                    self.noted = execs;
                    break;
                }
                noted.extend(secret::parse_exec(&value));
            }
            self.ask(Ask::Execed(noted));
        }
        let missed = self.tally.execs_lost();
        if missed != self.missed {
            self.missed = missed;
            self.ask(Ask::Round);
        }
        if self.contradictions.is_open() && self.judged.elapsed() >= JUDGE_EVERY {
            self.judged = Instant::now();
            let published = lock(&self.published);
            self.contradictions.judge(published.looked_ns, |target| published.standing.get(&target).copied());
        }
    }

    /// Records of a connection verified with a secret of this logger.
    pub fn note_verified(&mut self, by: Logger) {
        self.hits.verified(by);
    }

    /// A connection of this target, or child of one, got to where it is encrypted, and no secret of it was logged. `began_ns`:
    /// CLOCK_MONOTONIC.
    pub fn note_unlogged(&mut self, id: u64, began_ns: u64) {
        self.contradictions.unlogged(id, began_ns, monotonic_ns());
    }

    /// Hands over the secrets that were logged since the last call, in the order of the calls. One read of memory when
    /// there is none.
    pub fn pop(&mut self, deliver: &mut impl FnMut(LoggedSecret)) {
        let pushed = self.tally.pushed();
        if pushed == self.popped {
            return;
        }
        for _ in 0..POP_AT_ONCE {
            if !pop(self.secrets.as_fd(), &mut *self.value) {
                self.popped = pushed;
                break;
            }
            match secret::parse(&self.value) {
                Some((secret, origin)) => {
                    if let Some(secret) = self.complete(secret, &origin) {
                        deliver(secret);
                    }
                }
                None => self.lost.malformed += 1,
            }
        }
        self.value.zeroize();
    }

    fn complete(&mut self, mut secret: LoggedSecret, origin: &Origin) -> Option<LoggedSecret> {
        self.contradictions.hit(secret.target, secret.ktime_ns);
        if !self.hits.count(secret.by) {
            let rows = Arc::clone(&lock(&self.published).rows);
            let alive: HashSet<u32> = rows.iter().map(|row| row.pid).collect();
            self.hits.retain(|tgid| alive.contains(&tgid));
            if !self.hits.count(secret.by) {
                self.lost.hits += 1;
            }
        }
        if secret.label.is_empty() {
            let labels = &lock(&self.published).labels;
            let found: HashSet<&str> =
                labels.iter().filter_map(|labels| labels.find(origin.label_at, secret.by.ip)).collect();
            // Two files that tell it differently: neither is believed.
            let (Some(label), 1) = (found.iter().next(), found.len()) else {
                self.lost.labels += 1;
                return None;
            };
            secret.label = (*label).to_owned();
        }
        Some(secret)
    }

    /// Of one target, or of one child of a target that tells its children apart; at most some 50 ms old.
    pub fn coverage(&self, id: u64) -> Vec<ProcessCoverage> {
        let rows = Arc::clone(&lock(&self.published).rows);
        let of_target = rows.iter().filter(|row| row.target == id || row.member == id);
        of_target.map(|row| self.proven(row.clone())).collect()
    }

    fn proven(&self, mut row: ProcessCoverage) -> ProcessCoverage {
        let hit = self.hits.of(&row);
        (row.hits, row.verified) = (hit.secrets, hit.verified);
        // Beside a library of which it is known that nobody gets its secrets, silence says nothing about this one.
        let is_explained = || lock(&self.published).keyless.contains(&row.member);
        let contradicted = self.contradictions.is_contradicted(row.member) && !is_explained();
        row.proof = Proof::of(row.attached, row.armed, row.verified, contradicted);
        if row.proof == Proof::Contradicted {
            row.probe += "; connections that began since it stands logged nothing there, nor anywhere else in this target: their TLS is not this library's, or does not pass by the probe";
        }
        row
    }

    /// Whether this target, or child of one, has a process with a TLS library whose secrets nobody gets.
    pub fn is_keyless(&self, id: u64) -> bool {
        self.contradictions.is_contradicted(id) || lock(&self.published).keyless.contains(&id)
    }

    /// Counts by name: `secrets` that were logged, `lost_…` and why, `execs`, `hits_by_others`, `probes` that stand.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut counts = self.tally.counts();
        counts.insert("lost_label_unknown".to_owned(), self.lost.labels);
        counts.insert("lost_malformed".to_owned(), self.lost.malformed);
        counts.insert("hits_not_shown".to_owned(), self.lost.hits);
        counts.insert("probes".to_owned(), lock(&self.published).links as u64);
        counts
    }

    /// Takes all probes away, and waits for that for two seconds at most. What was logged before can still be popped.
    pub fn stop(&mut self) {
        let (stopped, done) = mpsc::channel();
        if self.asks.send(Ask::Stop(stopped)).is_ok() {
            // Late or gone is all the same to us: links go with the thread.
            let _ = done.recv_timeout(STOP_WITHIN);
        }
        let mut published = lock(&self.published);
        *published = Published { labels: std::mem::take(&mut published.labels), ..Published::default() };
    }

    fn ask(&self, ask: Ask) {
        // After `stop` nobody listens any more.
        let _ = self.asks.send(ask);
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.ask(Ask::Stop(mpsc::channel().0));
    }
}

/// False: the queue is empty.
fn pop(queue: BorrowedFd, value: &mut [u8]) -> bool {
    // SAFETY: queues have no key, and both queues' values are exactly as long as the slices that are given here.
    let result = unsafe {
        libbpf_sys::bpf_map_lookup_and_delete_elem(
            queue.as_raw_fd(),
            std::ptr::null(),
            value.as_mut_ptr().cast::<c_void>(),
        )
    };
    result == 0
}
