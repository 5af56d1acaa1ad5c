//! The secrets site: where a TLS library hands each secret to its key log, which it comes to whether or not anybody asked
//! for one. Entry-only, a handful of hits per handshake, none per request.
//!
//! In OpenSSL and BoringSSL that is `ssl_log_secret(ssl, label, secret, length)`, a local function. Where its name was
//! stripped, the code that loads the labels (`CLIENT_RANDOM`, `EXPORTER_SECRET`, …) is followed to the function that it
//! calls with them: two labels at least have to agree, one of them `CLIENT_RANDOM`, and none may contradict.
use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Code, FlowControl, Register};
use memchr::memmem;

use super::elf::{Elf, Function};
use super::go;
use super::recognise::{Implementation, Library, recognise};
use super::trace::{self, Leave, Path, Value};
use super::{Instruction, Refusal};

/// Where the 32 bytes of the client random lie: at `ssl + offset`, or with `pointer` at `*(ssl + pointer) + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    pub pointer: Option<u32>,
    pub offset: u32,
}

/// What the registers hold at the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RDI label (NUL-terminated), RSI ssl, RDX client random, RCX its length, R8 secret, R9 its length. A length other than
    /// 32 is another kind of line (`RSA`, 8 bytes) and to be passed by.
    Inner,
    /// RDI ssl, RSI label (NUL-terminated), RDX secret, RCX its length; the client random is read by way of ssl.
    Log { random: Random },
    /// The same, and where the client random lies could not be decoded: bind by the group (tgid, ssl).
    LogWithoutRandom,
    /// Go's ABIInternal: label RBX with length RCX, client random RDI with length RSI, secret R9 with length R10.
    Go,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub form: Form,
    /// Of the instruction in the file: what `bpf_program__attach_uprobe` wants.
    pub offset: u64,
    /// Virtual address as linked.
    pub address: u64,
    pub instruction: Instruction,
    /// One line for the coverage report.
    pub how: String,
}

/// Labels that the libraries pass as a constant straight to the function; others come by way of a variable.
const LABELS: [&str; 9] = [
    "CLIENT_RANDOM",
    "EARLY_EXPORTER_SECRET",
    "EXPORTER_SECRET",
    "CLIENT_EARLY_TRAFFIC_SECRET",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "ECH_SECRET",
];
/// TLS 1.2's, the one that every version has.
const CLIENT_RANDOM: usize = 0;
/// Copies of one label, and loads of one, that are followed.
const MAX_COPIES: usize = 16;
const MAX_LOADS: usize = 4096;
/// Bytes between the load of a label and the call.
const MAX_TO_CALL: u64 = 96;

/// The site of the file's TLS library, of the first that has one.
pub fn find(elf: &Elf) -> Result<Site, Refusal> {
    find_for(elf, &recognise(elf))
}

/// The same where `recognise` has been asked already.
pub fn find_for(elf: &Elf, libraries: &[Library]) -> Result<Site, Refusal> {
    elf.require_x86_64()?;
    let mut refusal = Refusal::NoLibrary;
    for library in libraries {
        let site = match library.implementation {
            Implementation::OpenSslShared | Implementation::OpenSslInside | Implementation::BoringSsl => c_site(elf),
            Implementation::Go => go_site(elf, library.version.as_deref()),
            other => Err(Refusal::Unsupported { library: other.name().to_owned(), why: why_not(other) }),
        };
        match site {
            Ok(site) => return Ok(site),
            Err(why) if refusal == Refusal::NoLibrary => refusal = why,
            Err(_) => {}
        }
    }
    Err(refusal)
}

fn why_not(implementation: Implementation) -> &'static str {
    match implementation {
        Implementation::GnuTls => {
            "how to find its key log function is not worked out; GnuTLS 3.6.12 and newer have one"
        }
        Implementation::Nss => "how to find its key log function is not worked out",
        Implementation::Rustls => {
            "its key log is a Rust trait whose calls compilers inline; there is no symbol or call to hold on to"
        }
        Implementation::MbedTls => "it exports keys only to programs that set a callback",
        _ => "its TLS is compiled as it runs and is not in the file; a Java agent would be needed",
    }
}

/// Go passes arguments in registers since 1.17.
fn go_site(elf: &Elf, version: Option<&str>) -> Result<Site, Refusal> {
    if version.and_then(go::minor).is_some_and(|minor| minor < 17) {
        let version = version.unwrap_or_default();
        return Err(Refusal::Go(format!("{version} passes arguments on the stack; Go 1.17 or newer is needed")));
    }
    let (function, how) = match elf.function(go::WRITE_KEY_LOG) {
        Some(function) => (function.address, "symbol"),
        None => (go::function(elf, go::WRITE_KEY_LOG)?, "function table"),
    };
    // The prologue looks whether the stack has room, and comes back to its start with more: the push behind is passed once.
    let mut kept = true;
    let body = trace::decode(elf, function, 64).take_while(|i| {
        let keep = kept;
        kept = !matches!(i.flow_control(), FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::Call);
        keep
    });
    let mut body = body.collect::<Vec<_>>().into_iter();
    let push = body.find(trace::is_push).ok_or_else(|| {
        Refusal::Go(format!("the code at {function:#x} does not begin as {} does", go::WRITE_KEY_LOG))
    })?;
    if !trace::unchanged(elf, function, push.ip(), &trace::GO_ARGUMENTS) {
        return Err(Refusal::Go("its arguments are changed before an instruction that can be probed".to_owned()));
    }
    let how = format!("Go writeKeyLog by {how}, at its push (+{})", push.ip() - function);
    site(elf, Form::Go, push.ip(), Instruction::Emulated, how)
}

fn c_site(elf: &Elf) -> Result<Site, Refusal> {
    let (function, how) = logger(elf)?;
    let trace = trace::trace(elf, function);
    let exported = random_by_getter(elf);
    let inner = trace.leaves.iter().find(|leave| is_inner(leave));
    if let Some((leave, Value::From(0, path))) = inner.map(|leave| (leave, leave.argument(2))) {
        if !exported.is_empty() && !exported.contains(&path) {
            return Err(Refusal::Disagree(
                "it and SSL_get_client_random read the client random from different places".to_owned(),
            ));
        }
        let at = leave.instruction.ip();
        if leave.branches == 0 && trace::emulation(&leave.instruction) == Instruction::Emulated {
            let how = format!("{how}, where it goes on to the function that writes the line");
            return site(elf, Form::Inner, at, Instruction::Emulated, how);
        }
        return log_site(elf, function, Some(path), &how);
    }
    // The function that writes the line was inlined: the random is what it hands on with the length 32, or else what it and
    // SSL_get_client_random both read.
    let handed = trace.leaves.iter().filter_map(handed_on).collect::<BTreeSet<_>>();
    let read = trace.touched.iter().filter(|(n, _)| *n == 0).map(|(_, path)| *path).collect::<BTreeSet<_>>();
    let both = read.intersection(&exported).copied().collect::<BTreeSet<_>>();
    let path = only(&handed).filter(|path| exported.is_empty() || exported.contains(path)).or_else(|| only(&both));
    log_site(elf, function, path, &how)
}

/// The one place; or the first, where the others are the rest of its 32 bytes.
fn only(paths: &BTreeSet<Path>) -> Option<Path> {
    let first = *paths.first()?;
    let within = |path: &Path| path.via == first.via && path.offset - first.offset < 32;
    paths.iter().all(within).then_some(first)
}

/// (label, ssl, client random, 32, secret, length)
fn is_inner(leave: &Leave) -> bool {
    let arguments = [1, 0, 2, 3].map(|n| move |value: Value| value.is_argument(n));
    arguments[0](leave.argument(0))
        && arguments[1](leave.argument(1))
        && matches!(leave.argument(2), Value::From(0, _))
        && leave.argument(3) == Value::Number(32)
        && arguments[2](leave.argument(4))
        && arguments[3](leave.argument(5))
}

/// (…, client random, 32, …) as BoringSSL calls its hex encoder.
fn handed_on(leave: &Leave) -> Option<Path> {
    (0..4).find_map(|n| match (leave.argument(n), leave.argument(n + 1)) {
        (Value::From(0, path), Value::Number(32)) => Some(path),
        _ => None,
    })
}

/// What `SSL_get_client_random(ssl, out, length)`, a public function, reads by way of ssl.
fn random_by_getter(elf: &Elf) -> BTreeSet<Path> {
    let Some(function) = elf.function("SSL_get_client_random") else { return BTreeSet::new() };
    let touched = trace::trace(elf, function).touched;
    touched.into_iter().filter(|(n, path)| *n == 0 && path.offset > 0).map(|(_, path)| path).collect()
}

fn log_site(elf: &Elf, function: Function, path: Option<Path>, how: &str) -> Result<Site, Refusal> {
    const KEEP: [Register; 4] = [Register::RDI, Register::RSI, Register::RDX, Register::RCX];
    let form = path
        .map_or(Form::LogWithoutRandom, |path| Form::Log { random: Random { pointer: path.via, offset: path.offset } });
    let random = match path {
        Some(Path { via: None, offset }) => format!("client random at ssl+{offset:#x}"),
        Some(Path { via: Some(pointer), offset }) => format!("client random at *(ssl+{pointer:#x})+{offset:#x}"),
        None => "client random not found".to_owned(),
    };
    let (address, instruction) = match trace::entry(elf, function.address, &KEEP, false) {
        Some(address) => (address, Instruction::Emulated),
        None => (function.address, Instruction::Stepped),
    };
    site(elf, form, address, instruction, format!("{how}, {random}"))
}

fn site(elf: &Elf, form: Form, address: u64, instruction: Instruction, how: String) -> Result<Site, Refusal> {
    let offset = elf.offset_of(address).ok_or_else(|| Refusal::Weak("its code is not in the file".to_owned()))?;
    Ok(Site { form, offset, address, instruction, how })
}

/// `ssl_log_secret`, by name or by who is called with the labels.
fn logger(elf: &Elf) -> Result<(Function, String), Refusal> {
    let named = elf.function("ssl_log_secret");
    let called = called_with_labels(elf);
    let name_of = |labels: &BTreeSet<usize>| labels.iter().map(|n| LABELS[*n]).collect::<Vec<_>>().join(", ");
    if let Some(function) = named {
        return match called.get(&function.address) {
            Some(labels) => Ok((function, format!("ssl_log_secret by symbol, called with {}", name_of(labels)))),
            None if called.is_empty() => Ok((function, "ssl_log_secret by symbol".to_owned())),
            None => Err(Refusal::Disagree("the labels go to other functions than ssl_log_secret".to_owned())),
        };
    }
    let strong: Vec<_> = called.iter().filter(|(_, labels)| labels.len() > 1).collect();
    let (address, labels) = match strong[..] {
        [] if called.is_empty() => {
            return Err(Refusal::Weak("no code was found that passes a label to a function".to_owned()));
        }
        [] => return Err(Refusal::Weak("no function is called with two of the labels".to_owned())),
        [one] => one,
        _ => return Err(Refusal::Disagree(format!("{} functions are called with labels", strong.len()))),
    };
    if !labels.contains(&CLIENT_RANDOM) {
        return Err(Refusal::Weak(format!("it is called with {}, and not with CLIENT_RANDOM", name_of(labels))));
    }
    // A label that only another function gets may be one that this function never sees.
    let stray = called.values().flatten().find(|label| !labels.contains(label));
    if let Some(label) = stray {
        return Err(Refusal::Disagree(format!("{} goes to another function", LABELS[*label])));
    }
    Ok((Function { address: *address, size: 0 }, format!("ssl_log_secret by its labels {}", name_of(labels))))
}

/// Functions that are called with the address of a label as second argument, and with which labels.
fn called_with_labels(elf: &Elf) -> BTreeMap<u64, BTreeSet<usize>> {
    let mut labels: BTreeMap<u64, usize> = BTreeMap::new();
    for (n, label) in LABELS.iter().enumerate() {
        // A linker may have put a label into the end of a longer one, so nothing is asked of what stands before.
        let text = [label.as_bytes(), b"\0"].concat();
        labels.extend(elf.find(&text, MAX_COPIES).into_iter().map(|address| (address, n)));
    }
    let mut called: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
    for (load, label) in loads(elf, &labels) {
        if let Some(target) = call_behind(elf, load) {
            called.entry(target).or_default().insert(label);
        }
    }
    called
}

/// Addresses of `lea rsi, [rip + label]`, and in programs at fixed addresses of `mov esi, label`. Looked for by their bytes:
/// a sweep of decoding would take longer, and loses its step in data between code.
fn loads(elf: &Elf, labels: &BTreeMap<u64, usize>) -> Vec<(u64, usize)> {
    const LEA_RSI: &[u8] = &[0x48, 0x8d, 0x35];
    const MOV_ESI: &[u8] = &[0xbe];
    let mut loads = Vec::new();
    for (offset, code) in elf.code() {
        let number = |at: usize| Some(u32::from_le_bytes(*code.get(at..)?.first_chunk()?));
        let relative = memmem::find_iter(code, LEA_RSI).filter_map(|at| {
            let address = elf.address_of(offset + at as u64)?;
            let distance = i64::from(number(at + LEA_RSI.len())?.cast_signed());
            Some((address, *labels.get(&address.wrapping_add(7).wrapping_add_signed(distance))?))
        });
        loads.extend(relative.take(MAX_LOADS));
        if elf.fixed {
            let absolute = memmem::find_iter(code, MOV_ESI).filter_map(|at| {
                let label = *labels.get(&number(at + MOV_ESI.len())?.into())?;
                Some((elf.address_of(offset + at as u64)?, label))
            });
            loads.extend(absolute.take(MAX_LOADS));
        }
    }
    loads
}

/// The target of the call or tail call that follows in a straight line while RSI holds the label.
fn call_behind(elf: &Elf, load: u64) -> Option<u64> {
    for (n, i) in trace::decode(elf, load, MAX_TO_CALL).enumerate() {
        match i.code() {
            Code::Call_rel32_64 | Code::Jmp_rel32_64 => return Some(i.near_branch_target()),
            _ if i.flow_control() != FlowControl::Next => return None,
            _ if n > 0 && trace::writes(&i, Register::RSI) => return None,
            _ => {}
        }
    }
    None
}
