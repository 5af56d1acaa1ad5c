//! Go's own tables: the version (`.go.buildinfo`) and the addresses of functions (`.gopclntab`), which stay in a stripped
//! binary since the runtime needs them. Formats: debug/buildinfo, debug/gosym and runtime/symtab.go of the Go sources.
use memchr::memmem;

use super::Refusal;
use super::elf::Elf;

pub const WRITE_KEY_LOG: &str = "crypto/tls.(*Config).writeKeyLog";

const BUILD_INFO: &[u8] = b"\xff Go buildinf:";
/// Go 1.18 and 1.19; since 1.20 the table is read the same way.
const MAGIC_1_18: u32 = 0xffff_fff0;
const MAGIC_1_20: u32 = 0xffff_fff1;
/// Go 1.16 and 1.17: addresses instead of offsets.
const MAGIC_1_16: u32 = 0xffff_fffa;
/// Kubernetes' programs have some 100,000.
const MAX_FUNCTIONS: usize = 4 << 20;
/// What looks like the table's header and is none.
const MAX_HEADERS: usize = 64;

/// "go1.26.8"; None: not a Go program, or one from before 1.13.
pub fn version(elf: &Elf) -> Option<String> {
    let (_, info) = elf.section(".go.buildinfo")?;
    let info = info.strip_prefix(BUILD_INFO)?;
    let [pointer_size, flags] = *info.first_chunk()?;
    let text = if flags & 2 != 0 {
        // Since 1.18 the string follows at offset 32 behind its length, a varint; 127 bytes are enough for a version.
        let at = info.get(32 - BUILD_INFO.len()..)?;
        let len = usize::from(*at.first().filter(|n| **n < 128)?);
        at.get(1..1 + len)?
    } else {
        // Before, a pointer to a string header.
        let header = u64_at(info.get(16 - BUILD_INFO.len()..)?, 0).filter(|_| pointer_size == 8 && flags == 0)?;
        let (data, len) = (elf.pointer_at(header)?, elf.pointer_at(header.checked_add(8)?)?);
        elf.bytes_at(data, usize::try_from(len).ok().filter(|n| *n < 128)?)
    };
    let text = std::str::from_utf8(text).ok()?;
    text.starts_with("go").then(|| text.to_owned())
}

/// (1, 26) of "go1.26.8 X:boringcrypto"; None for "devel …".
pub fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// Whether a function of this full name is in the program.
pub fn has(elf: &Elf, name: &str) -> bool {
    table(elf).is_some_and(|(_, table)| memmem::find(table, name.as_bytes()).is_some())
}

/// The function table and its address. External linking of a position-independent program (up to Go 1.25) leaves no section
/// for it: then it is looked for by its header.
fn table<'a>(elf: &Elf<'a>) -> Option<(u64, &'a [u8])> {
    elf.section(".gopclntab").or_else(|| {
        [MAGIC_1_20, MAGIC_1_18, MAGIC_1_16].iter().find_map(|magic| {
            // Two zeros, instructions of one byte, pointers of eight.
            let header = [&magic.to_le_bytes()[..], &[0, 0, 1, 8]].concat();
            elf.mapped().find_map(|(offset, data)| {
                let tables = memmem::find_iter(data, &header).take(MAX_HEADERS).map(|at| (at, &data[at..]));
                let (at, table) = tables.into_iter().find(|(_, table)| Layout::of(table).is_ok())?;
                Some((elf.address_of(offset + at as u64)?, table))
            })
        })
    })
}

/// Where the parts of a table are.
struct Layout<'a> {
    magic: u32,
    count: usize,
    names: &'a [u8],
    entries: &'a [u8],
}

impl<'a> Layout<'a> {
    fn of(table: &'a [u8]) -> Result<Self, Refusal> {
        let refuse = |why: &str| Refusal::Go(why.to_owned());
        let cut = || refuse("it is cut");
        let magic = u32_at(table, 0).ok_or_else(cut)?;
        if table.get(7) != Some(&8) {
            return Err(refuse("not of a 64-bit program"));
        }
        // 1.18 put the address of the text between the numbers of files and of names.
        let words = match magic {
            MAGIC_1_18 | MAGIC_1_20 => 3,
            MAGIC_1_16 => 2,
            other => return Err(Refusal::Go(format!("format {other:#x} is not known (known: Go 1.16 to 1.26)"))),
        };
        let word = |n: usize| u64_at(table, 8 + 8 * n).and_then(|v| usize::try_from(v).ok()).ok_or_else(cut);
        let count = word(0)?;
        if count > MAX_FUNCTIONS {
            return Err(refuse("more functions than any program has"));
        }
        let names = table.get(word(words)?..word(words + 1)?).ok_or_else(cut)?;
        let entries = table.get(word(words + 4)?..).ok_or_else(cut)?;
        Ok(Self { magic, count, names, entries })
    }
}

/// The address of a function by its full name.
pub fn function(elf: &Elf, name: &str) -> Result<u64, Refusal> {
    let refuse = |why: &str| Refusal::Go(why.to_owned());
    let (address, table) = table(elf).ok_or_else(|| refuse("no section .gopclntab"))?;
    let Layout { magic, count, names, entries } = Layout::of(table)?;
    let pattern = [b"\0", name.as_bytes(), b"\0"].concat();
    let name_at = memmem::find(names, &pattern).ok_or_else(|| Refusal::Go(format!("no function {name}")))? + 1;
    let name_at = u32::try_from(name_at).map_err(|_| refuse("it is too large"))?;
    if magic == MAGIC_1_16 {
        // Pairs of an address and the place of what is told of it; there, behind the address, the place of the name.
        let pairs = (0..count).map_while(|n| Some((u64_at(entries, 16 * n)?, u64_at(entries, 16 * n + 8)?)));
        let name_of = |at: u64| u32_at(entries, usize::try_from(at).ok()?.checked_add(8)?);
        let found = pairs.into_iter().find(|(_, at)| name_of(*at) == Some(name_at));
        return match found {
            Some((0, _)) => Err(refuse("a position-independent program of Go 1.17 or older; build it with a newer Go")),
            Some((entry, _)) => Ok(entry),
            None => Err(refuse("the name of a function without the function")),
        };
    }
    let pairs = (0..count).map_while(|n| Some((u32_at(entries, 8 * n)?, u32_at(entries, 8 * n + 4)?)));
    let name_of = |at: u32| u32_at(entries, (at as usize).checked_add(4)?);
    let (offset, _) = pairs
        .into_iter()
        .find(|(_, at)| name_of(*at) == Some(name_at))
        .ok_or_else(|| refuse("the name of a function without the function"))?;
    let text = text(elf, address).ok_or_else(|| refuse("the start of Go's code is not told (no module data)"))?;
    text.checked_add(u64::from(offset)).ok_or_else(|| refuse("an address beyond all memory"))
}

/// `runtime.text`, which offsets count from: from the module data, the one place that points to the table (its header, too,
/// up to Go 1.25, but unrelocated).
fn text(elf: &Elf, table: u64) -> Option<u64> {
    // runtime.moduledata: a pointer to the table, six slices, the table of functions; then minpc, maxpc, text, etext.
    const MINPC: u64 = 8 + 6 * 24 + 8;
    let check = |module: u64| {
        let word = |n: u64| elf.pointer_at(module.checked_add(MINPC + 8 * n)?);
        let (first, last, text, end) = (word(0)?, word(1)?, word(2)?, word(3)?);
        // C code that is linked in may stand before and behind, within the same section.
        (text <= first && first < last && last <= end && !elf.code_at(text, 1).is_empty()).then_some(text)
    };
    let pattern = table.to_le_bytes();
    for (offset, data) in elf.writable() {
        let hits = memmem::find_iter(data, &pattern).take(16);
        let found = hits.filter_map(|at| elf.address_of(offset + at as u64)).find_map(check);
        if found.is_some() {
            return found;
        }
    }
    elf.relocations().filter(|(_, value)| *value == table).take(16).find_map(|(at, _)| check(at))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
