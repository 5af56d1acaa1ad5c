//! The thread that looks at processes of targets, has their files looked into, and puts probes on them and takes them away.
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::analysis::{self, Class, Done, Held, Job, Verdict};
use super::canary::{self, Arming, Spot};
use super::contradiction::Standing;
use super::coverage::ProcessCoverage;
use super::files::{self, Stamp};
use super::finding::Finding;
use super::labels::Labels;
use super::maps::{self, FileId, Mapping};
use super::pagemap::Pagemap;
use super::processes::{self, Found, Place, Target};
use super::programs::Programs;
use super::schedule::Schedule;
use super::stands::Stands;
use crate::clock::monotonic_ns;
use crate::library::recognise::Implementation;

/// Every process is looked at this often: for libraries that are loaded late, and for what is gone.
const ROUND_EVERY: Duration = Duration::from_secs(5);
/// Between commands.
const LOOKS_AT_ONCE: usize = 16;
/// Looks at new programs rest for this many times what they took: a container that starts thousands of them costs a
/// fifth of a processor at most.
const REST: u32 = 4;
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// A file that could not be opened, or a probe that could not be put there.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const MAX_MAPPINGS: usize = 2048;
/// Probes that are looked for in a process at once, and processes when a probe was put; the next round sees the others.
const MAX_ARMINGS: usize = 16;
/// Mappings of one file that a probe is looked for in: each may cost a walk through the text of smaps.
const MAX_SPOTS: usize = 16;
const MAX_ARMED_AT_ONCE: usize = 64;
/// Of files that nobody maps any more.
const MAX_REMEMBERED: usize = 512;

pub enum Ask {
    Targets(Vec<Target>),
    /// (target or its child, process)
    Execed(Vec<(u64, u32)>),
    LookAgain(u64),
    /// Execs went unnoticed.
    Round,
    Done(Box<Done>),
    Stop(Sender<()>),
}

/// What the owner thread reads.
#[derive(Default)]
pub struct Published {
    pub rows: Arc<Vec<ProcessCoverage>>,
    /// Targets, or children of one, with a TLS library whose secrets nobody gets.
    pub keyless: HashSet<u64>,
    /// By target, or child of one; none: no probe stands for it.
    pub standing: HashMap<u64, Standing>,
    /// All processes of that time have been looked at. CLOCK_MONOTONIC in nanoseconds.
    pub looked_ns: u64,
    /// Of files with probes.
    pub labels: Vec<Arc<Labels>>,
    /// Probes that stand.
    pub links: usize,
}

struct Process {
    start: u64,
    place: Place,
    executable: String,
    mappings: Vec<Placed>,
    /// Of files with probes.
    armings: HashMap<FileId, Arming>,
    trouble: Option<String>,
    seen: u64,
}

/// `Mapping` without its path.
struct Placed {
    file: FileId,
    start: u64,
    end: u64,
    offset: u64,
    shared: bool,
    writable: bool,
}

struct Known {
    path: String,
    class: Class,
    stamp: Option<Stamp>,
    tried: Instant,
    stage: Stage,
}

enum Stage {
    /// With the analysis thread.
    Looking,
    /// No TLS in there.
    Nothing,
    /// Nor there, but the version of an OpenSSL.
    Version(String),
    Refused {
        finding: Option<Arc<Finding>>,
        why: String,
    },
    /// Tried again from time to time.
    Failed {
        finding: Option<Arc<Finding>>,
        why: String,
    },
    Attached {
        finding: Arc<Finding>,
        labels: Arc<Labels>,
        stands: Stands,
    },
}

impl Stage {
    /// A TLS library is in there, and no probe stands where it hands out its secrets.
    fn is_keyless(&self) -> bool {
        match self {
            Self::Looking | Self::Nothing | Self::Version(_) | Self::Attached { .. } => false,
            Self::Refused { finding, .. } | Self::Failed { finding, .. } => finding.is_some(),
        }
    }
}

impl Known {
    /// None: it has no part in that.
    fn standing(&self) -> Option<Standing> {
        match &self.stage {
            Stage::Looking => Some(Standing::Unsettled),
            Stage::Failed { finding: None, .. } if self.class < Class::Crypto => Some(Standing::Unsettled),
            Stage::Attached { stands: Stands { first_ns, since_ns, .. }, .. } => {
                Some(Standing::Since { first_ns: *first_ns, all_ns: *since_ns })
            }
            Stage::Nothing | Stage::Version(_) | Stage::Refused { .. } | Stage::Failed { .. } => None,
        }
    }
}

pub struct Scanner {
    programs: Programs,
    jobs: Sender<Job>,
    published: Arc<Mutex<Published>>,
    targets: Vec<Target>,
    /// Which target a member was seen in.
    members: HashMap<u64, u64>,
    processes: HashMap<u32, Process>,
    files: HashMap<FileId, Known>,
    remembered: HashMap<(FileId, Stamp), Verdict>,
    schedule: Schedule,
    /// Where processes were said to be that were not looked at yet.
    execed: HashMap<u32, u64>,
    rest_until: Instant,
    round: VecDeque<Found>,
    round_number: u64,
    round_began_ns: u64,
    looked_ns: u64,
    next_round: Instant,
    links: u64,
    changed: bool,
    published_at: Instant,
}

/// Of what was asked meanwhile: of the targets only the newest, since a probe takes longer to come and go than a target
/// does, and nothing when there is an end to it.
fn those_that_count(asks: impl Iterator<Item = Ask>) -> (Vec<Ask>, Option<Sender<()>>) {
    let (mut kept, mut targets) = (Vec::new(), None);
    for ask in asks {
        match ask {
            Ask::Stop(stopped) => return (Vec::new(), Some(stopped)),
            Ask::Targets(newest) => targets = Some(Ask::Targets(newest)),
            other => kept.push(other),
        }
    }
    // First, since what else is asked is about them.
    (targets.into_iter().chain(kept).collect(), None)
}

impl Scanner {
    pub fn new(programs: Programs, jobs: Sender<Job>, published: Arc<Mutex<Published>>) -> Self {
        let now = Instant::now();
        Self {
            programs,
            jobs,
            published,
            targets: Vec::new(),
            members: HashMap::new(),
            processes: HashMap::new(),
            files: HashMap::new(),
            remembered: HashMap::new(),
            schedule: Schedule::default(),
            execed: HashMap::new(),
            rest_until: now,
            round: VecDeque::new(),
            round_number: 0,
            round_began_ns: 0,
            looked_ns: 0,
            next_round: now + ROUND_EVERY,
            links: 0,
            changed: false,
            published_at: now,
        }
    }

    /// Until it is told to stop; all probes go with it.
    pub fn serve(mut self, asks: &Receiver<Ask>) {
        loop {
            match asks.recv_timeout(self.wait()) {
                Ok(ask) => {
                    let (asks, stopped) = those_that_count(std::iter::once(ask).chain(asks.try_iter()));
                    if let Some(stopped) = stopped {
                        drop(self);
                        // Nobody may wait for it.
                        let _ = stopped.send(());
                        return;
                    }
                    asks.into_iter().for_each(|ask| self.obey(ask));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_at_new();
            self.go_on_with_round();
            if self.changed && self.published_at.elapsed() >= PUBLISH_EVERY {
                self.publish();
            }
        }
    }

    fn wait(&self) -> Duration {
        if !self.round.is_empty() {
            return Duration::ZERO;
        }
        let new = self.schedule.next().map(|at| at.max(self.rest_until));
        let publish = self.changed.then(|| self.published_at + PUBLISH_EVERY);
        let next = [new, publish].into_iter().flatten().fold(self.next_round, Instant::min);
        next.saturating_duration_since(Instant::now())
    }

    fn obey(&mut self, ask: Ask) {
        match ask {
            Ask::Targets(targets) => self.retarget(targets),
            Ask::Execed(execs) => {
                for (member, pid) in execs {
                    self.watch(pid, member);
                }
            }
            Ask::LookAgain(id) => {
                let of = |place: Place| place.target == id || place.member == id;
                let again = processes::walk(&self.targets).into_iter().filter(|found| of(found.place));
                self.round.extend(again);
            }
            Ask::Round => self.begin_round(),
            Ask::Done(done) => self.done(*done),
            Ask::Stop(_) => {}
        }
    }

    fn retarget(&mut self, targets: Vec<Target>) {
        let before: HashSet<u64> = self.targets.iter().map(|target| target.id).collect();
        self.targets = targets;
        self.begin_round();
        // They may be in the midst of loading; no exec was noted before they were targets.
        let new: Vec<Found> =
            self.round.iter().filter(|found| !before.contains(&found.place.target)).copied().collect();
        for found in new {
            self.watch(found.pid, found.place.member);
        }
    }

    fn watch(&mut self, pid: u32, member: u64) {
        if let Some(process) = self.processes.get_mut(&pid) {
            // Another program may have the same file at the same address.
            process.armings.clear();
        }
        if self.schedule.add(pid, Instant::now()) {
            self.execed.insert(pid, member);
        } else {
            // The next round sees it.
            self.next_round = self.next_round.min(Instant::now() + RETRY_AFTER);
        }
    }

    fn look_at_new(&mut self) {
        let began = Instant::now();
        if began < self.rest_until {
            return;
        }
        for _ in 0..LOOKS_AT_ONCE {
            let Some(pid) = self.schedule.take(Instant::now()) else {
                break;
            };
            let known = self.processes.get(&pid).map(|process| process.place);
            let said = self.execed.remove(&pid).map(|member| self.place(member));
            match said.or(known) {
                Some(place) if self.look(pid, place) => {}
                _ => self.schedule.remove(pid),
            }
        }
        self.rest_until = Instant::now() + began.elapsed() * REST;
    }

    fn place(&self, member: u64) -> Place {
        let target = match self.members.get(&member) {
            Some(target) => *target,
            None if self.targets.iter().any(|target| target.id == member) => member,
            // A child that no round has seen yet; the next one tells.
            None => 0,
        };
        Place { target, member }
    }

    fn begin_round(&mut self) {
        self.round_began_ns = monotonic_ns();
        self.round = processes::walk(&self.targets).into();
        self.members = self.round.iter().map(|found| (found.place.member, found.place.target)).collect();
        self.round_number += 1;
        self.next_round = Instant::now() + ROUND_EVERY;
        if self.round.is_empty() {
            self.end_round();
        }
    }

    fn go_on_with_round(&mut self) {
        if self.round.is_empty() {
            if Instant::now() >= self.next_round {
                self.begin_round();
            }
            return;
        }
        for _ in 0..LOOKS_AT_ONCE {
            let Some(found) = self.round.pop_front() else {
                break;
            };
            self.look(found.pid, found.place);
        }
        if self.round.is_empty() {
            self.end_round();
        }
    }

    /// Forgets what the round has not met, and takes probes away that nobody needs any more.
    fn end_round(&mut self) {
        let number = self.round_number;
        let before = self.processes.len();
        self.processes.retain(|_, process| process.seen == number);
        let used: HashSet<FileId> =
            self.processes.values().flat_map(|process| process.mappings.iter().map(|placed| placed.file)).collect();
        let files = self.files.len();
        self.files.retain(|id, _| used.contains(id));
        self.changed |= before != self.processes.len() || files != self.files.len();
        self.looked_ns = self.round_began_ns;
        if !self.changed {
            lock(&self.published).looked_ns = self.looked_ns;
        }
    }

    /// Looks at what a process has mapped. False: it is gone.
    fn look(&mut self, pid: u32, place: Place) -> bool {
        let Ok(start) = processes::start_time(pid) else {
            self.changed |= self.processes.remove(&pid).is_some();
            return false;
        };
        let (mappings, trouble) = match maps::read(pid) {
            Ok(text) => (maps::executable(&text).take(MAX_MAPPINGS).collect(), None),
            Err(error) if is_gone(&error) => {
                self.changed |= self.processes.remove(&pid).is_some();
                return false;
            }
            Err(error) => (Vec::new(), Some(unread(&error))),
        };
        let executable = processes::executable(pid);
        let mut seen = HashSet::new();
        for mapping in &mappings {
            if seen.insert(mapping.file) {
                let class = analysis::class(&mapping.path, executable.as_deref() == Some(&mapping.path));
                self.meet(pid, mapping, class);
            }
        }
        let executable = executable.map_or_else(|| processes::command(pid), |path| path.display().to_string());
        let placed = |mapping: &Mapping| {
            let Mapping { file, start, end, offset, shared, writable, .. } = *mapping;
            Placed { file, start, end, offset, shared, writable }
        };
        let mut before = self.processes.remove(&pid);
        let same = before.as_mut().filter(|before| before.start == start);
        let process = Process {
            start,
            place,
            executable,
            mappings: mappings.iter().map(placed).collect(),
            armings: same.map(|before| std::mem::take(&mut before.armings)).unwrap_or_default(),
            trouble,
            seen: self.round_number,
        };
        self.processes.insert(pid, process);
        // One that only got older has nothing to tell.
        let process = &self.processes[&pid];
        self.changed |= before.is_none_or(|before| {
            before.start != process.start
                || before.place != process.place
                || before.executable != process.executable
                || before.trouble != process.trouble
                || !before
                    .mappings
                    .iter()
                    .map(|p| (p.file, p.start))
                    .eq(process.mappings.iter().map(|p| (p.file, p.start)))
        });
        self.look_for_probes(pid);
        true
    }

    /// Sees whether the breakpoints of probes stand in a process, as far as that is not known.
    fn look_for_probes(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        let mut pagemap = None;
        let mut armings = HashMap::new();
        for placed in &process.mappings {
            let Some(Stage::Attached { finding, stands, .. }) =
                self.files.get_mut(&placed.file).map(|known| &mut known.stage)
            else {
                continue;
            };
            let Ok(site) = &finding.site else { continue };
            if armings.len() == MAX_ARMINGS || armings.contains_key(&placed.file) {
                continue;
            }
            let spots = spots(process, placed.file, site.offset);
            let before = process.armings.get(&placed.file);
            let mut arming = Arming::again(before.copied(), stands.number, &spots);
            if arming.armed() != Some(true)
                && let Some(pagemap) = pagemap.get_or_insert_with(|| Pagemap::open(pid, arming.looks()).ok())
            {
                arming.look(&spots, |address| pagemap.has_own_copy(address));
            }
            if arming.may_be_put_again(&spots) {
                stands.want_again();
            }
            self.changed |= before.and_then(Arming::armed) != arming.armed();
            armings.insert(placed.file, arming);
        }
        process.armings = armings;
    }

    /// A probe was put again: where it was missed before, it may stand now.
    fn look_anew_for(&mut self, id: FileId) {
        for process in self.processes.values_mut() {
            process.armings.retain(|file, arming| *file != id || arming.armed() != Some(false));
        }
        self.changed = true;
    }

    /// Has a file looked into that is not known yet, or that failed or changed.
    fn meet(&mut self, pid: u32, mapping: &Mapping, class: Class) {
        let now = Instant::now();
        let class = match self.files.get_mut(&mapping.file) {
            Some(known) => {
                known.class = known.class.min(class);
                let retry = now.duration_since(known.tried) >= RETRY_AFTER;
                match known.stage {
                    Stage::Failed { .. } | Stage::Refused { .. } | Stage::Attached { .. } if retry => {}
                    _ => return,
                }
                known.class
            }
            None => class,
        };
        let opened = files::open(pid, mapping).and_then(|file| {
            let stamp = Stamp::of(&file).map_err(|error| format!("it cannot be read: {error}"))?;
            Ok((file, stamp))
        });
        let known = self.files.entry(mapping.file).or_insert_with(|| {
            self.changed = true;
            let path = mapping.path.display().to_string();
            Known { path, class, stamp: None, tried: now, stage: Stage::Failed { finding: None, why: String::new() } }
        });
        known.tried = now;
        let (file, stamp) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                if let Stage::Attached { stands, .. } = &mut known.stage
                    && stands.give_up_again()
                {
                    self.changed = true;
                }
                // What is known stays: a mapped file lives on without its name.
                if let Stage::Failed { finding, why: before } = &mut known.stage
                    && *before != why
                {
                    // Of an object that is most likely none of TLS nobody wants to hear.
                    *before = why;
                    *finding = None;
                    self.changed = true;
                }
                return;
            }
        };
        let failed = matches!(known.stage, Stage::Failed { .. });
        if known.stamp == Some(stamp) && !failed {
            if let Stage::Attached { finding, stands, .. } = &mut known.stage
                && let Ok(site) = &finding.site
                && stands.put_again(site, &file, &mut self.programs)
            {
                self.look_anew_for(mapping.file);
            }
            return;
        }
        known.stamp = Some(stamp);
        let id = mapping.file;
        if let Some(remembered) = self.remembered.get(&(id, stamp)) {
            let remembered = remembered.clone();
            self.conclude(id, &file, remembered);
            return;
        }
        if failed {
            known.stage = Stage::Looking;
        }
        if self.jobs.send(Job { id, class, stamp, file }).is_err() {
            known.stage = Stage::Failed { finding: None, why: "the thread that decodes files ended".to_owned() };
        }
    }

    fn done(&mut self, Done { job, verdict }: Done) {
        // A file that changes while it is read is not worth it.
        if verdict.is_ok() {
            if self.remembered.len() >= MAX_REMEMBERED {
                let files = &self.files;
                self.remembered.retain(|(id, _), _| files.contains_key(id));
            }
            self.remembered.insert((job.id, job.stamp), verdict.clone());
        }
        let expected = self.files.get(&job.id).is_some_and(|known| known.stamp == Some(job.stamp));
        if expected {
            self.conclude(job.id, &job.file, verdict);
        }
    }

    fn conclude(&mut self, id: FileId, file: &File, verdict: Verdict) {
        let Some(known) = self.files.get_mut(&id) else {
            return;
        };
        self.changed = true;
        let (finding, labels) = match verdict {
            Ok(Held::Library(finding, labels)) => (finding, labels),
            Ok(Held::Version(version)) => {
                known.stage = Stage::Version(version);
                return;
            }
            Ok(Held::Nothing) => {
                known.stage = match known.class {
                    Class::Library => Stage::Refused {
                        finding: None,
                        why: "it is called like a TLS library and is none that is known".to_owned(),
                    },
                    _ => Stage::Nothing,
                };
                return;
            }
            Err(why) => {
                known.stage = Stage::Failed { finding: None, why };
                return;
            }
        };
        let site = match &finding.site {
            Ok(site) => site.clone(),
            Err(why) => {
                known.stage = Stage::Refused { why: why.clone(), finding: Some(finding) };
                return;
            }
        };
        if let Stage::Attached { finding: before, .. } = &known.stage
            && before.site.as_ref().is_ok_and(|before| (before.offset, &before.form) == (site.offset, &site.form))
        {
            // Its file was touched, nothing more.
            return;
        }
        // Before the probe: its first secret may need them.
        lock(&self.published).labels.push(Arc::clone(&labels));
        known.stage = match self.programs.attach(&site, file) {
            Ok(link) => {
                self.links += 1;
                Stage::Attached { finding, labels, stands: Stands::new(link, self.links) }
            }
            Err(why) => Stage::Failed { finding: Some(finding), why },
        };
        let has_it = |process: &Process| process.mappings.iter().any(|placed| placed.file == id);
        let having = self.processes.iter().filter(|(_, process)| has_it(process)).map(|(pid, _)| *pid);
        for pid in having.take(MAX_ARMED_AT_ONCE).collect::<Vec<_>>() {
            self.look_for_probes(pid);
        }
    }

    /// As its libcrypto says it. None: it has none, or two that differ.
    fn openssl_version(&self, process: &Process) -> Option<&str> {
        let mut versions = process.mappings.iter().filter_map(|placed| match &self.files.get(&placed.file)?.stage {
            Stage::Version(version) => Some(version.as_str()),
            _ => None,
        });
        let first = versions.next()?;
        versions.all(|other| other == first).then_some(first)
    }

    fn publish(&mut self) {
        let mut rows = Vec::new();
        let mut keyless = HashSet::new();
        let mut standing = HashMap::new();
        for (pid, process) in &self.processes {
            let before = rows.len();
            let mut seen = HashSet::new();
            let version = self.openssl_version(process);
            let mut stands = process.trouble.as_ref().map(|_| Standing::Unsettled);
            for placed in &process.mappings {
                // A file may have several executable mappings.
                if !seen.insert(placed.file) {
                    continue;
                }
                let Some(known) = self.files.get(&placed.file) else {
                    continue;
                };
                if known.stage.is_keyless() {
                    keyless.insert(process.place.member);
                }
                stands = Standing::both(stands, known.standing());
                if let Some(mut row) = row(*pid, process, placed.file, known) {
                    // A libssl since 3.0 does not say its own.
                    if row.version.as_deref() == Some(Implementation::OpenSslShared.name()) && version.is_some() {
                        row.version = version.map(str::to_owned);
                    }
                    rows.push(row);
                }
            }
            let mut attached = rows[before..].iter().filter(|row| row.attached).peekable();
            if attached.peek().is_some() && attached.all(|row| row.armed == Some(false)) {
                keyless.insert(process.place.member);
            }
            if let Some(stands) = stands {
                let of_member = standing.entry(process.place.member).or_insert(stands);
                *of_member = of_member.and(stands);
            }
            if rows.len() == before {
                let probe = process.trouble.clone().unwrap_or_else(|| "no TLS library found in it yet".to_owned());
                rows.push(ProcessCoverage { probe, ..blank(*pid, process) });
            }
        }
        rows.sort_by(|a, b| (a.pid, &a.library).cmp(&(b.pid, &b.library)));
        let attached = || {
            self.files.values().filter_map(|known| match &known.stage {
                Stage::Attached { labels, .. } => Some(Arc::clone(labels)),
                _ => None,
            })
        };
        let mut published = lock(&self.published);
        published.rows = Arc::new(rows);
        published.keyless = keyless;
        published.standing = standing;
        published.looked_ns = self.looked_ns;
        published.labels = attached().collect();
        published.links = published.labels.len();
        drop(published);
        self.changed = false;
        self.published_at = Instant::now();
    }
}

fn blank(pid: u32, process: &Process) -> ProcessCoverage {
    ProcessCoverage {
        pid,
        executable: process.executable.clone(),
        target: process.place.target,
        member: process.place.member,
        ..ProcessCoverage::default()
    }
}

/// None: nothing to tell of this file.
fn row(pid: u32, process: &Process, file: FileId, known: &Known) -> Option<ProcessCoverage> {
    let mut row = ProcessCoverage { library: Some(known.path.clone()), ..blank(pid, process) };
    let finding = match &known.stage {
        Stage::Nothing | Stage::Version(_) => return None,
        Stage::Looking if known.class != Class::Library => return None,
        Stage::Looking => {
            row.probe = "it is being looked into".to_owned();
            None
        }
        Stage::Failed { finding: None, .. } if known.class >= Class::Crypto => return None,
        Stage::Refused { finding, why } | Stage::Failed { finding, why } => {
            row.probe.clone_from(why);
            finding.as_ref()
        }
        Stage::Attached { finding, stands, .. } => {
            let site = finding.site.as_ref().ok()?;
            let spots = spots(process, file, site.offset);
            let arming = process.armings.get(&file).filter(|_| !stands.is_wanted_again());
            row.probe.clone_from(&site.how);
            row.attached = true;
            row.armed = arming.and_then(Arming::armed);
            if row.armed == Some(false) {
                row.probe = format!("{}; {}", site.how, canary::why_unarmed(&spots));
            }
            row.probe_at = arming.copied().unwrap_or_default().address(&spots);
            Some(finding)
        }
    };
    row.version = finding.map(|finding| finding.library.clone());
    row.build_id = finding.and_then(|finding| finding.build_id.clone());
    Some(row)
}

/// Where a byte of the file is in the process.
fn spots(process: &Process, file: FileId, offset: u64) -> Vec<Spot> {
    let spot = |placed: &Placed| {
        let address = address(placed, offset)?;
        Some(Spot { address, shared: placed.shared, writable: placed.writable })
    };
    process.mappings.iter().filter(|placed| placed.file == file).filter_map(spot).take(MAX_SPOTS).collect()
}

fn address(placed: &Placed, offset: u64) -> Option<u64> {
    let address = placed.start.checked_add(offset.checked_sub(placed.offset)?)?;
    (address < placed.end).then_some(address)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn unread(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("what it has mapped cannot be read: {error}. Give the agent CAP_SYS_PTRACE")
        }
        io::ErrorKind::FileTooLarge => "it has too many mappings to be read".to_owned(),
        _ => format!("what it has mapped cannot be read: {error}"),
    }
}

/// A thread that died with the lock has left nothing half done that matters.
pub fn lock(published: &Mutex<Published>) -> std::sync::MutexGuard<'_, Published> {
    published.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kind;

    fn targets(id: u64) -> Ask {
        Ask::Targets(vec![Target { id, path: "/".into(), kind: Kind::Whole }])
    }

    #[test]
    fn of_many_changes_of_targets_the_newest_counts_and_an_end_is_not_kept_waiting() {
        let asks = [targets(1), Ask::Round, targets(2), Ask::LookAgain(2), targets(3)];
        let (kept, stopped) = those_that_count(asks.into_iter());
        assert!(stopped.is_none());
        assert!(matches!(&kept[..], [Ask::Targets(newest), Ask::Round, Ask::LookAgain(2)] if newest[0].id == 3));

        let (stop, _) = std::sync::mpsc::channel();
        let (kept, stopped) = those_that_count([targets(1), Ask::Stop(stop), targets(2)].into_iter());
        assert!(kept.is_empty() && stopped.is_some());
    }

    #[test]
    fn a_place_in_the_file_has_an_address_only_where_it_is_mapped() {
        let file = FileId { major: 8, minor: 1, ino: 7 };
        let placed = Placed {
            file,
            start: 0x7f00_0002_0000,
            end: 0x7f00_0010_0000,
            offset: 0x20000,
            shared: false,
            writable: false,
        };
        let addresses = [0x1ffff, 0x20000, 0xfffff, 0x10_0000, u64::MAX].map(|offset| address(&placed, offset));
        assert_eq!(addresses, [None, Some(0x7f00_0002_0000), Some(0x7f00_000f_ffff), None, None]);
    }
}
