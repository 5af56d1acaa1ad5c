//! Sites of OpenSSL's read, write and handshake functions: the second choice, for where the secrets cannot be had.
//!
//! `SSL_read` and `SSL_read_ex` are wrappers of one local function, `ssl_read_internal(ssl, buf, num, size_t *done)`; so are
//! `SSL_write`, `_ex` and `_ex2` of `ssl_write_internal`. A probe there sees each call once. It is told from the functions
//! that a wrapper calls by its arguments: the wrapper's own three, and a local variable for the count. `SSL_peek` has a
//! function of its own (`ssl_peek_internal`); that it does not come to the chosen one either is looked up in its code.
use iced_x86::{ConditionCode, FlowControl, Instruction as Decoded, Mnemonic, Register};

use super::elf::{Elf, Function};
use super::trace::{self, ARGUMENTS, Leave, Trace, Value};
use super::{Instruction, Refusal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Read,
    Write,
    Handshake,
}

/// Where the number of bytes is, once the call has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The return value, positive.
    Returned,
    /// Behind the pointer that was this argument at the entry (4: RCX, 5: R8), when the return value is positive.
    Argument(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of the instruction in the file.
    pub offset: u64,
    pub address: u64,
    pub instruction: Instruction,
}

/// How the end of a call is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By a uretprobe at the entry place: the stack pointer is still at the return address there.
    Return,
    /// By a plain uprobe here, in the same thread. **No uretprobe may stand at the entry place**: it would overwrite a local
    /// variable. EAX is positive when the call worked.
    At(Place),
}

/// At the entry RDI is ssl; of reads and writes RSI is the buffer and RDX its size (32 bits of it count where `count` is
/// `Returned`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSite {
    pub role: Role,
    pub entry: Place,
    pub exit: Exit,
    /// None: of a handshake.
    pub count: Option<Count>,
    /// One line for the coverage report.
    pub how: String,
}

struct Wrapper {
    name: &'static str,
    function: Function,
    count: Count,
    trace: Trace,
}

/// Name and where its count is, the plain one first: `int SSL_write_ex2(ssl, buf, num, flags, size_t *written)`.
const READS: [(&str, Count); 2] = [("SSL_read", Count::Returned), ("SSL_read_ex", Count::Argument(4))];
const WRITES: [(&str, Count); 3] =
    [("SSL_write", Count::Returned), ("SSL_write_ex", Count::Argument(4)), ("SSL_write_ex2", Count::Argument(5))];
const PEEKS: [&str; 2] = ["SSL_peek", "SSL_peek_ex"];
const HANDSHAKE: &str = "SSL_do_handshake";

/// Sites such that every read, write and handshake passes one of its role, and only one. Needs the public symbols.
pub fn find(elf: &Elf) -> Result<Vec<CallSite>, Refusal> {
    elf.require_x86_64()?;
    let peeked = PEEKS.iter().filter_map(|name| elf.function(name)).flat_map(|f| trace::trace(elf, f).leaves);
    let peeked: Vec<u64> = peeked.filter_map(|leave| leave.target).collect();
    let mut sites = of_role(elf, Role::Read, &READS, &peeked)?;
    sites.extend(of_role(elf, Role::Write, &WRITES, &peeked)?);
    sites.push(handshake(elf)?);
    Ok(sites)
}

fn of_role(
    elf: &Elf,
    role: Role,
    names: &'static [(&'static str, Count)],
    peeked: &[u64],
) -> Result<Vec<CallSite>, Refusal> {
    let wrappers: Vec<Wrapper> = names
        .iter()
        .filter_map(|(name, count)| {
            let function = elf.function(name)?;
            Some(Wrapper { name, function, count: *count, trace: trace::trace(elf, function) })
        })
        .collect();
    let plain = names[0].0;
    if wrappers.first().is_none_or(|w| w.name != plain) {
        return Err(Refusal::NoSymbol(plain));
    }
    let shared = shared(&wrappers).filter(|(callee, _)| !peeked.contains(callee));
    let mut sites = Vec::new();
    let mut beyond = None;
    if let Some((callee, count)) = shared {
        beyond = trace::entry(elf, callee, &ARGUMENTS[..5], true).map(|address| (callee, address, count));
    }
    if let Some((_, address, count)) = beyond {
        let entry = place(elf, address, Instruction::Emulated)?;
        let how = format!("{plain} and its kin, in the function they share");
        sites.push(CallSite { role, entry, exit: Exit::Return, count: Some(count), how });
    }
    for wrapper in &wrappers {
        let others = wrappers.iter().filter(|w| w.name != wrapper.name).map(|w| w.function.address);
        let seen =
            |target: u64| beyond.is_some_and(|(callee, ..)| callee == target) || others.clone().any(|o| o == target);
        let mut onward = wrapper.trace.leaves.iter().filter(|leave| leave.target.is_some_and(seen)).peekable();
        if onward.peek().is_none() {
            sites.push(own(elf, role, wrapper, shared)?);
        } else if !onward.any(|leave| wrapper.hands_on(leave)) {
            // With a site of its own such a call would be seen twice, without one not always.
            let name = wrapper.name;
            return Err(Refusal::Disagree(format!("{name} calls its kin in some cases only, or with other arguments")));
        }
    }
    Ok(sites)
}

/// The function that the plain wrapper and another one call, and where its count is.
fn shared(wrappers: &[Wrapper]) -> Option<(u64, Count)> {
    let (plain, others) = wrappers.split_first()?;
    let also = |target| others.iter().any(|w| w.trace.leaves.iter().any(|l| w.hands_on(l) && l.target == Some(target)));
    plain.trace.leaves.iter().filter(|leave| plain.hands_on(leave)).find_map(|leave| {
        let count = match (leave.argument(3), leave.argument(4)) {
            (Value::Stack, fifth) if fifth != Value::Stack => Count::Argument(4),
            (fourth, Value::Stack) if fourth != Value::Stack => Count::Argument(5),
            _ => return None,
        };
        let target = leave.target.filter(|target| also(*target))?;
        Some((target, count))
    })
}

impl Wrapper {
    /// Its ssl, buffer and size are the arguments of this call, too, and it always comes to it; but that the plain ones look
    /// at an `int` size first, whether it is negative. (Where the work itself was inlined, some of the functions that it
    /// calls in some cases, QUIC's for one, take the same arguments.)
    fn hands_on(&self, leave: &Leave) -> bool {
        let always = match leave.branches {
            0 => true,
            1 => self.count == Count::Returned && matches!(leave.condition, ConditionCode::s | ConditionCode::ns),
            _ => false,
        };
        always && (0..3).all(|n| leave.argument(n as usize).is_argument(n))
    }
}

/// A site in the wrapper itself: at its entry, or else at its call of the shared function, or else at its symbol.
fn own(elf: &Elf, role: Role, wrapper: &Wrapper, shared: Option<(u64, Count)>) -> Result<CallSite, Refusal> {
    let name = wrapper.name;
    let start = wrapper.function.address;
    if let Some(address) = trace::entry(elf, start, &ARGUMENTS[..5], true) {
        let entry = place(elf, address, Instruction::Emulated)?;
        let how = format!("{name} at its entry");
        return Ok(CallSite { role, entry, exit: Exit::Return, count: Some(wrapper.count), how });
    }
    let calls = wrapper.trace.leaves.iter().filter(|leave| wrapper.hands_on(leave));
    let mut to_shared = calls.filter(|leave| shared.is_some_and(|(callee, _)| leave.target == Some(callee)));
    if let (Some(leave), None, Some((_, count))) = (to_shared.next(), to_shared.next(), shared) {
        let call = &leave.instruction;
        let emulated = trace::emulation(call) == Instruction::Emulated && call.flow_control() == FlowControl::Call;
        if let Some((address, instruction)) = behind(&wrapper.trace.instructions, call).filter(|_| emulated) {
            let entry = place(elf, call.ip(), Instruction::Emulated)?;
            let exit = Exit::At(place(elf, address, instruction)?);
            let how = format!("{name} at its call of the function that works");
            return Ok(CallSite { role, entry, exit, count: Some(count), how });
        }
    }
    let entry = place(elf, start, Instruction::Stepped)?;
    let how = format!("{name} at its symbol, single-stepped: no instruction that the kernel emulates comes first");
    Ok(CallSite { role, entry, exit: Exit::Return, count: Some(wrapper.count), how })
}

/// Where the outcome of the call stands in EAX: at the first emulated instruction that always follows, or else right behind.
fn behind(body: &[Decoded], call: &Decoded) -> Option<(u64, Instruction)> {
    let rest = &body[body.iter().position(|i| i.ip() == call.ip())? + 1..];
    let first = rest.first()?;
    for i in rest {
        if trace::emulation(i) == Instruction::Emulated {
            return Some((i.ip(), Instruction::Emulated));
        }
        // `cmovg eax, [rsp]` puts the count for a success, both positive.
        let keeps = i.mnemonic() == Mnemonic::Cmovg || !trace::writes(i, Register::RAX);
        if i.flow_control() != FlowControl::Next || !keeps {
            break;
        }
    }
    Some((first.ip(), Instruction::Stepped))
}

fn handshake(elf: &Elf) -> Result<CallSite, Refusal> {
    let start = elf.function(HANDSHAKE).ok_or(Refusal::NoSymbol(HANDSHAKE))?.address;
    let (address, instruction) = match trace::entry(elf, start, &[Register::RDI], true) {
        Some(address) => (address, Instruction::Emulated),
        // Its end has to be seen. It is hit a few times a connection.
        None => (start, Instruction::Stepped),
    };
    let entry = place(elf, address, instruction)?;
    let how = match instruction {
        Instruction::Emulated => format!("{HANDSHAKE} at its entry (+{:#x})", address - start),
        Instruction::Stepped => format!("{HANDSHAKE} at its symbol, single-stepped"),
    };
    Ok(CallSite { role: Role::Handshake, entry, exit: Exit::Return, count: None, how })
}

fn place(elf: &Elf, address: u64, instruction: Instruction) -> Result<Place, Refusal> {
    let offset = elf.offset_of(address).ok_or_else(|| Refusal::Weak("its code is not in the file".to_owned()))?;
    Ok(Place { offset, address, instruction })
}
