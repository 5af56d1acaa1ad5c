//! The thread that reads and decodes files: a hundred megabytes of it must not hold up anything else.
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use memchr::memmem;

use super::files::Stamp;
use super::finding::{self, Finding};
use super::labels::Labels;
use super::maps::FileId;
use crate::library::elf::Elf;
use crate::library::recognise::openssl_version;

/// Read at once into memory, one file at a time. node has 120 MiB.
const MAX_BYTES: u64 = 256 << 20;
/// Of what is neither an executable nor called like a TLS library.
const MAX_OTHER_BYTES: u64 = 64 << 20;
const STEP: usize = 1 << 20;

/// What a file is to a process, most likely a TLS library first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Library,
    /// Or a runtime: it may have a TLS library inside and need not.
    Executable,
    /// A libcrypto: it says the version of the OpenSSL whose libssl is beside it.
    Crypto,
    Other,
}

pub struct Job {
    pub id: FileId,
    pub class: Class,
    pub stamp: Stamp,
    pub file: File,
}

#[derive(Clone)]
pub enum Held {
    /// Nothing of TLS.
    Nothing,
    /// Of a library of which another file has the TLS.
    Version(String),
    /// What was found and where its labels lie.
    Library(Arc<Finding>, Arc<Labels>),
}

/// What a file holds, or why it could not be read.
pub type Verdict = Result<Held, String>;

pub struct Done {
    pub job: Job,
    pub verdict: Verdict,
}

/// Runs until the sender is dropped.
pub fn start(done: impl Fn(Done) -> bool + Send + 'static) -> io::Result<Sender<Job>> {
    let (jobs, received) = mpsc::channel();
    thread::Builder::new().name("podmirror-elf".into()).spawn(move || serve(&received, done))?;
    Ok(jobs)
}

fn serve(jobs: &Receiver<Job>, done: impl Fn(Done) -> bool) {
    let mut waiting = BinaryHeap::new();
    while let Ok(job) = jobs.recv() {
        waiting.push(Reverse(Queued(job)));
        loop {
            waiting.extend(jobs.try_iter().map(|job| Reverse(Queued(job))));
            let Some(Reverse(Queued(job))) = waiting.pop() else {
                break;
            };
            let verdict = look(&job);
            if !done(Done { job, verdict }) {
                return;
            }
        }
    }
}

fn look(job: &Job) -> Verdict {
    let limit = if job.class >= Class::Crypto { MAX_OTHER_BYTES } else { MAX_BYTES };
    if job.stamp.bytes > limit {
        return match job.class {
            Class::Crypto | Class::Other => Ok(Held::Nothing),
            _ => Err(format!("it has {} MiB; up to {} are looked into", job.stamp.bytes >> 20, limit >> 20)),
        };
    }
    let unread = |error: io::Error| format!("it cannot be read: {error}");
    if job.class == Class::Other && !mentions_key_log(&job.file, job.stamp.bytes).map_err(unread)? {
        return Ok(Held::Nothing);
    }
    let bytes = read(&job.file, job.stamp.bytes).map_err(unread)?;
    if Stamp::of(&job.file).ok() != Some(job.stamp) {
        return Err("it changed while it was read".to_owned());
    }
    if job.class == Class::Crypto {
        let version = Elf::parse(&bytes).ok().and_then(|elf| openssl_version(&elf));
        return Ok(version.map_or(Held::Nothing, Held::Version));
    }
    Ok(finding::examine(&bytes).map_or(Held::Nothing, |finding| {
        let labels = finding.site.as_ref().map(|site| Labels::of(&bytes, site.offset)).unwrap_or_default();
        Held::Library(Arc::new(finding), Arc::new(labels))
    }))
}

fn read(file: &File, bytes: u64) -> io::Result<Vec<u8>> {
    let mut whole = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    file.read_exact_at(&mut whole, 0)?;
    Ok(whole)
}

/// Whether the file may have a TLS library in it: most have none, and are not kept in memory to see that.
fn mentions_key_log(file: &File, bytes: u64) -> io::Result<bool> {
    let label = b"CLIENT_RANDOM";
    let finder = memmem::Finder::new(label);
    let mut window = vec![0; STEP + label.len()];
    let mut at = 0;
    while at < bytes {
        let want = usize::try_from(bytes - at).map_or(window.len(), |left| left.min(window.len()));
        file.read_exact_at(&mut window[..want], at)?;
        if finder.find(&window[..want]).is_some() {
            return Ok(true);
        }
        at += STEP as u64;
    }
    Ok(false)
}

/// By class, then the small ones first.
struct Queued(Job);

impl Queued {
    fn key(&self) -> (Class, u64) {
        (self.0.class, self.0.stamp.bytes)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// By the file's name, which nobody has to keep to.
pub fn class(path: &std::path::Path, executable: bool) -> Class {
    const LIBRARIES: [&str; 10] = [
        "libssl",
        "libgnutls",
        "libnss3",
        "libboringssl",
        "libwolfssl",
        "libmbedtls",
        "libs2n",
        "librustls",
        "libconscrypt",
        "libnetty_tcnative",
    ];
    const RUNTIMES: [&str; 3] = ["libnode", "libpython", "_ssl."];
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is_called = |names: &[&str]| names.iter().any(|known| name.starts_with(known));
    if executable || is_called(&RUNTIMES) {
        Class::Executable
    } else if is_called(&LIBRARIES) {
        Class::Library
    } else if name.starts_with("libcrypto") {
        Class::Crypto
    } else {
        Class::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_has_no_tls_inside_is_no_tls_library_that_is_not_known() {
        for (name, expected) in [
            ("libssl.so.3", Class::Library),
            ("libs2n.so.1", Class::Library),
            ("libpython3.11.so.1.0", Class::Executable),
            ("_ssl.cpython-311-x86_64-linux-gnu.so", Class::Executable),
            ("libcrypto.so.3", Class::Crypto),
            ("libc.so.6", Class::Other),
        ] {
            assert_eq!(class(&std::path::Path::new("/usr/lib").join(name), false), expected, "{name}");
        }
        assert_eq!(class("/usr/sbin/libssl".as_ref(), true), Class::Executable);
    }
}
