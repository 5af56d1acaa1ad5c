//! Whether this kernel takes every BPF program, also those that a capture loads only when it meets what needs them.
use std::mem::MaybeUninit;

use crate::error::CaptureError;
use crate::kernel::Kernel;
use crate::{tls_calls, tls_probes};

const RING_BYTES: u32 = 8 << 20;

/// Loads the programs of each source file and lets them go again: its name, and what libbpf says of a refusal.
pub fn load_every_program() -> Vec<(&'static str, Option<String>)> {
    let mut storage = MaybeUninit::uninit();
    let kernel = match Kernel::load(&mut storage, RING_BYTES, true) {
        Ok(kernel) => kernel,
        Err(error) => return vec![("plaintext.bpf.c", Some(error.message))],
    };
    let message = |result: Result<(), CaptureError>| result.err().map(|error| error.message);
    vec![
        ("plaintext.bpf.c", None),
        ("secrets.bpf.c", message(tls_probes::load_every_program(kernel.targets()))),
        ("calls.bpf.c", message(tls_calls::load_every_program(&kernel))),
    ]
}
