//! Follows the arguments of a function through its machine code: one pass in order of address, states joined at forward
//! branches. An estimate, not a proof: what it finds has to agree with something else before it is believed.
use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{
    Code, ConditionCode, Decoder, DecoderOptions, FlowControl, Instruction as Decoded, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register,
};

use super::Instruction;
use super::elf::{Elf, Function};

/// No function that is looked into is longer; a symbol that says so lies.
const MAX_FUNCTION: u64 = 8192;
/// Branch targets that are remembered at once.
const MAX_BRANCHES: usize = 512;

/// The six registers of integer arguments (System V ABI, AMD64 supplement, section 3.2.3).
pub const ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];
/// Go's ABIInternal: RAX, RBX, RCX, RDI, RSI, R8, R9, R10, R11.
pub const GO_ARGUMENTS: [Register; 9] = [
    Register::RAX,
    Register::RBX,
    Register::RCX,
    Register::RDI,
    Register::RSI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

/// Where something lies as seen from a pointer: `pointer + offset`, or `*(pointer + via) + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    pub via: Option<u32>,
    pub offset: u32,
}

impl Path {
    const START: Self = Self { via: None, offset: 0 };

    fn add(self, n: i64) -> Option<Self> {
        let offset = u32::try_from(i64::from(self.offset).checked_add(n)?).ok()?;
        Some(Self { offset, ..self })
    }

    /// What a load from here gives; one pointer is followed, no more.
    fn load(self) -> Option<Self> {
        self.via.is_none().then_some(Self { via: Some(self.offset), offset: 0 })
    }
}

/// What a register holds, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Unknown,
    /// The n-th argument (from 0), or what is reached from it.
    From(u8, Path),
    Number(u64),
    /// The address of a local variable.
    Stack,
}

impl Value {
    pub fn is_argument(self, n: u8) -> bool {
        self == Self::From(n, Path::START)
    }
}

pub type Registers = [Value; 16];

/// A call of, or a jump out to, another function.
#[derive(Clone, Debug)]
pub struct Leave {
    pub instruction: Decoded,
    /// None: through a register or memory. By way of the procedure linkage table it is the function itself, where this file
    /// defines it.
    pub target: Option<u64>,
    pub registers: Registers,
    /// Conditional branches before it, by address. None: every call of the function comes here.
    pub branches: usize,
    /// The first of them.
    pub condition: ConditionCode,
}

impl Leave {
    pub fn argument(&self, n: usize) -> Value {
        self.registers[index(ARGUMENTS[n]).unwrap_or(0)]
    }
}

pub struct Trace {
    /// Memory read, or whose address was computed, by way of each argument.
    pub touched: BTreeSet<(u8, Path)>,
    pub leaves: Vec<Leave>,
    pub instructions: Vec<Decoded>,
}

/// Instructions from an address on, as far as they are valid code.
pub fn decode(elf: &Elf, address: u64, len: u64) -> impl Iterator<Item = Decoded> {
    let code = elf.code_at(address, len.min(MAX_FUNCTION) as usize);
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    std::iter::from_fn(move || {
        let instruction = decoder.can_decode().then(|| decoder.decode())?;
        (!instruction.is_invalid()).then_some(instruction)
    })
}

/// `push r64`, one byte or two with a REX prefix: emulated since Linux 4.15 (`push_setup_xol_ops` in arch/x86/kernel/uprobes.c).
pub fn is_push(i: &Decoded) -> bool {
    i.code() == Code::Push_r64 && i.len() <= 2 && i.op0_kind() == OpKind::Register
}

/// What `branch_setup_xol_ops` and `push_setup_xol_ops` take; further prefixes make the kernel single-step or refuse.
pub fn emulation(i: &Decoded) -> Instruction {
    let emulated = match i.code() {
        Code::Call_rel32_64 => i.len() == 5,
        Code::Jmp_rel8_64 => i.len() == 2,
        Code::Jmp_rel32_64 => i.len() == 5,
        Code::Nopd | Code::Nopq => i.len() == 1,
        code if code.is_jcc_short() => i.len() == 2,
        code if code.is_jcc_near() => i.len() == 6,
        _ => is_push(i),
    };
    if emulated { Instruction::Emulated } else { Instruction::Stepped }
}

/// The first emulated instruction that every call of the function comes to, with these registers as at its entry. With
/// `at_return_address` nothing may have moved the stack pointer either, so that a uretprobe can stand there.
pub fn entry(elf: &Elf, address: u64, keep: &[Register], at_return_address: bool) -> Option<u64> {
    let mut info = InstructionInfoFactory::new();
    for i in decode(elf, address, 256) {
        if emulation(&i) == Instruction::Emulated {
            // Behind a loop's head the same call would be seen more than once, but only a jump backwards makes one.
            return Some(i.ip());
        }
        let writes = |r: Register| keep.contains(&r) || (at_return_address && r == Register::RSP);
        if i.flow_control() != FlowControl::Next || written(&mut info, &i).any(writes) {
            return None;
        }
    }
    None
}

/// Whether the straight line from `from` up to `to` leaves these registers alone; branches out of it are passed by.
pub fn unchanged(elf: &Elf, from: u64, to: u64, keep: &[Register]) -> bool {
    let mut info = InstructionInfoFactory::new();
    decode(elf, from, to.saturating_sub(from)).all(|i| !written(&mut info, &i).any(|r| keep.contains(&r)))
}

pub fn writes(i: &Decoded, register: Register) -> bool {
    written(&mut InstructionInfoFactory::new(), i).any(|r| r == register)
}

/// Registers written, as their 64-bit wholes.
fn written<'i>(info: &'i mut InstructionInfoFactory, i: &Decoded) -> impl Iterator<Item = Register> {
    let write = |access| {
        matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
    };
    let used: &'i [_] = info.info(i).used_registers();
    used.iter().filter(move |u| write(u.access())).map(|u| u.register().full_register())
}

fn index(register: Register) -> Option<usize> {
    let full = register.full_register();
    full.is_gpr64().then(|| full as usize - Register::RAX as usize)
}

/// Follows the function's first six arguments to its end: where its symbol says, or else where code can no longer come to by
/// falling through or by a forward branch.
pub fn trace(elf: &Elf, function: Function) -> Trace {
    let mut info = InstructionInfoFactory::new();
    let mut trace = Trace { touched: BTreeSet::new(), leaves: Vec::new(), instructions: Vec::new() };
    let mut registers = [Value::Unknown; 16];
    for (n, argument) in ARGUMENTS.iter().enumerate() {
        set(&mut registers, *argument, Value::From(n as u8, Path::START));
    }
    set(&mut registers, Register::RSP, Value::Stack);
    let end = match function.size {
        0 => function.address.saturating_add(MAX_FUNCTION),
        size => function.address.saturating_add(size),
    };
    let mut ahead: BTreeMap<u64, Registers> = BTreeMap::new();
    let mut state = Some(registers);
    let (mut branches, mut condition) = (0, ConditionCode::None);
    for i in decode(elf, function.address, end.saturating_sub(function.address)) {
        if let Some(other) = ahead.remove(&i.ip()) {
            state = Some(state.map_or(other, |mine| join(mine, other)));
        }
        ahead.retain(|target, _| *target > i.ip());
        trace.instructions.push(i);
        let Some(registers) = &mut state else {
            // Padding, or code that only a jump backwards comes to.
            if ahead.is_empty() && function.size == 0 {
                break;
            }
            continue;
        };
        touch(&i, registers, &mut trace.touched);
        let target = matches!(i.op0_kind(), OpKind::NearBranch64).then(|| i.near_branch_target());
        let inside = target.is_some_and(|t| t > i.ip() && t < end && (function.size > 0 || t - i.ip() < 4096));
        match i.flow_control() {
            FlowControl::ConditionalBranch => {
                if branches == 0 {
                    condition = i.condition_code();
                }
                branches += 1;
                if let Some(target) = target.filter(|_| inside && ahead.len() < MAX_BRANCHES) {
                    let joined = ahead.get(&target).map_or(*registers, |other| join(*registers, *other));
                    ahead.insert(target, joined);
                }
            }
            FlowControl::Call | FlowControl::IndirectCall => {
                trace.leaves.push(Leave {
                    instruction: i,
                    target: target.map(|t| linked(elf, t)),
                    registers: *registers,
                    branches,
                    condition,
                });
                for (n, value) in registers.iter_mut().enumerate() {
                    // RBX, RSP, RBP and R12 to R15 come back as they were.
                    if !matches!(n, 3 | 4 | 5 | 12..) {
                        *value = Value::Unknown;
                    }
                }
            }
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => {
                // Without a size a jump may be a tail call or a jump within; a reader of `leaves` looks at the arguments.
                let leaves = function.size == 0 || target.is_none_or(|t| t < function.address || t >= end);
                if leaves {
                    trace.leaves.push(Leave {
                        instruction: i,
                        target: target.map(|t| linked(elf, t)),
                        registers: *registers,
                        branches,
                        condition,
                    });
                }
                if let Some(target) = target.filter(|_| inside && ahead.len() < MAX_BRANCHES) {
                    // A function of unknown size ends at a jump that nothing branches over: its target is another's.
                    if function.size > 0 || !ahead.is_empty() {
                        let joined = ahead.get(&target).map_or(*registers, |other| join(*registers, *other));
                        ahead.insert(target, joined);
                    }
                }
                state = None;
            }
            FlowControl::Next => step(&i, registers, &mut info),
            _ => state = None,
        }
    }
    trace
}

/// Where a call comes to in the end: behind an entry of the procedure linkage table, `jmp [rip + slot]`, stands whatever the
/// slot's relocation names. That another library overrides a function of this one is not reckoned with: OpenSSL links so
/// that it cannot, and node has none.
fn linked(elf: &Elf, target: u64) -> u64 {
    let stub = decode(elf, target, 16).find(|i| i.mnemonic() != Mnemonic::Endbr64);
    let slot = stub.filter(|i| i.flow_control() == FlowControl::IndirectBranch && i.is_ip_rel_memory_operand());
    let name = slot.and_then(|i| elf.import_at(i.ip_rel_memory_address()));
    name.and_then(|name| elf.function(name)).map_or(target, |function| function.address)
}

/// Optimistic: what one way knows and the other does not is believed.
fn join(a: Registers, b: Registers) -> Registers {
    let mut joined = a;
    for (mine, other) in joined.iter_mut().zip(b) {
        *mine = match (*mine, other) {
            (Value::Unknown, value) | (value, Value::Unknown) => value,
            (x, y) if x == y => x,
            _ => Value::Unknown,
        };
    }
    joined
}

fn get(registers: &Registers, register: Register) -> Value {
    index(register).map_or(Value::Unknown, |n| registers[n])
}

fn set(registers: &mut Registers, register: Register, value: Value) {
    if let Some(n) = index(register) {
        registers[n] = value;
    }
}

/// The memory operand as a path from an argument; `indexed` takes an array's start for its element.
fn memory(i: &Decoded, registers: &Registers, indexed: bool) -> Option<(u8, Path)> {
    let plain = i.memory_index() == Register::None || (indexed && i.memory_index_scale() == 1);
    if !plain || i.segment_prefix() != Register::None {
        return None;
    }
    match get(registers, i.memory_base()) {
        Value::From(n, path) => Some((n, path.add(i.memory_displacement64() as i64)?)),
        _ => None,
    }
}

fn touch(i: &Decoded, registers: &Registers, touched: &mut BTreeSet<(u8, Path)>) {
    let operands = 0..i.op_count();
    if i.mnemonic() != Mnemonic::Nop && operands.into_iter().any(|n| i.op_kind(n) == OpKind::Memory) {
        touched.extend(memory(i, registers, true));
    }
    if i.mnemonic() == Mnemonic::Add && i.op1_kind() != OpKind::Memory {
        // `add rdx, 0x50` computes an address as `lea` does.
        if let (Value::From(n, path), Some(by)) = (get(registers, i.op0_register()), number(i)) {
            touched.extend(path.add(by as i64).map(|path| (n, path)));
        }
    }
}

fn number(i: &Decoded) -> Option<u64> {
    let immediate = matches!(
        i.op1_kind(),
        OpKind::Immediate8
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    );
    immediate.then(|| i.immediate(1))
}

fn step(i: &Decoded, registers: &mut Registers, info: &mut InstructionInfoFactory) {
    let to = i.op0_register();
    let to_register = i.op_count() > 0 && i.op0_kind() == OpKind::Register && index(to).is_some();
    let from_register = i.op_count() > 1 && i.op1_kind() == OpKind::Register;
    let wide = to.size() >= 4;
    let value = match i.mnemonic() {
        _ if !to_register || !wide => None,
        Mnemonic::Mov | Mnemonic::Movsxd if from_register => Some(get(registers, i.op1_register())),
        Mnemonic::Mov if i.op1_kind() == OpKind::Memory && to.size() == 8 => {
            memory(i, registers, false).and_then(|(n, path)| Some(Value::From(n, path.load()?)))
        }
        Mnemonic::Mov => number(i).map(Value::Number),
        Mnemonic::Xor if from_register && i.op1_register() == to => Some(Value::Number(0)),
        Mnemonic::Lea if i.memory_index() == Register::None => match get(registers, i.memory_base()) {
            Value::Stack => Some(Value::Stack),
            _ => memory(i, registers, false).map(|(n, path)| Value::From(n, path)),
        },
        Mnemonic::Add => match (get(registers, to), number(i)) {
            (Value::From(n, path), Some(by)) => path.add(by as i64).map(|path| Value::From(n, path)),
            (Value::Stack, _) => Some(Value::Stack),
            _ => None,
        },
        Mnemonic::Sub | Mnemonic::And if to == Register::RSP => Some(Value::Stack),
        _ => None,
    };
    // Whatever else it writes is unknown from here on. The stack pointer stays one: push and pop write it.
    let lost: Vec<Register> = written(info, i).filter(|r| *r != Register::RSP).collect();
    for register in lost {
        set(registers, register, Value::Unknown);
    }
    if let Some(value) = value {
        set(registers, to, value);
    }
}
