//! Plaintext of TLS connections that nobody has the secrets of, from probes on the read and write functions of their library.
//!
//! The second choice: such a probe is hit with every request, and costs the server. So probes stand while there is somebody to
//! read that way, and are gone with the last of them. In mode `auto` these are connections that are older than the capture
//! (`older`), and those that cannot be decrypted (`sealed`); the others are read by their secrets. While probes stand, the
//! calls of a connection that began under the capture come beside its packets until it is known which of them is read
//! (`Flow::call`), and never are both. `Calls` belongs to the capture's owner thread and never makes it wait: a thread of its
//! own (`seeker`) loads, finds libraries, puts probes and takes them away. Every time they are loaded anew, so that nothing is
//! remembered of handles that were freed meanwhile.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use libbpf_rs::{AsRawLibbpf, MapHandle, RingBuffer, RingBufferBuilder};

use crate::counters::CALL_COUNTS;
use crate::error::CaptureError;
use crate::kernel::{self, Kernel, Kind};
use crate::tls_probes::processes::Target;

mod call;
mod older;
mod programs;
#[cfg(test)]
mod root_tests;
mod sealed;
mod seeker;
mod sites;
mod stream;
#[cfg(test)]
mod stream_tests;

pub use call::{Call, Kind as CallKind};
pub use stream::Stream;

use older::Older;
use programs::Shared;
use sealed::Sealed;
use seeker::{Ask, News, Rows, Seeker, Stood, lock};

/// `enum flow_class` of kernel/plaintext.bpf.c.
const JOINED: u32 = 2;
const OTHER: u32 = 4;
const TLS: u32 = 6;
const CALLED: u32 = 7;
/// Of events, at once: the owner thread has packets to drain too.
const DRAIN_EVENTS: usize = 4096;
/// Probes that are taken away are waited for by a close, but not for ever.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Whose calls are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Connections that cannot be decrypted, while there are any.
    Undecrypted,
    /// All TLS connections, always.
    All,
}

pub struct Calls {
    scope: Scope,
    older: Older,
    sealed: Sealed,
    stood: Stood,
    targets: BTreeSet<u64>,
    asked: BTreeSet<u64>,
    asks: Sender<Ask>,
    news: Receiver<News>,
    rows: Rows,
    loaded: Option<Loaded>,
    /// Of programs that are gone.
    counted: [u64; CALL_COUNTS],
    refused: Option<String>,
    stopped: bool,
}

struct Loaded {
    ring: RingBuffer<'static>,
    /// Taken from the ring.
    events: Rc<RefCell<VecDeque<Vec<u8>>>>,
    round: Round,
    counts: MapHandle,
    /// No probe stands any more.
    gone: bool,
}

/// Goes over the calls that had been made when it began, however many come meanwhile.
#[derive(Default)]
struct Round {
    /// Of these calls, in the ring.
    end: Option<u64>,
}

impl Round {
    /// `written`, `read`: how far, since the ring began.
    fn begin(&mut self, written: u64) {
        self.end.get_or_insert(written);
    }

    fn is_over(&mut self, read: u64) -> bool {
        self.end.take_if(|end| read >= *end).is_some()
    }
}

/// Whether this kernel takes all programs. Errors: as `Programs::load`.
pub fn load_every_program(kernel: &Kernel) -> Result<(), CaptureError> {
    programs::Programs::load(&share(kernel)?, 0).map(drop)
}

fn share(kernel: &Kernel) -> Result<Shared, CaptureError> {
    let own = |fd: BorrowedFd| {
        fd.try_clone_to_owned().map_err(|e| CaptureError::internal("share a map with the probes on calls", e))
    };
    Ok(Shared { targets: own(kernel.targets())?, flows: own(kernel.flows())?, controls: own(kernel.control_slots())? })
}

impl Calls {
    /// Nothing is loaded yet. Errors: no thread can be started, or no descriptor be copied.
    pub fn new(kernel: &Kernel, scope: Scope) -> Result<Self, CaptureError> {
        let shared = share(kernel)?;
        let classes = match scope {
            Scope::Undecrypted => 1 << JOINED | 1 << CALLED | 1 << TLS,
            // Nobody copies packets of TLS then: to plaintext.bpf.c it is like any other protocol.
            Scope::All => 1 << JOINED | 1 << CALLED | 1 << OTHER,
        };
        let (asks, received) = mpsc::channel();
        let (told, news) = mpsc::channel();
        let rows = Rows::default();
        let stood = Stood::default();
        let seeker = Seeker::new(shared, classes, told, Arc::clone(&rows), Arc::clone(&stood));
        std::thread::Builder::new()
            .name("podmirror-calls".into())
            .spawn(move || seeker.serve(&received))
            .map_err(|e| CaptureError::internal("start the thread of probes on calls", e))?;
        Ok(Self {
            scope,
            older: Older::new(Instant::now()),
            sealed: Sealed::new(Instant::now()),
            stood,
            targets: BTreeSet::new(),
            asked: BTreeSet::new(),
            asks,
            news,
            rows,
            loaded: None,
            counted: [0; CALL_COUNTS],
            refused: None,
            stopped: false,
        })
    }

    /// All targets, whenever one came or went: cgroup id, directory, kind.
    pub fn set_targets(&mut self, targets: &[(u64, PathBuf, Kind)]) {
        self.targets = targets.iter().filter(|(_, _, kind)| *kind != Kind::Excluded).map(|(id, ..)| *id).collect();
        let targets = targets.iter().map(|(id, path, kind)| Target { id: *id, path: path.clone(), kind: *kind });
        self.ask(Ask::Targets(targets.collect()));
    }

    /// This target, or child of one, has a connection that began under the capture and cannot be decrypted.
    pub fn note(&mut self, target: u64) {
        self.sealed.note(target, Instant::now());
    }

    /// Calls of such a connection were read.
    pub fn note_read(&mut self, target: u64) {
        self.sealed.read(target);
    }

    /// Sees whose calls are to be read. `sealed`: the targets that have connections as `note` is told of. `is_of_use`: whether
    /// probes are of use to one that speaks again. True: none are any more, and what was read of connections is at its end.
    pub fn tick(
        &mut self,
        kernel: &Kernel,
        now_ns: u64,
        sealed: impl FnOnce() -> BTreeSet<u64>,
        is_of_use: impl Fn(u64) -> bool,
    ) -> bool {
        let wanted = match self.scope {
            _ if self.stopped => BTreeSet::new(),
            Scope::Undecrypted => {
                let now = Instant::now();
                self.sealed.look(now, sealed);
                let tried = &self.sealed;
                self.older.look(kernel, now, now_ns, |flow| {
                    flow.is_older || (tried.is_wanted(flow.target).is_some() && is_of_use(flow.id))
                });
                self.older.targets().into_iter().chain(self.sealed.targets()).collect()
            }
            Scope::All => self.targets.clone(),
        };
        if wanted != self.asked {
            self.asked.clone_from(&wanted);
            self.ask(Ask::Want(wanted));
        }
        let mut over = false;
        if let Some(loaded) = self.loaded.take_if(|loaded| loaded.gone && loaded.events.borrow().is_empty()) {
            add(&mut self.counted, &loaded.count());
            over = true;
        }
        // The next ones only when the last are done with: what is in their ring comes first.
        while self.loaded.as_ref().is_none_or(|loaded| !loaded.gone)
            && let Ok(news) = self.news.try_recv()
        {
            match news {
                News::Loaded { ring, counts } => match Loaded::new(&ring, counts) {
                    Ok(loaded) => self.loaded = Some(loaded),
                    Err(error) => self.refused = Some(error.to_string()),
                },
                News::Gone => {
                    if let Some(loaded) = &mut self.loaded {
                        loaded.gone = true;
                        while loaded.collect() {}
                    }
                }
                News::Refused(why) => self.refused = Some(why),
            }
        }
        over
    }

    /// Makes ready what was read and written, for `take`. Packets that are drained afterwards have all that went before these
    /// calls among them. True: with them, all are ready or taken that had been made when it was first called with `may_begin`
    /// since it said so last.
    pub fn collect(&mut self, may_begin: bool) -> bool {
        match &mut self.loaded {
            Some(loaded) if !loaded.gone => loaded.events.borrow().is_empty() && loaded.collect_of_round(may_begin),
            _ => true,
        }
    }

    /// How many calls wait for `take`.
    pub fn ready(&self) -> usize {
        self.loaded.as_ref().map_or(0, |loaded| loaded.events.borrow().len())
    }

    /// Hands over what was made ready, in the order of each connection's calls.
    pub fn take(&mut self, mut deliver: impl FnMut(&[u8])) {
        let Some(loaded) = &self.loaded else {
            return;
        };
        for event in loaded.events.take() {
            deliver(&event);
        }
    }

    /// Probes were asked for, for this target.
    #[cfg(test)]
    pub fn wants(&self, target: u64) -> bool {
        self.asked.contains(&target)
    }

    /// CLOCK_MONOTONIC in nanoseconds since when no probe has come to those that stand: of connections that began later all
    /// calls are seen.
    pub fn stood_ns(&self) -> u64 {
        self.stood.load(Ordering::Acquire)
    }

    /// The calls of this connection are of no use.
    pub fn forget(&mut self, flow_id: u64) {
        self.older.forget(flow_id);
    }

    /// `enum call_count` of kernel/call.h since the capture began.
    pub fn counts(&self) -> [u64; CALL_COUNTS] {
        let mut sum = self.counted;
        if let Some(loaded) = &self.loaded {
            add(&mut sum, &loaded.count());
        }
        sum
    }

    /// Libraries of this target, or child of one, on whose functions probes stand, and how; empty: none stand.
    pub fn standing(&self, id: u64) -> Vec<String> {
        self.of(id, |stands| stands.as_ref().ok().cloned())
    }

    /// What a person should know about connections of this target: how they are read now. Of a capture that was stopped nothing
    /// is to be said; what became of them is counted.
    pub fn notes(&self, id: u64) -> Vec<String> {
        if self.stopped {
            return Vec::new();
        }
        let older = self.older.count(id);
        let standing = self.standing(id);
        let mut notes = Vec::new();
        let whose = match (self.scope, older, self.sealed.is_wanted(id)) {
            (Scope::Undecrypted, 0, Some(false)) => return notes,
            (Scope::Undecrypted, 0, None) => {
                notes.push(
                    "TLS connections that cannot be decrypted are not read: for minutes no call of them was seen"
                        .to_owned(),
                );
                return notes;
            }
            (Scope::Undecrypted, 0, Some(true)) => "TLS connections cannot be decrypted".to_owned(),
            (Scope::Undecrypted, n, _) => format!("{n} TLS connections are older than the agent"),
            (Scope::All, ..) => "TLS is read by calls".to_owned(),
        };
        if let Some(why) = &self.refused {
            notes.push(format!("{whose}, and not read: {why}"));
        } else if !standing.is_empty() {
            notes.push(format!("{whose}: probes stand on each of their reads and writes, in {}", standing.join(", ")));
        } else if self.scope == Scope::Undecrypted {
            notes.push(format!("{whose}, and not read: no library with functions that can be probed was found (yet)"));
        }
        for why in self.of(id, |stands| stands.as_ref().err().cloned()) {
            notes.push(format!("no probes on calls in {why}"));
        }
        notes
    }

    fn of(&self, id: u64, which: impl Fn(&Result<String, String>) -> Option<String>) -> Vec<String> {
        let rows = Arc::clone(&lock(&self.rows));
        let of_target = rows.iter().filter(|row| row.target == id || row.member == id);
        let told: BTreeMap<&str, String> =
            of_target.filter_map(|row| Some((row.library.as_str(), which(&row.stands)?))).collect();
        told.into_iter().map(|(library, how)| format!("{library} ({how})")).collect()
    }

    /// Takes all probes away, and waits for that for two seconds at most. What was read before can still be taken.
    pub fn stop(&mut self) {
        let (stopped, done) = mpsc::channel();
        if self.asks.send(Ask::Stop(stopped)).is_ok() {
            // Late or gone is all the same to us: links go with the thread.
            let _ = done.recv_timeout(STOP_WITHIN);
        }
        self.stopped = true;
        self.asked.clear();
        if let Some(loaded) = &mut self.loaded {
            while loaded.collect() {}
            loaded.gone = true;
        }
    }

    fn ask(&self, ask: Ask) {
        // After `stop` nobody listens any more.
        let _ = self.asks.send(ask);
    }
}

impl Loaded {
    fn new(ring: &MapHandle, counts: MapHandle) -> Result<Self, libbpf_rs::Error> {
        let events = Rc::new(RefCell::new(VecDeque::new()));
        let into = Rc::clone(&events);
        let mut builder = RingBufferBuilder::new();
        builder.add(ring, move |event| {
            into.borrow_mut().push_back(event.to_vec());
            0
        })?;
        Ok(Self { ring: builder.build()?, events, round: Round::default(), counts, gone: false })
    }

    /// True: there may be more.
    fn collect(&mut self) -> bool {
        usize::try_from(self.ring.consume_raw_n(DRAIN_EVENTS)).is_ok_and(|n| n >= DRAIN_EVENTS)
    }

    fn collect_of_round(&mut self, may_begin: bool) -> bool {
        if may_begin {
            self.round.begin(self.written());
        }
        self.collect();
        // One that is still being written holds up those behind it.
        self.round.is_over(self.read())
    }

    fn written(&self) -> u64 {
        // SAFETY: asks for a number of a ring that lives as long as self.
        unsafe { libbpf_sys::ring__producer_pos(self.only_ring()) }
    }

    fn read(&self) -> u64 {
        // SAFETY: as above.
        unsafe { libbpf_sys::ring__consumer_pos(self.only_ring()) }
    }

    fn only_ring(&self) -> *const libbpf_sys::ring {
        // SAFETY: the ring buffer lives, and the first of its rings is the one that `new` has added.
        unsafe { libbpf_sys::ring_buffer__ring(self.ring.as_libbpf_object().as_ptr(), 0) }
    }

    fn count(&self) -> [u64; CALL_COUNTS] {
        // A map that lives and has this value cannot fail to be read.
        kernel::sum_percpu(&self.counts).unwrap_or([0; CALL_COUNTS])
    }
}

fn add(sum: &mut [u64; CALL_COUNTS], counts: &[u64; CALL_COUNTS]) {
    for (sum, n) in sum.iter_mut().zip(counts) {
        *sum += n;
    }
}

#[cfg(test)]
mod tests {
    use super::Round;

    #[test]
    fn a_round_is_over_once_the_calls_from_before_it_are_read_however_many_come_meanwhile() {
        let mut round = Round::default();
        for (written, read, is_over) in [
            (100, 40, false),
            (200, 80, false),
            (300, 120, true),
            (400, 160, false),
            (500, 400, true),
            (500, 500, true),
        ] {
            round.begin(written);
            assert_eq!(round.is_over(read), is_over, "{read} of {written}");
        }
    }
}
