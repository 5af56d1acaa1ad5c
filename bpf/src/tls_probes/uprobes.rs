//! The two ways in which a kernel puts a program on an instruction of a file.
use std::path::Path;
use std::sync::OnceLock;

use libbpf_rs::{Error, ErrorKind, Link, OpenProgramMut, ProgramAttachType, ProgramMut, UprobeMultiOpts, UprobeOpts};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A link of its own kind, from Linux 6.6 on. CAP_BPF and CAP_PERFMON, which the programs take anyway, are enough.
    Multi,
    /// A perf event. It takes CAP_PERFMON, and CAP_SYS_ADMIN from Linux 6.16 on ("perf: Revert to requiring
    /// CAP_SYS_ADMIN for uprobes"), in stable updates of older kernels, and where a distribution wants it.
    Perf,
}

impl Way {
    /// The better one that this kernel has.
    pub fn best() -> Self {
        static BEST: OnceLock<Way> = OnceLock::new();
        *BEST.get_or_init(|| if has_multi() { Self::Multi } else { Self::Perf })
    }

    /// A program is loaded for one of the ways.
    pub fn prepare(self, program: &mut OpenProgramMut) {
        if self == Self::Multi {
            program.set_attach_type(ProgramAttachType::TraceUprobeMulti);
        }
    }

    /// `offset`: of the instruction in the file; `returns`: where the function that begins there returns. For whoever maps
    /// the file, now or later; gone with the link.
    ///
    /// Errors: a sentence for coverage.
    pub fn attach(self, program: &ProgramMut, file: &Path, offset: u64, returns: bool) -> Result<Link, String> {
        let offset = usize::try_from(offset).map_err(|_| "its code lies too far behind".to_owned())?;
        let attached = match self {
            Self::Multi => {
                let options =
                    UprobeMultiOpts { offsets: vec![offset], retprobe: returns, ..UprobeMultiOpts::default() };
                program.attach_uprobe_multi_with_opts(-1, file, "", options)
            }
            Self::Perf => {
                let options = UprobeOpts { retprobe: returns, ..UprobeOpts::default() };
                program.attach_uprobe_with_opts(-1, file, offset, options)
            }
        };
        attached.map_err(|error| self.refused(&error))
    }

    fn refused(self, error: &Error) -> String {
        match (self, error.kind()) {
            (Self::Perf, ErrorKind::PermissionDenied) => format!(
                "the kernel refuses a probe: {error}. This kernel wants CAP_SYS_ADMIN for it: grant it to the agent, or run Linux 6.6 or newer, which takes CAP_BPF and CAP_PERFMON"
            ),
            _ => format!("the kernel refuses a probe: {error}"),
        }
    }
}

/// As libbpf finds it out: a link on a directory is refused as one (EBADF), which only a kernel does that knows them.
fn has_multi() -> bool {
    const MOV64_IMM: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    let code = |code| libbpf_sys::bpf_insn { code, ..Default::default() };
    let instructions = [code(MOV64_IMM), code(EXIT)];
    let load = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as _,
        expected_attach_type: libbpf_sys::BPF_TRACE_UPROBE_MULTI,
        ..Default::default()
    };
    // SAFETY: two instructions, strings that end with NUL, and options with their size, all valid during the call.
    let program = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_KPROBE,
            std::ptr::null(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            instructions.len() as _,
            (&raw const load).cast_mut(),
        )
    };
    if program < 0 {
        return false;
    }
    let offset: std::ffi::c_ulong = 0;
    let mut link = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as _,
        ..Default::default()
    };
    link.__bindgen_anon_1.uprobe_multi = libbpf_sys::bpf_link_create_opts__bindgen_ty_1__bindgen_ty_3 {
        path: c"/".as_ptr(),
        offsets: &raw const offset,
        cnt: 1,
        ..Default::default()
    };
    // SAFETY: an open descriptor, and options with their size whose pointers are valid during the call.
    let created =
        unsafe { libbpf_sys::bpf_link_create(program, -1, libbpf_sys::BPF_TRACE_UPROBE_MULTI, &raw const link) };
    let known = created == -libc::EBADF;
    for descriptor in [created, program] {
        if descriptor >= 0 {
            // SAFETY: a descriptor that was made above and is used no more.
            unsafe { libc::close(descriptor) };
        }
    }
    known
}
