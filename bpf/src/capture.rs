//! The owner thread: the BPF object, its links, the ring, and all that is known of connections live and die on it.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cgroup;
use crate::clock::{monotonic_ns, wall_offset_ns};
use crate::counters::Counters;
use crate::error::{CaptureError, Code};
use crate::flow::{Limits, Wish};
use crate::flows::{Flows, discard_released};
use crate::hold::Hold;
use crate::kernel::{Drained, Kernel, Kind, Mark, Rings, Storage};
use crate::ledger::{Discard, Drop, Ledger};
use crate::packed::Packed;
use crate::queue::{Encoded, Queue};
use crate::record::Record;
use crate::rounds::{Collected, Rounds};
use crate::tls::{self, Change, Tally};
use crate::tls_calls::{Call, CallKind, Calls, Scope};
use crate::tls_probes::{LoggedSecret, Probes, ProcessCoverage};
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
/// The scanner looks at all processes every five seconds.
const SOUGHT_FOR: Duration = Duration::from_secs(10);
/// When the account is read, at most: under a flood there is always more.
const ROUNDS: usize = 16;
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
    pub max_connections_bytes: usize,
    pub max_queue_bytes: usize,
    pub max_batch_bytes: usize,
    pub tls: tls::Mode,
    pub limits: Limits,
}

pub enum Outcome {
    Delivered,
    Dropped(String),
}

pub enum Command {
    Select(PathBuf, Kind, Identity, Reply<()>),
    Release(PathBuf, Reply<bool>),
    Next { deadline: Instant, deliver: Deliver },
    Settle(String, Outcome, Reply<bool>),
    Account(Reply<Account>),
    Coverage(Reply<Coverage>),
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
    /// What is no number of bytes or exchanges.
    pub incidents: BTreeMap<String, u64>,
}

impl Account {
    fn new(ledger: &Ledger, counters: Counters, in_flight: u64, held_in_flows: u64) -> Self {
        let ledger = ledger.clone();
        let exchanges = ledger.captured == ledger.delivered + ledger.dropped_total() + in_flight;
        let slack = counters.seen().abs_diff(counters.accounted()) <= READ_SLACK_BYTES;
        let drained = ledger.drained == ledger.parsed + ledger.discarded_total() + held_in_flows;
        let held = counters.copied().saturating_sub(ledger.drained) + held_in_flows;
        let incidents = counters.incidents();
        Self { closes: exchanges && slack && drained, ledger, counters, in_flight, held, incidents }
    }
}

pub struct Coverage {
    pub targets: Vec<TargetCoverage>,
    /// TLS secrets by what became of them, and probes.
    pub secrets: BTreeMap<String, u64>,
}

pub struct TargetCoverage {
    pub cgroup: String,
    pub identity: Identity,
    pub selected_at_ms: f64,
    pub last_exchange_at_ms: Option<f64>,
    pub exchanges: u64,
    pub connections: BTreeMap<String, u64>,
    pub tls: Tally,
    /// Processes of the target, and what is known of their TLS libraries.
    pub processes: Vec<ProcessCoverage>,
    /// Libraries on whose read and write functions probes stand.
    pub calls: Vec<String>,
    pub notes: Vec<String>,
}

struct Target {
    path: PathBuf,
    kind: Kind,
    /// The kernel's `generation` from which on it was followed.
    since: u32,
    identity: Arc<Identity>,
    selected_at: SystemTime,
    last_exchange_at: Option<SystemTime>,
    exchanges: u64,
    /// Of children that nobody named in time.
    unattributed: u64,
    tls: Tally,
}

/// All that the drained records touch.
struct State {
    flows: Flows,
    queue: Queue,
    hold: Hold,
    ledger: Ledger,
    targets: HashMap<u64, Target>,
    /// Children that nobody has named yet, and the target that tells its children apart; None: of no target any more.
    nameless: HashMap<u64, Option<u64>>,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, nanoseconds.
    wall_offset_ns: u64,
    /// When the oldest queued exchange came.
    queued_since: Option<Instant>,
    drained_records: u64,
    /// Secrets that came without a client random.
    secrets_unbound: u64,
    /// Wishes of connections whose slot another one took, see control.rs.
    wishes_displaced: u64,
}

impl State {
    fn new(options: &Options, with_calls: bool) -> Self {
        Self {
            flows: Flows::new(options.max_flows, options.limits.clone())
                .with_max_bytes(options.max_connections_bytes)
                .with_calls(with_calls),
            queue: Queue::new(options.max_queue_bytes, options.node.clone(), options.agent_version.clone()),
            hold: Hold::default(),
            ledger: Ledger::default(),
            targets: HashMap::new(),
            nameless: HashMap::new(),
            wall_offset_ns: wall_offset_ns(),
            queued_since: None,
            drained_records: 0,
            secrets_unbound: 0,
            wishes_displaced: 0,
        }
    }

    fn take(&mut self, bytes: &[u8], kernel: &Kernel) {
        let Some(record) = Record::parse(bytes) else {
            self.ledger.discard(Discard::BadRecord, 0);
            return;
        };
        self.drained_records += 1;
        self.ledger.drained += record.payload.len() as u64;
        if !self.is_wanted(record.target) {
            discard_released(&record, &mut self.ledger);
            return;
        }
        let mut wish = Wish::default();
        self.with_flows(|flows, ledger, mut done| wish = flows.push(&record, ledger, &mut done));
        self.ask(record.flow_id, &wish, kernel);
    }

    /// Asks the kernel; sees whether that takes another connection's word away.
    fn ask(&mut self, flow_id: u64, wish: &Wish, kernel: &Kernel) {
        let displaced = kernel.controls.write(flow_id, wish);
        self.wishes_displaced += u64::from(displaced.is_some_and(|id| self.flows.knows(id)));
    }

    /// Gives the connection whose calls are of no use. `stood_ns`: as in `Flow::call`.
    fn take_call(&mut self, bytes: &[u8], stood_ns: u64, kernel: &Kernel) -> Option<u64> {
        let Some(call) = Call::parse(bytes) else {
            self.ledger.discard(Discard::BadRecord, 0);
            return None;
        };
        self.drained_records += 1;
        self.ledger.drained += call.payload.len() as u64;
        if call.kind != CallKind::End && !self.is_wanted(call.target) {
            self.ledger.discard(Discard::Released, call.payload.len());
            return None;
        }
        let mut wish = Wish::default();
        self.with_flows(|flows, ledger, mut done| wish = flows.call(&call, stood_ns, ledger, &mut done));
        self.ask(call.flow_id, &wish, kernel);
        wish.ignore.then_some(call.flow_id)
    }

    fn take_secret(&mut self, secret: &LoggedSecret) {
        if !self.is_wanted(secret.target) {
            return;
        }
        // Without it, nothing but trial could tell whose it is.
        let Some(random) = &secret.client_random else {
            self.secrets_unbound += 1;
            return;
        };
        self.with_flows(|flows, ledger, mut done| {
            let logged = tls::Logged { random, label: secret.label.as_bytes(), secret: &secret.secret, by: secret.by };
            flows.secret(&logged, secret.ktime_ns, ledger, &mut done);
        });
    }

    /// Books how connections' TLS stands; tells each target of one once.
    fn take_tls_changes(&mut self) -> TlsNews {
        let mut news = TlsNews::default();
        for (id, change) in self.flows.take_tls_changes(monotonic_ns()) {
            if let Some(target) = self.targets.get_mut(&id) {
                target.tls.count(change);
            }
            match change {
                Change::State(tls::State::Dark(tls::Why::SecretMissing)) => news.unkeyed.insert(id),
                Change::State(tls::State::Dark(why)) if why.is_of_kind() => news.sealed.insert(id),
                Change::Waits => news.waiting.insert(id),
                Change::Speaks => news.sealed.insert(id),
                Change::Called { .. } => news.called.insert(id),
                Change::Unlogged { began_ns } => {
                    news.unlogged.push((id, began_ns));
                    false
                }
                Change::Proven(by) => {
                    news.proven.push(by);
                    false
                }
                Change::State(_) => false,
            };
        }
        news
    }

    /// Whether the cgroup is selected, or a child that somebody may name yet.
    fn is_wanted(&mut self, cgroup: u64) -> bool {
        if let Some(target) = self.targets.get(&cgroup) {
            return target.kind != Kind::Excluded;
        }
        // Ids are never used again, so what was found once stays true until a target comes or goes.
        if self.nameless.len() > MAX_NAMELESS {
            self.nameless.clear();
        }
        let targets = &self.targets;
        let parent = self.nameless.entry(cgroup).or_insert_with(|| {
            let mut per_child = targets.iter().filter(|(_, target)| target.kind == Kind::PerChild);
            per_child.find(|(_, target)| cgroup::has_child(&target.path, cgroup)).map(|(id, _)| *id)
        });
        parent.is_some()
    }

    fn with_flows(&mut self, act: impl FnOnce(&mut Flows, &mut Ledger, &mut dyn FnMut(u64, Exchange))) {
        let Self { flows, queue, hold, ledger, targets, nameless, wall_offset_ns, queued_since, .. } = self;
        let mut finished = Finished { targets, nameless, wall_offset_ns: *wall_offset_ns, out: Vec::new() };
        act(flows, ledger, &mut |target, exchange| finished.add(target, exchange));
        for (fate, exchange) in finished.out {
            match fate {
                Fate::Deliver(identity) => {
                    queue.push(exchange, identity, ledger);
                    queued_since.get_or_insert_with(Instant::now);
                }
                Fate::Hold(cgroup) => hold.push(cgroup, exchange, Instant::now(), ledger),
                Fate::Drop(why) => ledger.drop_exchange(why),
            }
        }
    }

    /// What waited for this cgroup to be selected.
    fn deliver_held(&mut self, id: u64) {
        self.nameless.remove(&id);
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        for exchange in self.hold.take(id) {
            target.exchanges += 1;
            target.last_exchange_at = Some(SystemTime::now());
            self.queue.push(exchange, target.identity.clone(), &mut self.ledger);
            self.queued_since.get_or_insert_with(Instant::now);
        }
    }

    fn drop_held(&mut self, id: u64, why: Drop) {
        let held = self.hold.take(id).len() as u64;
        self.ledger.drop_exchanges(why, held);
    }

    fn expire_held(&mut self) {
        self.hold.expire(Instant::now(), &mut self.ledger);
        for child in self.hold.take_losers() {
            if let Some(Some(parent)) = self.nameless.get(&child)
                && let Some(target) = self.targets.get_mut(parent)
            {
                target.unattributed += 1;
            }
        }
    }
}

/// Targets with connections of a kind.
#[derive(Default)]
struct TlsNews {
    /// That nobody can decrypt, whatever is logged, or that speak again after their calls were read.
    sealed: BTreeSet<u64>,
    /// Whose secrets have not come (yet).
    waiting: BTreeSet<u64>,
    /// Whose secrets will not come any more.
    unkeyed: BTreeSet<u64>,
    /// Whose calls are read.
    called: BTreeSet<u64>,
    /// Of which no secret was logged, with when the connection began.
    unlogged: Vec<(u64, u64)>,
    /// Who logged secrets that records verified with.
    proven: Vec<tls::Logger>,
}

/// Children of targets that tell theirs apart: a node has some hundreds, and pods' sandboxes speak to nobody.
const MAX_NAMELESS: usize = 8192;

/// Exchanges that just became whole.
struct Finished<'a> {
    targets: &'a mut HashMap<u64, Target>,
    nameless: &'a HashMap<u64, Option<u64>>,
    wall_offset_ns: u64,
    out: Vec<(Fate, Packed)>,
}

enum Fate {
    Deliver(Arc<Identity>),
    Hold(u64),
    Drop(Drop),
}

impl Finished<'_> {
    fn add(&mut self, target: u64, mut exchange: Exchange) {
        if let Some(timing) = exchange.timing.as_mut() {
            timing.request_start_ns += self.wall_offset_ns;
        }
        let fate = self.fate(target);
        self.out.push((fate, Packed::of(&exchange)));
    }

    fn fate(&mut self, cgroup: u64) -> Fate {
        let Some(target) = self.targets.get_mut(&cgroup) else {
            let is_child = matches!(self.nameless.get(&cgroup), Some(Some(_)));
            return if is_child { Fate::Hold(cgroup) } else { Fate::Drop(Drop::Released) };
        };
        match target.kind {
            Kind::Excluded => Fate::Drop(Drop::Excluded),
            // A process that is in none of the children.
            Kind::PerChild => {
                target.unattributed += 1;
                Fate::Drop(Drop::Unattributed)
            }
            Kind::Whole => {
                target.exchanges += 1;
                target.last_exchange_at = Some(SystemTime::now());
                Fate::Deliver(target.identity.clone())
            }
        }
    }
}

struct Owner<'k, 'r> {
    options: &'r Options,
    kernel: &'r RefCell<Kernel<'k>>,
    state: &'r RefCell<State>,
    rings: RefCell<Rings>,
    rounds: RefCell<Rounds>,
    /// Ended connections whose records were lost, and what stands in the rings about them before.
    lost_ends: RefCell<Option<(Vec<u64>, Mark)>>,
    /// Or why there are none.
    probes: RefCell<Result<Probes, String>>,
    /// Where secrets are not to be had, or not wanted.
    calls: Option<RefCell<Calls>>,
    /// Targets with connections that wait for secrets, and since when: what their libraries are may not be known yet.
    sought: RefCell<BTreeMap<u64, Instant>>,
    waiting: Option<(Instant, Deliver)>,
    /// Handed out and not settled: id to exchanges.
    unsettled: HashMap<String, u64>,
    stopped: bool,
}

/// Runs until `Close` or until all senders are gone; returns the last account.
pub fn run(options: &Options, commands: &Receiver<Command>, ready: &Reply<()>) -> Account {
    if options.tls.takes_secrets() {
        tls::keep_private();
    }
    let mut storage = Storage::uninit();
    let kernel = match Kernel::load(&mut storage, options.ring_bytes, options.tls.takes_secrets()) {
        Ok(kernel) => RefCell::new(kernel),
        Err(error) => {
            let _ = ready.send(Err(error));
            return Account::default();
        }
    };
    let scope = match options.tls {
        tls::Mode::Auto => Some(Scope::Undecrypted),
        tls::Mode::Calls => Some(Scope::All),
        tls::Mode::Secrets | tls::Mode::Off => None,
    };
    let state = RefCell::new(State::new(options, scope.is_some()));
    let rings = match kernel.borrow().rings() {
        Ok(rings) => RefCell::new(rings),
        Err(error) => {
            let _ = ready.send(Err(error));
            return Account::default();
        }
    };
    // Plaintext goes on without: coverage says why.
    let probes = match options.tls {
        tls::Mode::Off => Err("TLS is switched off".to_owned()),
        tls::Mode::Calls => Err("secrets are switched off".to_owned()),
        tls::Mode::Auto | tls::Mode::Secrets => Probes::load(kernel.borrow().targets()).map_err(|error| error.message),
    };
    let calls = match scope.map(|scope| Calls::new(&kernel.borrow(), scope)).transpose() {
        Ok(calls) => calls.map(RefCell::new),
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
        rounds: RefCell::default(),
        lost_ends: RefCell::default(),
        probes: RefCell::new(probes),
        calls,
        sought: RefCell::default(),
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
            more = self.take();
            self.tend_probes();
            let drained = self.state.borrow().drained_records != before;
            idle = if drained { 0 } else { idle.saturating_add(1) };
            if drained {
                tls::wipe_stack();
            }
            self.state.borrow_mut().expire_held();
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
            Command::Select(path, kind, identity, reply) => drop(reply.send(self.select(path, kind, identity))),
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

    /// One round: packets, and then the calls that went before them. True: there may be more.
    fn take(&self) -> bool {
        let mut rounds = self.rounds.borrow_mut();
        rounds.take(
            &self.rings,
            |may_begin| self.collect_calls(may_begin),
            || self.drain(),
            |is_over| self.take_calls(is_over),
        )
    }

    /// True: there may be more.
    fn drain(&self) -> bool {
        let mut lost_ends = self.lost_ends.borrow_mut();
        if lost_ends.is_none() {
            let ended = self.kernel.borrow_mut().take_lost_ends();
            *lost_ends = (!ended.is_empty()).then(|| (ended, self.rings.borrow().mark()));
        }
        // Bounded: under a flood there is always one more, and batches and commands wait meanwhile.
        let more = {
            let (kernel, mut state) = (self.kernel.borrow(), self.state.borrow_mut());
            self.rings.borrow_mut().drain(DRAIN_RECORDS, |drained| match drained {
                // What was logged before these packets is known before they are read: a short connection ends among them.
                Drained::Settled => {
                    if let Ok(probes) = &mut *self.probes.borrow_mut() {
                        probes.pop(&mut |secret| state.take_secret(&secret));
                    }
                }
                Drained::Record(bytes) => state.take(bytes, &kernel),
            })
        };
        if let Some((ended, _)) = lost_ends.take_if(|(_, before)| self.rings.borrow().has_passed(*before)) {
            self.state.borrow_mut().with_flows(|flows, ledger, mut done| flows.end(&ended, ledger, &mut done));
        }
        more
    }

    fn tend_probes(&self) {
        let mut news = self.state.borrow_mut().take_tls_changes();
        if let Ok(probes) = &mut *self.probes.borrow_mut() {
            std::mem::take(&mut news.proven).into_iter().for_each(|by| probes.note_verified(by));
            std::mem::take(&mut news.unlogged)
                .into_iter()
                .for_each(|(id, began_ns)| probes.note_unlogged(id, began_ns));
            probes.tick();
            for id in std::mem::take(&mut news.unkeyed) {
                probes.look_again(id);
            }
            let mut sought = self.sought.borrow_mut();
            sought.extend(std::mem::take(&mut news.waiting).into_iter().map(|id| (id, Instant::now())));
            sought.retain(|id, since| {
                let keyless = probes.is_keyless(*id);
                if keyless {
                    news.sealed.insert(*id);
                }
                !keyless && since.elapsed() < SOUGHT_FOR
            });
        }
        if let Some(calls) = &self.calls {
            note_calls(&mut calls.borrow_mut(), &news);
        }
    }

    /// Makes ready what TLS libraries read and wrote. `may_begin`: another round of calls.
    fn collect_calls(&self, may_begin: bool) -> Collected {
        let Some(calls) = &self.calls else {
            return Collected::new(false, true);
        };
        let mut calls = calls.borrow_mut();
        let (kernel, mut state, probes) = (self.kernel.borrow(), self.state.borrow_mut(), self.probes.borrow());
        let now_ns = monotonic_ns();
        let is_keyless = |id| probes.as_ref().is_ok_and(|probes| probes.is_keyless(id));
        let sealed = || state.flows.wanting_calls(now_ns, is_keyless);
        let before = calls.ready();
        if calls.tick(&kernel, now_ns, sealed, |id| state.flows.has_use_for_calls(id, is_keyless)) {
            state.with_flows(|flows, ledger, mut done| flows.end_calls(ledger, &mut done));
        }
        let all = calls.collect(may_begin);
        Collected::new(calls.ready() > before, all)
    }

    /// `is_over`: all are taken that had been made when the round of calls began.
    fn take_calls(&self, is_over: bool) {
        let Some(calls) = &self.calls else {
            return;
        };
        let mut calls = calls.borrow_mut();
        let (kernel, mut state) = (self.kernel.borrow(), self.state.borrow_mut());
        let mut useless = Vec::new();
        let stood_ns = calls.stood_ns();
        calls.take(|bytes| useless.extend(state.take_call(bytes, stood_ns, &kernel)));
        for flow in useless {
            calls.forget(flow);
        }
        if is_over {
            state.with_flows(|flows, ledger, mut done| flows.end_round(ledger, &mut done));
        }
    }

    /// Targets came or went.
    fn tell_probes(&self) {
        let state = self.state.borrow();
        let targets: Vec<_> = state.targets.iter().map(|(id, t)| (*id, t.path.clone(), t.kind)).collect();
        if let Ok(probes) = &*self.probes.borrow() {
            probes.set_targets(&targets);
        }
        if let Some(calls) = &self.calls {
            calls.borrow_mut().set_targets(&targets);
        }
    }

    fn expire(&self) {
        let now_ns = monotonic_ns();
        let mut state = self.state.borrow_mut();
        state.wall_offset_ns = wall_offset_ns();
        state.with_flows(|flows, ledger, mut done| flows.expire(now_ns, ledger, &mut done));
    }

    fn select(&mut self, path: PathBuf, kind: Kind, identity: Identity) -> Result<(), CaptureError> {
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
        let known = self.state.borrow().targets.get(&id).map(|target| target.kind);
        if known == Some(kind) {
            if let Some(target) = self.state.borrow_mut().targets.get_mut(&id) {
                target.identity = Arc::new(identity);
            }
            return Ok(());
        }
        let since = match known {
            None => self.followed_since(&path),
            Some(_) => None,
        };
        let mut kernel = self.kernel.borrow_mut();
        let since = since.unwrap_or_else(|| kernel.now());
        kernel.set_target(id, kind, since)?;
        let mut wanted = self.probed();
        if kind != Kind::Excluded {
            wanted.push(path.clone());
        }
        if let Err(error) = kernel.attach(&cgroup::outermost(&wanted)) {
            kernel.remove_target(id);
            return Err(error);
        }
        drop(kernel);
        if kind == Kind::Excluded {
            // As with a release: what came before is still told.
            self.drain();
        }
        let mut state = self.state.borrow_mut();
        let target = Target {
            path,
            kind,
            since,
            identity: Arc::new(identity),
            selected_at: SystemTime::now(),
            last_exchange_at: None,
            exchanges: 0,
            unattributed: 0,
            tls: Tally::default(),
        };
        state.targets.insert(id, target);
        match kind {
            Kind::Whole => state.deliver_held(id),
            // Cgroups that were of no target may be its children.
            Kind::PerChild => state.nameless.retain(|_, parent| parent.is_some()),
            Kind::Excluded => {
                state.with_flows(|flows, ledger, mut done| flows.release(id, Drop::Excluded, ledger, &mut done));
                state.drop_held(id, Drop::Excluded);
                state.nameless.remove(&id);
            }
        }
        drop(state);
        self.tell_probes();
        Ok(())
    }

    /// Since when the target right above `path` has followed what is in there, if it tells its children apart.
    fn followed_since(&self, path: &Path) -> Option<u32> {
        let state = self.state.borrow();
        let parent = path.parent()?;
        state.targets.values().find(|t| t.kind == Kind::PerChild && t.path == parent).map(|t| t.since)
    }

    /// Paths that want probes on them or above them.
    fn probed(&self) -> Vec<PathBuf> {
        let state = self.state.borrow();
        state.targets.values().filter(|t| t.kind != Kind::Excluded).map(|t| t.path.clone()).collect()
    }

    fn release(&mut self, path: &Path) -> bool {
        let Some(id) = self.id_of(path) else {
            return false;
        };
        let released = self.with_children(id, path);
        for id in &released {
            self.kernel.borrow_mut().remove_target(*id);
        }
        self.drain();
        for id in released {
            self.forget(id);
        }
        let mut kernel = self.kernel.borrow_mut();
        if kernel.attach(&cgroup::outermost(&self.probed())).is_err() {
            // An inner target whose cgroup vanished; its owner will release it too.
            kernel.detach(path);
        }
        drop(kernel);
        self.tell_probes();
        true
    }

    /// The target itself first, then, if it tells its children apart, those that were selected, excluded or not named yet.
    fn with_children(&self, id: u64, path: &Path) -> Vec<u64> {
        let state = self.state.borrow();
        let mut all = vec![id];
        if state.targets.get(&id).is_some_and(|target| target.kind == Kind::PerChild) {
            all.extend(state.targets.iter().filter(|(_, t)| t.path.parent() == Some(path)).map(|(child, _)| *child));
            all.extend(state.nameless.iter().filter(|(_, parent)| **parent == Some(id)).map(|(child, _)| *child));
        }
        all
    }

    fn forget(&self, id: u64) {
        let mut state = self.state.borrow_mut();
        state.with_flows(|flows, ledger, mut done| flows.release(id, Drop::Released, ledger, &mut done));
        state.drop_held(id, Drop::Released);
        state.targets.remove(&id);
        state.nameless.remove(&id);
        self.kernel.borrow_mut().remove_target(id);
    }

    fn id_of(&self, path: &Path) -> Option<u64> {
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
        let mut counters = self.counters()?;
        for _ in 0..3 {
            for _ in 0..ROUNDS {
                if !self.take() {
                    break;
                }
            }
            let again = self.counters()?;
            if again == counters {
                break;
            }
            counters = again;
        }
        let state = self.state.borrow();
        let unsettled: u64 = self.unsettled.values().sum();
        let waiting = state.queue.len() as u64 + state.hold.len() as u64;
        let in_flight = state.flows.in_flight() + waiting + unsettled;
        let mut account = Account::new(&state.ledger, counters, in_flight, state.flows.held_bytes());
        let own = [("unfinished_copies", self.rings.borrow().stalls()), ("displaced_wishes", state.wishes_displaced)];
        account.incidents.extend(own.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)));
        Ok(account)
    }

    fn counters(&self) -> Result<Counters, CaptureError> {
        let mut counters = self.kernel.borrow().counters()?;
        if let Some(calls) = &self.calls {
            counters.calls = calls.borrow().counts();
        }
        Ok(counters)
    }

    fn coverage(&self) -> Coverage {
        let kernel = self.kernel.borrow();
        let state = self.state.borrow();
        let probes = self.probes.borrow();
        let calls = self.calls.as_ref().map(RefCell::borrow);
        let no_probes = probes.as_ref().err().filter(|_| self.options.tls != tls::Mode::Calls);
        let mut all: Vec<TargetCoverage> = state
            .targets
            .iter()
            .filter(|(_, target)| target.kind == Kind::Whole || target.unattributed > 0)
            .map(|(id, target)| {
                let connections = kernel.connections(*id);
                TargetCoverage {
                    cgroup: target.path.display().to_string(),
                    identity: target.identity.as_ref().clone(),
                    selected_at_ms: epoch_ms(target.selected_at),
                    last_exchange_at_ms: target.last_exchange_at.map(epoch_ms),
                    exchanges: target.exchanges,
                    tls: target.tls.clone(),
                    processes: probes.as_ref().map(|probes| probes.coverage(*id)).unwrap_or_default(),
                    calls: calls.as_ref().map(|calls| calls.standing(*id)).unwrap_or_default(),
                    notes: if target.kind == Kind::Whole {
                        let mut notes = notes(&connections, target, no_probes);
                        notes.extend(calls.iter().flat_map(|calls| calls.notes(*id)));
                        notes
                    } else {
                        vec![format!(
                            "{} exchanges are dropped: nobody named the container in time",
                            target.unattributed
                        )]
                    },
                    connections,
                }
            })
            .collect();
        all.sort_by(|a, b| a.cgroup.cmp(&b.cgroup));
        let mut secrets = probes.as_ref().map(Probes::counters).unwrap_or_default();
        secrets.insert("unclaimed".to_owned(), state.flows.unclaimed_secrets());
        secrets.insert("without_client_random".to_owned(), state.secrets_unbound);
        Coverage { targets: all, secrets }
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
        if let Ok(probes) = &mut *self.probes.borrow_mut() {
            probes.stop();
        }
        if let Some(calls) = &self.calls {
            calls.borrow_mut().stop();
        }
        self.kernel.borrow_mut().detach_all();
        self.rounds.borrow_mut().restart();
        while self.take() {}
        let mut state = self.state.borrow_mut();
        state.with_flows(|flows, ledger, mut done| flows.close(ledger, &mut done));
        let State { hold, ledger, .. } = &mut *state;
        hold.give_up(ledger);
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

/// Whom the probes on calls are to stand for.
fn note_calls(calls: &mut Calls, news: &TlsNews) {
    for id in &news.sealed {
        calls.note(*id);
    }
    for id in &news.called {
        // It needs the probes for as long as it lives, whatever they were put for.
        calls.note(*id);
        calls.note_read(*id);
    }
}

/// What a person should know about a target's connections.
fn notes(connections: &BTreeMap<String, u64>, target: &Target, no_probes: Option<&String>) -> Vec<String> {
    let seen = |name: &str| connections.get(name).copied().unwrap_or(0);
    let mut notes = Vec::new();
    if let Some(why) = no_probes
        && seen("tls") > 0
    {
        notes.push(format!("{} TLS connections are not decrypted: {why}", seen("tls")));
    }
    for (why, n) in &target.tls.dark {
        notes.push(format!("{n} TLS connections are not read: {why}"));
    }
    for (why, n) in &target.tls.called {
        notes.push(format!("{n} TLS connections were read by calls of their library: {why}"));
    }
    if target.tls.called_late > 0 {
        notes.push(format!(
            "{} of them not from their beginning, which was before the probes stood",
            target.tls.called_late
        ));
    }
    for (name, what) in [
        ("http2", "HTTP/2 connections without TLS: not decoded yet"),
        ("proxy", "connections that begin with a PROXY protocol header: not decoded yet"),
    ] {
        if seen(name) > 0 {
            notes.push(format!("{} {what}", seen(name)));
        }
    }
    if connections.values().sum::<u64>() == 0 && target.exchanges == 0 {
        notes.push("no connection yet. A server that was moved into this cgroup after it began to listen keeps its old one: restart it inside".to_owned());
    }
    notes
}

fn epoch_ms(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64() * 1000.0).round()
}

/// Checks what napi cannot.
pub fn check(options: &Options) -> Result<(), CaptureError> {
    let bad = |what: &str| Err(CaptureError::new(Code::BadOption, what.to_owned()));
    if options.ring_bytes < 65536 || !options.ring_bytes.is_power_of_two() {
        return bad("ringBytes: must be a power of two from 65536 on. Write for example 8388608");
    }
    let sizes = [options.max_flows, options.max_connections_bytes, options.max_batch_bytes, options.max_queue_bytes];
    if sizes.contains(&0) {
        return bad(
            "maxFlows, maxConnectionsBytes, maxBatchBytes and maxQueueBytes: must be at least 1. Leave them out for the defaults",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::machine::with_machine;

    #[test]
    fn probes_stay_for_a_connection_that_is_read_by_calls_though_they_were_put_for_another() {
        with_machine(|machine| {
            let mut calls = Calls::new(&machine.kernel, Scope::Undecrypted).unwrap();
            // One that is neither older than the capture nor of a kind that is not covered.
            note_calls(&mut calls, &TlsNews { called: BTreeSet::from([7]), ..TlsNews::default() });
            calls.tick(&machine.kernel, monotonic_ns(), || BTreeSet::from([7]), |_| true);
            assert!(calls.wants(7) && !calls.wants(8));
        });
    }
}
