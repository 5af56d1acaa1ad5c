//! The programs of kernel/calls.bpf.c: loaded, and put on the instructions of a file.
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use libbpf_rs::{Link, MapCore, MapHandle, Object, ObjectBuilder};

use super::sites::Sites;
use crate::error::CaptureError;
use crate::kernel::{check_capabilities, load_error};
use crate::library::calls::{CallSite, Count, Exit, Role};
use crate::tls_probes::programs::{has_ancestor_helper, program};
use crate::tls_probes::uprobes::Way;

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/calls.bpf.o"));
static OBJECT_ANCESTOR_IDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/calls-ancestor-ids.bpf.o"));

/// Maps of plaintext.bpf.c.
#[derive(Debug)]
pub struct Shared {
    pub targets: OwnedFd,
    pub flows: OwnedFd,
    pub controls: OwnedFd,
}

pub struct Programs {
    object: Object,
    /// Tells sockets within calls.
    _sockets: Link,
}

/// The probes in one file. The order is that in which they go: what forgets a handle stands as long as what reads one.
pub struct Standing {
    _calls: Vec<Link>,
    _frees: Vec<Link>,
}

impl Programs {
    /// `classes`: of the connections that are read, a bit for each of `enum flow_class`. Nothing is remembered of programs that
    /// were loaded before: handles may have been freed since.
    ///
    /// Errors: as `tls_probes::Probes::load`; the kernel's BTF is needed on every version.
    pub fn load(shared: &Shared, classes: u32) -> Result<Self, CaptureError> {
        check_capabilities()?;
        let image = if has_ancestor_helper() { OBJECT } else { OBJECT_ANCESTOR_IDS };
        let object = load(image, shared, classes).map_err(load_error)?;
        let sockets = program(&object, "socket_read").and_then(|program| program.attach()).map_err(load_error)?;
        Ok(Self { object, _sockets: sockets })
    }

    /// A handle on one of the maps, which outlives the programs.
    pub fn map(&self, name: &str) -> Result<MapHandle, CaptureError> {
        let map = self.object.maps().find(|map| map.name() == name);
        let map = map.ok_or_else(|| CaptureError::internal("find a map", name))?;
        MapHandle::try_from(&map).map_err(|e| CaptureError::internal("share a map", e))
    }

    /// Errors: a sentence for coverage; then no probe stands in the file.
    pub fn attach(&self, sites: &Sites, file: &File) -> Result<Standing, String> {
        let mut frees = Vec::new();
        for offset in &sites.frees {
            frees.push(self.put("handle_freed", file, *offset, false)?);
        }
        let mut calls = Vec::new();
        for site in &sites.calls {
            // The end first: a call that is under way is not known to have begun.
            let Some(entry) = entry_program(site) else {
                return Err(format!("{}: no program reads such a call", site.how));
            };
            calls.push(match &site.exit {
                Exit::Return => self.put("call_returned", file, site.entry.offset, true)?,
                Exit::At(place) => self.put("call_passed", file, place.offset, false)?,
            });
            calls.push(self.put(entry, file, site.entry.offset, false)?);
        }
        Ok(Standing { _calls: calls, _frees: frees })
    }

    fn put(&self, name: &str, file: &File, offset: u64, returns: bool) -> Result<Link, String> {
        // Exactly the file that was looked into, whatever lies at its path by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let program = program(&self.object, name).map_err(|e| e.to_string())?;
        Way::best().attach(&program, Path::new(&path), offset, returns)
    }
}

fn entry_program(site: &CallSite) -> Option<&'static str> {
    Some(match (site.role, site.count) {
        (Role::Read, Some(Count::Returned)) => "read_returned",
        (Role::Read, Some(Count::Argument(4))) => "read_argument_4",
        (Role::Read, Some(Count::Argument(5))) => "read_argument_5",
        (Role::Write, Some(Count::Returned)) => "write_returned",
        (Role::Write, Some(Count::Argument(4))) => "write_argument_4",
        (Role::Write, Some(Count::Argument(5))) => "write_argument_5",
        (Role::Handshake, _) => "handshake_entered",
        _ => return None,
    })
}

fn load(image: &[u8], shared: &Shared, classes: u32) -> Result<Object, libbpf_rs::Error> {
    // libelf wants it aligned, which what is compiled in is not.
    let image = image.to_vec();
    let mut open = ObjectBuilder::default().open_memory(&image)?;
    for mut map in open.maps_mut() {
        match map.name().to_string_lossy().as_ref() {
            "targets" => map.reuse_fd(shared.targets.as_fd())?,
            "flows" => map.reuse_fd(shared.flows.as_fd())?,
            "controls" => map.reuse_fd(shared.controls.as_fd())?,
            name if name.ends_with("options") => {
                // struct call_options
                if let Some(first) = map.initial_value_mut().and_then(|value| value.first_chunk_mut::<4>()) {
                    *first = classes.to_ne_bytes();
                }
            }
            _ => {}
        }
    }
    for mut program in open.progs_mut() {
        if matches!(program.section().to_str(), Some("uprobe" | "uretprobe")) {
            Way::best().prepare(&mut program);
        }
    }
    open.load()
}
