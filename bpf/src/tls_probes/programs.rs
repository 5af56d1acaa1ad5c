//! The uprobe programs of kernel/secrets.bpf.c: loaded, and put on instructions of files.
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use libbpf_rs::{Link, MapCore, Object, ObjectBuilder};

use super::finding::{ClientRandom, Form, Site};
use super::uprobes::Way;
use crate::error::CaptureError;
use crate::kernel::{check_capabilities, load_error};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/secrets.bpf.o"));
static OBJECT_ANCESTOR_IDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/secrets-ancestor-ids.bpf.o"));

/// One per place of the client random (kernel/secret.h): more kinds of OpenSSL on one node are not expected.
const MAX_LOG_OBJECTS: usize = 32;

const MAPS: [&str; 5] = ["targets", "secrets", "execs", "tally", "last"];

pub struct Programs {
    base: Object,
    /// `secret_log` takes its parameters from read-only data: attach cookies came with Linux 5.15 only.
    logs: Vec<(Option<ClientRandom>, Object)>,
    shared: Vec<(&'static str, OwnedFd)>,
    image: &'static [u8],
    _exec: Link,
}

impl Programs {
    /// `targets`: the map of plaintext.bpf.c.
    pub fn load(targets: BorrowedFd) -> Result<Self, CaptureError> {
        check_capabilities()?;
        let image = if has_ancestor_helper() { OBJECT } else { OBJECT_ANCESTOR_IDS };
        let targets = targets.try_clone_to_owned().map_err(|e| CaptureError::internal("share the targets", e))?;
        let base = load(image, &[("targets", targets)], None, |name| name != "secret_log").map_err(load_error)?;
        let mut shared = Vec::new();
        for name in MAPS {
            shared.push((name, map_fd(&base, name)?));
        }
        let exec = program(&base, "noted_exec").and_then(|program| program.attach()).map_err(load_error)?;
        Ok(Self { base, logs: Vec::new(), shared, image, _exec: exec })
    }

    /// A descriptor of one of the maps.
    pub fn map(&self, name: &str) -> Result<OwnedFd, CaptureError> {
        map_fd(&self.base, name)
    }

    /// Puts the program of this form on an instruction of the file, for whoever maps it, now or later. Gone with the link.
    /// Errors: a sentence for coverage.
    pub fn attach(&mut self, site: &Site, file: &File) -> Result<Link, String> {
        // Exactly the file that was looked into, whatever lies at its path by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let (object, name) = match &site.form {
            Form::Inner => (&self.base, "secret_inner"),
            Form::Go => (&self.base, "secret_go"),
            Form::Log { random } => (self.log_object(random.clone())?, "secret_log"),
        };
        let program = program(object, name).map_err(|e| e.to_string())?;
        Way::best().attach(&program, Path::new(&path), site.offset, false)
    }

    /// Loads `secret_log`, which otherwise waits for a library of its form.
    pub fn load_log(&mut self) -> Result<(), CaptureError> {
        self.log_object(None).map(drop).map_err(|why| CaptureError::internal("load secret_log", why))
    }

    fn log_object(&mut self, random: Option<ClientRandom>) -> Result<&Object, String> {
        let place = match self.logs.iter().position(|(known, _)| *known == random) {
            Some(place) => place,
            None if self.logs.len() == MAX_LOG_OBJECTS => {
                return Err(format!("{MAX_LOG_OBJECTS} kinds of such libraries have probes already"));
            }
            None => {
                let object = load(self.image, &self.shared, random.as_ref(), |name| name == "secret_log")
                    .map_err(|e| load_error(e).message)?;
                self.logs.push((random, object));
                self.logs.len() - 1
            }
        };
        Ok(&self.logs[place].1)
    }
}

/// `secret_inner`, to be put in one way.
#[cfg(test)]
pub fn for_either_way(way: Way) -> Result<Object, libbpf_rs::Error> {
    let image = if has_ancestor_helper() { OBJECT } else { OBJECT_ANCESTOR_IDS };
    load_for(way, image, &[], None, |name| name == "secret_inner")
}

fn load(
    image: &[u8],
    shared: &[(&str, OwnedFd)],
    random: Option<&ClientRandom>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Object, libbpf_rs::Error> {
    load_for(Way::best(), image, shared, random, wanted)
}

fn load_for(
    way: Way,
    image: &[u8],
    shared: &[(&str, OwnedFd)],
    random: Option<&ClientRandom>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Object, libbpf_rs::Error> {
    // libelf wants it aligned, as what an allocator gives is.
    let image = image.to_vec();
    let mut open = ObjectBuilder::default().open_memory(&image)?;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if let Some((_, fd)) = shared.iter().find(|(shared, _)| *shared == name) {
            map.reuse_fd(fd.as_fd())?;
        }
        if name.ends_with("options")
            && let Some(random) = random
            && let Some(options) = map.initial_value_mut()
        {
            // struct secret_options: known, deref, first, second.
            for (field, value) in
                options.as_chunks_mut::<4>().0.iter_mut().zip([1, u32::from(random.deref), random.first, random.second])
            {
                *field = value.to_ne_bytes();
            }
        }
    }
    for mut program in open.progs_mut() {
        let load = wanted(&program.name().to_string_lossy());
        program.set_autoload(load);
        if program.section() == "uprobe" {
            way.prepare(&mut program);
        }
    }
    open.load()
}

pub(crate) fn program<'o>(object: &'o Object, name: &str) -> Result<libbpf_rs::ProgramMut<'o>, libbpf_rs::Error> {
    let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, format!("no program {name}"));
    object.progs_mut().find(|program| program.name() == name).ok_or_else(|| missing().into())
}

fn map_fd(object: &Object, name: &str) -> Result<OwnedFd, CaptureError> {
    let map = object.maps().find(|map| map.name() == name);
    let map = map.ok_or_else(|| CaptureError::internal("find a map", name))?;
    map.as_fd().try_clone_to_owned().map_err(|e| CaptureError::internal("share a map", e))
}

/// Whether tracing programs may ask for the current task's ancestor cgroups: Linux 5.14.
pub(crate) fn has_ancestor_helper() -> bool {
    // SAFETY: no pointers but the options, which may be null.
    let answer = unsafe {
        libbpf_sys::libbpf_probe_bpf_helper(
            libbpf_sys::BPF_PROG_TYPE_KPROBE,
            libbpf_sys::BPF_FUNC_get_current_ancestor_cgroup_id,
            std::ptr::null(),
        )
    };
    answer == 1
}
