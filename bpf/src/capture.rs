//! The owner thread: the BPF object, its links, the ring, and all that is known of connections live and die on it.
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cgroup;
use crate::counters::Counters;
use crate::error::{CaptureError, Code};
use crate::flow::Limits;
use crate::flows::{Flows, discard_released};
use crate::kernel::{Kernel, Rings, Storage};
use crate::ledger::{Discard, Drop, Ledger};
use crate::queue::{Encoded, Queue};
use crate::record::Record;
use crate::wire::{Exchange, Identity};

/// The ring is drained this often; records wake nobody (BPF_RB_NO_WAKEUP), which is what keeps the datapath cheap.
const TICK: Duration = Duration::from_millis(1);
/// After this many empty drains the tick grows to `IDLE_TICK`: an idle node should cost nothing.
const IDLE_AFTER: u32 = 100;
const IDLE_TICK: Duration = Duration::from_millis(10);
/// A batch is closed when it is full or this old.
const LINGER: Duration = Duration::from_millis(50);
/// Records of one drain, of each direction.
const DRAIN_RECORDS: usize = 16384;
const EXPIRE_EVERY: Duration = Duration::from_secs(30);
/// More packets than this cannot be between two counters of the kernel when they are read.
const READ_SLACK_BYTES: u64 = 4 << 20;

pub type Reply<T> = SyncSender<Result<T, CaptureError>>;
pub type Deliver = Box<dyn FnOnce(Option<Encoded>) + Send>;

#[derive(Clone)]
pub struct Options {
    pub node: String,
    pub agent_version: String,
    pub ring_bytes: u32,
    pub max_flows: usize,
    pub max_queue_bytes: usize,
    pub max_batch_bytes: usize,
    pub limits: Limits,
}

pub enum Outcome {
    Delivered,
    Dropped(String),
}

pub enum Command {
    Select(PathBuf, Identity, Reply<()>),
    Release(PathBuf, Reply<bool>),
    Next { deadline: Instant, deliver: Deliver },
    Settle(String, Outcome, Reply<bool>),
    Account(Reply<Account>),
    Coverage(Reply<Vec<TargetCoverage>>),
    Stop(Reply<()>),
    Close,
}

/// What `ledger()` shows.
#[derive(Clone, Default)]
pub struct Account {
    pub ledger: Ledger,
    pub counters: Counters,
    pub in_flight: u64,
    /// In reassembly, or between the kernel and the agent.
    pub held: u64,
    pub closes: bool,
}

impl Account {
    fn new(ledger: &Ledger, counters: Counters, in_flight: u64, held_in_flows: u64) -> Self {
        let ledger = ledger.clone();
        let exchanges = ledger.captured == ledger.delivered + ledger.dropped_total() + in_flight;
        let slack = counters.seen().abs_diff(counters.accounted()) <= READ_SLACK_BYTES;
        let drained = ledger.drained == ledger.parsed + ledger.discarded_total() + held_in_flows;
        let held = counters.copied().saturating_sub(ledger.drained) + held_in_flows;
        Self { closes: exchanges && slack && drained, ledger, counters, in_flight, held }
    }
}

pub struct TargetCoverage {
    pub cgroup: String,
    pub identity: Identity,
    pub selected_at_ms: f64,
    pub last_exchange_at_ms: Option<f64>,
    pub exchanges: u64,
    pub connections: BTreeMap<String, u64>,
    pub notes: Vec<String>,
}

struct Target {
    path: PathBuf,
    identity: Arc<Identity>,
    selected_at: SystemTime,
    last_exchange_at: Option<SystemTime>,
    exchanges: u64,
}

/// All that the drained records touch.
struct State {
    flows: Flows,
    queue: Queue,
    ledger: Ledger,
    targets: HashMap<u64, Target>,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, nanoseconds.
    wall_offset_ns: u64,
    /// When the oldest queued exchange came.
    queued_since: Option<Instant>,
    drained_records: u64,
}

impl State {
    fn take(&mut self, bytes: &[u8], kernel: &Kernel) {
        let Some(record) = Record::parse(bytes) else {
            self.ledger.discard(Discard::BadRecord, 0);
            return;
        };
        self.drained_records += 1;
        self.ledger.drained += record.payload.len() as u64;
        if !self.targets.contains_key(&record.target) {
            discard_released(&record, &mut self.ledger);
            return;
        }
        let Self { flows, queue, ledger, targets, wall_offset_ns, queued_since, .. } = self;
        let mut finished = Finished { targets, wall_offset_ns: *wall_offset_ns, out: Vec::new() };
        let wish = flows.push(&record, ledger, &mut |target, exchange| finished.add(target, exchange));
        finished.enqueue(queue, ledger, queued_since);
        kernel.controls.write(record.flow_id, &wish);
    }

    fn with_flows(&mut self, act: impl FnOnce(&mut Flows, &mut Ledger, &mut dyn FnMut(u64, Exchange))) {
        let Self { flows, queue, ledger, targets, wall_offset_ns, queued_since, .. } = self;
        let mut finished = Finished { targets, wall_offset_ns: *wall_offset_ns, out: Vec::new() };
        act(flows, ledger, &mut |target, exchange| finished.add(target, exchange));
        finished.enqueue(queue, ledger, queued_since);
    }
}

/// Exchanges that just became whole.
struct Finished<'a> {
    targets: &'a mut HashMap<u64, Target>,
    wall_offset_ns: u64,
    out: Vec<(Option<Arc<Identity>>, Exchange)>,
}

impl Finished<'_> {
    fn add(&mut self, target: u64, mut exchange: Exchange) {
        if let Some(timing) = exchange.timing.as_mut() {
            timing.request_start_ns += self.wall_offset_ns;
        }
        let identity = self.targets.get_mut(&target).map(|target| {
            target.exchanges += 1;
            target.last_exchange_at = Some(SystemTime::now());
            target.identity.clone()
        });
        self.out.push((identity, exchange));
    }

    fn enqueue(self, queue: &mut Queue, ledger: &mut Ledger, since: &mut Option<Instant>) {
        for (identity, exchange) in self.out {
            match identity {
                Some(identity) => {
                    queue.push(exchange, identity, ledger);
                    since.get_or_insert_with(Instant::now);
                }
                None => ledger.drop_exchange(Drop::Released),
            }
        }
    }
}

struct Owner<'k, 'r> {
    options: &'r Options,
    kernel: &'r RefCell<Kernel<'k>>,
    state: &'r RefCell<State>,
    rings: RefCell<Rings>,
    waiting: Option<(Instant, Deliver)>,
    /// Handed out and not settled: id to exchanges.
    unsettled: HashMap<String, u64>,
    stopped: bool,
}

/// Runs until `Close` or until all senders are gone; returns the last account.
pub fn run(options: &Options, commands: &Receiver<Command>, ready: &Reply<()>) -> Account {
    let mut storage = Storage::uninit();
    let kernel = match Kernel::load(&mut storage, options.ring_bytes) {
        Ok(kernel) => RefCell::new(kernel),
        Err(error) => {
            let _ = ready.send(Err(error));
            return Account::default();
        }
    };
    let state = RefCell::new(State {
        flows: Flows::new(options.max_flows, options.limits.clone()),
        queue: Queue::new(options.max_queue_bytes, options.node.clone(), options.agent_version.clone()),
        ledger: Ledger::default(),
        targets: HashMap::new(),
        wall_offset_ns: wall_offset_ns(),
        queued_since: None,
        drained_records: 0,
    });
    let rings = match kernel.borrow().rings() {
        Ok(rings) => RefCell::new(rings),
        Err(error) => {
            let _ = ready.send(Err(error));
            return Account::default();
        }
    };
    let _ = ready.send(Ok(()));
    let mut owner = Owner {
        options,
        kernel: &kernel,
        state: &state,
        rings,
        waiting: None,
        unsettled: HashMap::new(),
        stopped: false,
    };
    owner.serve(commands)
}

impl Owner<'_, '_> {
    fn serve(&mut self, commands: &Receiver<Command>) -> Account {
        let mut idle = 0;
        let mut more = false;
        let mut last_expire = Instant::now();
        loop {
            let tick = if more {
                Duration::ZERO
            } else if idle < IDLE_AFTER {
                TICK
            } else {
                IDLE_TICK
            };
            match commands.recv_timeout(tick) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) | Ok(Command::Close) => break,
                Ok(command) => self.obey(command),
            }
            let before = self.state.borrow().drained_records;
            more = self.drain();
            idle = if self.state.borrow().drained_records == before { idle.saturating_add(1) } else { 0 };
            if last_expire.elapsed() > EXPIRE_EVERY {
                last_expire = Instant::now();
                self.expire();
            }
            self.serve_waiting();
        }
        self.stop();
        self.close()
    }

    fn obey(&mut self, command: Command) {
        // A reply that nobody waits for any more is no error.
        match command {
            Command::Select(path, identity, reply) => drop(reply.send(self.select(path, identity))),
            Command::Release(path, reply) => drop(reply.send(Ok(self.release(&path)))),
            Command::Next { deadline, deliver } => {
                if let Some((_, before)) = self.waiting.replace((deadline, deliver)) {
                    before(None);
                }
            }
            Command::Settle(id, outcome, reply) => drop(reply.send(Ok(self.settle(&id, outcome)))),
            Command::Account(reply) => drop(reply.send(self.account())),
            Command::Coverage(reply) => drop(reply.send(Ok(self.coverage()))),
            Command::Stop(reply) => {
                self.stop();
                drop(reply.send(Ok(())));
            }
            Command::Close => {}
        }
    }

    /// True: there may be more.
    fn drain(&self) -> bool {
        // Before the ring: what stands in it about these flows is then drained first.
        let ended = self.kernel.borrow_mut().take_lost_ends();
        // Bounded: under a flood there is always one more, and batches and commands wait meanwhile.
        let full = || {
            let (kernel, mut state) = (self.kernel.borrow(), self.state.borrow_mut());
            self.rings.borrow_mut().drain(DRAIN_RECORDS, |bytes| state.take(bytes, &kernel))
        };
        let mut more = full();
        for _ in 0..8 {
            if !more || ended.is_empty() {
                break;
            }
            more = full();
        }
        if !ended.is_empty() {
            self.state.borrow_mut().with_flows(|flows, ledger, mut done| flows.end(&ended, ledger, &mut done));
        }
        more
    }

    fn expire(&self) {
        let now_ns = monotonic_ns();
        let mut state = self.state.borrow_mut();
        state.wall_offset_ns = wall_offset_ns();
        state.with_flows(|flows, ledger, mut done| flows.expire(now_ns, ledger, &mut done));
    }

    fn select(&mut self, path: PathBuf, identity: Identity) -> Result<(), CaptureError> {
        if self.stopped {
            return Err(CaptureError::closed());
        }
        let (_, id) = cgroup::open(&path)?;
        if let Some(old) = self.id_of(&path)
            && old != id
        {
            // The directory was removed and made again: its probes went with it.
            self.kernel.borrow_mut().detach(&path);
            self.forget(old);
        }
        let mut state = self.state.borrow_mut();
        if let Some(target) = state.targets.get_mut(&id) {
            target.identity = Arc::new(identity);
            return Ok(());
        }
        let mut kernel = self.kernel.borrow_mut();
        kernel.add_target(id)?;
        let paths: Vec<PathBuf> = state.targets.values().map(|t| t.path.clone()).chain([path.clone()]).collect();
        if let Err(error) = kernel.attach(&cgroup::outermost(&paths)) {
            kernel.remove_target(id);
            return Err(error);
        }
        let target = Target {
            path,
            identity: Arc::new(identity),
            selected_at: SystemTime::now(),
            last_exchange_at: None,
            exchanges: 0,
        };
        state.targets.insert(id, target);
        Ok(())
    }

    fn release(&mut self, path: &PathBuf) -> bool {
        let Some(id) = self.id_of(path) else {
            return false;
        };
        self.kernel.borrow_mut().remove_target(id);
        self.drain();
        self.forget(id);
        let paths: Vec<PathBuf> = self.state.borrow().targets.values().map(|t| t.path.clone()).collect();
        let mut kernel = self.kernel.borrow_mut();
        if kernel.attach(&cgroup::outermost(&paths)).is_err() {
            // An inner target whose cgroup vanished; its owner will release it too.
            kernel.detach(path);
        }
        true
    }

    fn forget(&self, id: u64) {
        let mut state = self.state.borrow_mut();
        state.with_flows(|flows, ledger, mut done| flows.release(id, ledger, &mut done));
        state.targets.remove(&id);
        self.kernel.borrow_mut().remove_target(id);
    }

    fn id_of(&self, path: &PathBuf) -> Option<u64> {
        self.state.borrow().targets.iter().find(|(_, t)| t.path == *path).map(|(id, _)| *id)
    }

    fn settle(&mut self, id: &str, outcome: Outcome) -> bool {
        let Some(exchanges) = self.unsettled.remove(id) else {
            return false;
        };
        let ledger = &mut self.state.borrow_mut().ledger;
        match outcome {
            Outcome::Delivered => ledger.delivered += exchanges,
            Outcome::Dropped(why) => ledger.drop_settled(&why, exchanges),
        }
        true
    }

    fn account(&self) -> Result<Account, CaptureError> {
        // Read until two readings agree, so that a quiet node shows exact sums.
        let mut counters = self.kernel.borrow().counters()?;
        for _ in 0..3 {
            self.drain();
            let again = self.kernel.borrow().counters()?;
            if again == counters {
                break;
            }
            counters = again;
        }
        let state = self.state.borrow();
        let unsettled: u64 = self.unsettled.values().sum();
        let in_flight = state.flows.in_flight() + state.queue.len() as u64 + unsettled;
        Ok(Account::new(&state.ledger, counters, in_flight, state.flows.held_bytes()))
    }

    fn coverage(&self) -> Vec<TargetCoverage> {
        let kernel = self.kernel.borrow();
        let state = self.state.borrow();
        let mut all: Vec<TargetCoverage> = state
            .targets
            .iter()
            .map(|(id, target)| {
                let connections = kernel.connections(*id);
                TargetCoverage {
                    cgroup: target.path.display().to_string(),
                    identity: target.identity.as_ref().clone(),
                    selected_at_ms: epoch_ms(target.selected_at),
                    last_exchange_at_ms: target.last_exchange_at.map(epoch_ms),
                    exchanges: target.exchanges,
                    notes: notes(&connections, target.exchanges),
                    connections,
                }
            })
            .collect();
        all.sort_by(|a, b| a.cgroup.cmp(&b.cgroup));
        all
    }

    fn serve_waiting(&mut self) {
        let Some((deadline, _)) = &self.waiting else {
            return;
        };
        let mut state = self.state.borrow_mut();
        let full = state.queue.bytes() >= self.options.max_batch_bytes;
        let old = state.queued_since.is_some_and(|since| since.elapsed() >= LINGER);
        let batch = if full || old || self.stopped { state.queue.batch(self.options.max_batch_bytes) } else { None };
        if batch.is_none() && Instant::now() < *deadline && !(self.stopped && state.queue.len() == 0) {
            return;
        }
        if state.queue.len() == 0 {
            state.queued_since = None;
        }
        if let Some(batch) = &batch {
            self.unsettled.insert(batch.id.clone(), batch.exchanges.into());
        }
        drop(state);
        if let Some((_, deliver)) = self.waiting.take() {
            deliver(batch);
        }
    }

    fn stop(&mut self) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        self.kernel.borrow_mut().detach_all();
        while self.drain() {}
        let mut state = self.state.borrow_mut();
        state.with_flows(|flows, ledger, mut done| flows.close(ledger, &mut done));
    }

    fn close(&mut self) -> Account {
        {
            let mut state = self.state.borrow_mut();
            while let Some(batch) = state.queue.batch(self.options.max_batch_bytes) {
                state.ledger.drop_exchanges(Drop::Shutdown, batch.exchanges.into());
            }
            for (_, exchanges) in self.unsettled.drain() {
                state.ledger.drop_exchanges(Drop::Shutdown, exchanges);
            }
        }
        if let Some((_, deliver)) = self.waiting.take() {
            deliver(None);
        }
        self.account().unwrap_or_default()
    }
}

/// What a person should know about a target's connections.
fn notes(connections: &BTreeMap<String, u64>, exchanges: u64) -> Vec<String> {
    let seen = |name: &str| connections.get(name).copied().unwrap_or(0);
    let mut notes = Vec::new();
    for (name, what) in [
        ("tls", "TLS connections: not decrypted yet"),
        ("http2", "HTTP/2 connections without TLS: not decoded yet"),
        ("proxy", "connections that begin with a PROXY protocol header: not decoded yet"),
    ] {
        if seen(name) > 0 {
            notes.push(format!("{} {what}", seen(name)));
        }
    }
    if connections.values().sum::<u64>() == 0 && exchanges == 0 {
        notes.push("no connection yet. A server that was moved into this cgroup after it began to listen keeps its old one: restart it inside".to_owned());
    }
    notes
}

fn epoch_ms(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64() * 1000.0).round()
}

fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the result; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn wall_offset_ns() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    u64::try_from(wall).unwrap_or(u64::MAX).saturating_sub(monotonic_ns())
}

/// Checks what napi cannot.
pub fn check(options: &Options) -> Result<(), CaptureError> {
    let bad = |what: &str| Err(CaptureError::new(Code::BadOption, what.to_owned()));
    if options.ring_bytes < 65536 || !options.ring_bytes.is_power_of_two() {
        return bad("ringBytes: must be a power of two from 65536 on. Write for example 8388608");
    }
    if options.max_flows == 0 || options.max_batch_bytes == 0 || options.max_queue_bytes == 0 {
        return bad("maxFlows, maxBatchBytes and maxQueueBytes: must be at least 1. Leave them out for the defaults");
    }
    Ok(())
}
