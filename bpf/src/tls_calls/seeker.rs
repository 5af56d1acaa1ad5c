//! The thread that finds the TLS libraries of wanted targets' processes, and puts the probes there and takes them away.
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libbpf_rs::MapHandle;

use super::programs::{Programs, Shared, Standing};
use super::sites::{self, Sites};
use crate::clock::monotonic_ns;
use crate::error::CaptureError;
use crate::tls_probes::analysis::{self, Class};
use crate::tls_probes::files::{self, Stamp};
use crate::tls_probes::maps::{self, FileId, Mapping};
use crate::tls_probes::processes::{self, Target};

/// While probes are wanted: for libraries that are loaded late, and for what is gone.
const ROUND_EVERY: Duration = Duration::from_secs(2);
const NEVER: Duration = Duration::from_secs(3600);
/// node has 120 MiB.
const MAX_BYTES: u64 = 256 << 20;
/// A container may have as many.
const MAX_FILES: usize = 256;
const MAX_MAPPINGS: usize = 2048;

pub enum Ask {
    Targets(Vec<Target>),
    /// Targets, or children of one, whose calls are to be read; none: the probes go.
    Want(BTreeSet<u64>),
    Stop(Sender<()>),
}

/// What the owner thread has to know.
pub enum News {
    /// Programs are loaded; probes are about to stand.
    Loaded { ring: MapHandle, counts: MapHandle },
    /// No probe stands any more, and nothing more comes into the ring.
    Gone,
    /// They cannot be loaded: a sentence for coverage.
    Refused(String),
}

/// A library of a target, for coverage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub target: u64,
    pub member: u64,
    /// The path in the process's own root.
    pub library: String,
    /// Where its probes stand, or why none do.
    pub stands: Result<String, String>,
}

pub type Rows = Arc<Mutex<Arc<Vec<Row>>>>;

/// When the last probe was put, CLOCK_MONOTONIC in nanoseconds. While one is being put: the end of time.
pub type Stood = Arc<AtomicU64>;

/// A thread that died with the lock has left nothing half done that matters.
pub fn lock(rows: &Rows) -> std::sync::MutexGuard<'_, Arc<Vec<Row>>> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

type Verdict = Option<Result<Arc<Sites>, String>>;

struct Known {
    stands: Result<String, String>,
    standing: Option<Standing>,
}

pub struct Seeker {
    shared: Shared,
    classes: u32,
    targets: Vec<Target>,
    wanted: BTreeSet<u64>,
    /// Goes after the probes in `files`.
    files: HashMap<FileId, Known>,
    programs: Option<Programs>,
    refused: bool,
    /// Of files that were looked into before.
    remembered: HashMap<(FileId, Stamp), Verdict>,
    news: Sender<News>,
    rows: Rows,
    stood: Stood,
}

impl Seeker {
    pub fn new(shared: Shared, classes: u32, news: Sender<News>, rows: Rows, stood: Stood) -> Self {
        Self {
            shared,
            classes,
            targets: Vec::new(),
            wanted: BTreeSet::new(),
            files: HashMap::new(),
            programs: None,
            refused: false,
            remembered: HashMap::new(),
            news,
            rows,
            stood,
        }
    }

    /// Until it is told to stop; all probes go with it.
    pub fn serve(mut self, asks: &Receiver<Ask>) {
        loop {
            let wait = if self.wanted.is_empty() { NEVER } else { ROUND_EVERY };
            let first = match asks.recv_timeout(wait) {
                Ok(ask) => Some(ask),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // All that was asked meanwhile: a round takes longer than a change of targets, and only the newest counts.
            for ask in first.into_iter().chain(asks.try_iter()) {
                match ask {
                    Ask::Stop(stopped) => {
                        self.take_away();
                        // Nobody may wait for it.
                        let _ = stopped.send(());
                        return;
                    }
                    Ask::Targets(targets) => self.targets = targets,
                    Ask::Want(wanted) => self.wanted = wanted,
                }
            }
            if self.wanted.is_empty() { self.take_away() } else { self.round() }
        }
    }

    fn take_away(&mut self) {
        self.files.clear();
        *lock(&self.rows) = Arc::default();
        self.unload();
    }

    fn unload(&mut self) {
        if self.programs.take().is_some() {
            // The owner is gone only when the whole capture is.
            let _ = self.news.send(News::Gone);
        }
    }

    fn load(&mut self) -> Result<(), CaptureError> {
        let programs = Programs::load(&self.shared, self.classes)?;
        let (ring, counts) = (programs.map("ring")?, programs.map("counts")?);
        let _ = self.news.send(News::Loaded { ring, counts });
        self.programs = Some(programs);
        Ok(())
    }

    fn round(&mut self) {
        // What a kernel refuses once it refuses again.
        if self.refused {
            return;
        }
        let mut used = HashSet::new();
        let mut rows = BTreeMap::new();
        for found in processes::walk(&self.targets) {
            let place = found.place;
            if !self.wanted.contains(&place.target) && !self.wanted.contains(&place.member) {
                continue;
            }
            let Ok(text) = maps::read(found.pid) else {
                continue;
            };
            let executable = processes::executable(found.pid);
            let mut seen = HashSet::new();
            for mapping in maps::executable(&text).take(MAX_MAPPINGS) {
                if !seen.insert(mapping.file) {
                    continue;
                }
                let class = analysis::class(&mapping.path, executable.as_deref() == Some(&mapping.path));
                if class >= Class::Crypto || !self.meet(found.pid, &mapping) {
                    continue;
                }
                used.insert(mapping.file);
                if let Some(known) = self.files.get(&mapping.file) {
                    let library = mapping.path.display().to_string();
                    let row = Row { library, stands: known.stands.clone(), target: place.target, member: place.member };
                    rows.insert((place.target, place.member, mapping.file), row);
                }
            }
        }
        self.files.retain(|id, _| used.contains(id));
        if !self.files.values().any(|known| known.standing.is_some()) {
            self.unload();
        }
        *lock(&self.rows) = Arc::new(rows.into_values().collect());
    }

    /// False: no OpenSSL is in there, or it cannot be known.
    fn meet(&mut self, pid: u32, mapping: &Mapping) -> bool {
        if self.files.contains_key(&mapping.file) {
            return true;
        }
        let Ok(file) = files::open(pid, mapping) else {
            return false;
        };
        let Ok(stamp) = Stamp::of(&file) else {
            return false;
        };
        if self.files.len() >= MAX_FILES {
            return false;
        }
        if self.remembered.len() > 4 * MAX_FILES {
            self.remembered.clear();
        }
        let key = (mapping.file, stamp);
        let verdict = self.remembered.entry(key).or_insert_with(|| look(&file, stamp)).clone();
        let Some(sites) = verdict else {
            return false;
        };
        let known = match sites.and_then(|sites| Ok((self.put(&sites, &file)?, sites.how.clone()))) {
            Ok((standing, how)) => Known { stands: Ok(how), standing: Some(standing) },
            Err(why) => Known { stands: Err(why), standing: None },
        };
        self.files.insert(mapping.file, known);
        true
    }

    /// Loads the programs with the first file that there are probes for. Errors: a sentence for coverage.
    fn put(&mut self, sites: &Sites, file: &File) -> Result<Standing, String> {
        if self.programs.is_none()
            && let Err(error) = self.load()
        {
            self.refused = true;
            let _ = self.news.send(News::Refused(error.message.clone()));
            return Err(error.message);
        }
        let programs = self.programs.as_ref().ok_or("the probes were taken away")?;
        self.stood.store(u64::MAX, Ordering::Release);
        let standing = programs.attach(sites, file);
        self.stood.store(monotonic_ns(), Ordering::Release);
        standing
    }
}

fn look(file: &File, stamp: Stamp) -> Verdict {
    if stamp.bytes > MAX_BYTES {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(stamp.bytes).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    sites::examine(&bytes).map(|sites| sites.map(Arc::new))
}
