//! A bounded view of a 64-bit little-endian ELF file: addresses, symbols, build id, strings.
use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memmem::Finder;
use object::LittleEndian as LE;
use object::elf::{
    DT_SONAME, Dyn64, EM_AARCH64, EM_X86_64, ET_EXEC, FileHeader64, NT_GNU_BUILD_ID, PF_W, PF_X, PT_LOAD,
    R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT, R_X86_64_RELATIVE, Rela64, SHN_UNDEF, SHT_DYNAMIC, SHT_DYNSYM, SHT_NOTE,
    SHT_RELA, SHT_SYMTAB, STT_FUNC, SectionHeader64, Sym64,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Rela, SectionHeader, Sym};

use super::Refusal;

/// Real files have some ten; each look-up walks them.
const MAX_SEGMENTS: usize = 64;
/// Debug builds with a section per function reach thousands in object files, not in what is run.
const MAX_SECTIONS: usize = 1024;
/// Build ids are 20 bytes (SHA-1), Go's own longer ones are another note.
const MAX_BUILD_ID: usize = 64;
/// Bytes of a section of notes; real ones have some hundred.
const MAX_NOTES: u64 = 64 << 10;
/// Sections of relocations: .rela.dyn, .rela.plt, Go's .rela, some spare.
const MAX_RELOCATION_SECTIONS: usize = 8;
/// A kubelet has some 400,000; they are walked for each word that is looked for in them.
const MAX_RELOCATIONS: usize = 2 << 20;

#[derive(Clone, Copy, Debug)]
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
    executable: bool,
    writable: bool,
}

/// A defined function: address and size in bytes (0: not told).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    pub address: u64,
    pub size: u64,
}

pub struct Elf<'a> {
    data: &'a [u8],
    segments: Vec<Segment>,
    sections: Vec<(&'a [u8], &'a SectionHeader64<LE>)>,
    machine: u16,
    /// Linked to fixed addresses (ET_EXEC): code may hold them as plain numbers.
    pub fixed: bool,
}

impl<'a> Elf<'a> {
    /// `data` is the whole file, read or mapped. Nothing is copied.
    pub fn parse(data: &'a [u8]) -> Result<Self, Refusal> {
        let header = FileHeader64::<LE>::parse(data)
            .map_err(|_| Refusal::NotElf("no 64-bit ELF header; 32-bit programs are not looked into"))?;
        let endian = header.endian().map_err(|_| Refusal::NotElf("big-endian"))?;
        let headers =
            header.program_headers(endian, data).map_err(|_| Refusal::NotElf("its program headers are cut"))?;
        let length = data.len() as u64;
        let segments = headers
            .iter()
            .filter(|p| p.p_type(endian) == PT_LOAD)
            .take(MAX_SEGMENTS)
            .map(|p| Segment {
                address: p.p_vaddr(endian),
                offset: p.p_offset(endian),
                // What lies behind the file's end is not there.
                size: p.p_filesz(endian).min(length.saturating_sub(p.p_offset(endian))),
                executable: p.p_flags(endian).0 & PF_X.0 != 0,
                writable: p.p_flags(endian).0 & PF_W.0 != 0,
            })
            .filter(|s| s.address.checked_add(s.size).is_some())
            .collect();
        // A file without section headers still runs; it merely has no symbols for us.
        let sections = header.sections(endian, data).map_or_else(
            |_| Vec::new(),
            |table| {
                let named = |s| (table.section_name(endian, s).unwrap_or_default(), s);
                table.iter().take(MAX_SECTIONS).map(named).collect()
            },
        );
        Ok(Self {
            data,
            segments,
            sections,
            machine: header.e_machine(endian).0,
            fixed: header.e_type(endian) == ET_EXEC,
        })
    }

    pub fn require_x86_64(&self) -> Result<(), Refusal> {
        match self.machine {
            m if m == EM_X86_64.0 => Ok(()),
            m if m == EM_AARCH64.0 => Err(Refusal::Processor("aarch64".into())),
            m => Err(Refusal::Processor(format!("ELF machine {m}"))),
        }
    }

    /// The file offset of an address, which is what a uprobe is placed by.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        let segment = self.segment_of(address)?;
        Some(address - segment.address + segment.offset)
    }

    pub fn address_of(&self, offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|s| offset.checked_sub(s.offset).is_some_and(|d| d < s.size))?;
        Some(offset - segment.offset + segment.address)
    }

    /// Up to `len` bytes at an address; fewer where its segment ends, none where nothing of the file is mapped.
    pub fn bytes_at(&self, address: u64, len: usize) -> &'a [u8] {
        self.segment_of(address).map_or(&[], |segment| self.within(segment, address, len))
    }

    /// The same, of executable segments only.
    pub fn code_at(&self, address: u64, len: usize) -> &'a [u8] {
        let segment = self.segment_of(address).filter(|s| s.executable);
        segment.map_or(&[], |segment| self.within(segment, address, len))
    }

    /// The 64-bit word at an address as the dynamic linker will leave it: of a position-independent file the value may stand
    /// in the relocation alone. Linear in the number of relocations then.
    pub fn pointer_at(&self, address: u64) -> Option<u64> {
        let word = u64::from_le_bytes(self.bytes_at(address, 8).try_into().ok()?);
        if word != 0 || self.fixed {
            return Some(word);
        }
        self.relocations().find(|(at, _)| *at == address).map(|(_, value)| value)
    }

    /// (address, value) of the relocations that add only the load address (R_X86_64_RELATIVE).
    pub fn relocations(&self) -> impl Iterator<Item = (u64, u64)> {
        let tables = self.sections.iter().filter(|(_, s)| s.sh_type(LE) == SHT_RELA);
        tables
            .take(MAX_RELOCATION_SECTIONS)
            .filter_map(|(_, s)| s.rela(LE, self.data).ok().flatten())
            .flat_map(|(entries, _)| entries)
            .take(MAX_RELOCATIONS)
            .filter(|r| r.r_type(LE, false) == R_X86_64_RELATIVE)
            .map(|r| (r.r_offset(LE), r.r_addend(LE) as u64))
    }

    /// The name of the function whose address the dynamic linker puts here (R_X86_64_JUMP_SLOT or R_X86_64_GLOB_DAT).
    pub fn import_at(&self, slot: u64) -> Option<&'a str> {
        let tables = self.sections.iter().filter(|(_, s)| s.sh_type(LE) == SHT_RELA).take(MAX_RELOCATION_SECTIONS);
        for (entries, link) in tables.filter_map(|(_, s)| s.rela(LE, self.data).ok().flatten()) {
            let wanted = |r: &&Rela64<LE>| {
                let kind = r.r_type(LE, false);
                r.r_offset(LE) == slot && (kind == R_X86_64_JUMP_SLOT || kind == R_X86_64_GLOB_DAT)
            };
            let Some(entry) = entries.iter().take(MAX_RELOCATIONS).find(wanted) else { continue };
            let (symbols, strings) = self.symbols(self.sections.get(link.0)?.1)?;
            let symbol = symbols.get(entry.r_sym(LE, false) as usize)?;
            let name = strings.get(symbol.st_name(LE) as usize..)?;
            let name = &name[..name.len().min(256)];
            return std::str::from_utf8(name.split(|c| *c == 0).next()?).ok();
        }
        None
    }

    /// Address and content of a section that is in the file.
    pub fn section(&self, name: &str) -> Option<(u64, &'a [u8])> {
        let (_, section) = self.sections.iter().find(|(n, _)| *n == name.as_bytes())?;
        Some((section.sh_addr(LE), section.data(LE, self.data).ok()?))
    }

    /// Functions defined under these names, `.dynsym` before `.symtab`. One pass over each table, whatever the tables say.
    pub fn functions<'n>(&self, names: &[&'n str]) -> BTreeMap<&'n str, Function> {
        let mut found = BTreeMap::new();
        for kind in [SHT_DYNSYM, SHT_SYMTAB] {
            let tables = self.sections.iter().filter(|(_, s)| s.sh_type(LE) == kind);
            // One of each kind is all that the format allows.
            for (symbols, strings) in tables.take(1).filter_map(|(_, s)| self.symbols(s)) {
                for symbol in symbols.iter().filter(|s| s.st_type() == STT_FUNC && s.st_shndx(LE) != SHN_UNDEF) {
                    let Some(at) = strings.get(symbol.st_name(LE) as usize..) else { continue };
                    let hit = names.iter().find(|n| at.starts_with(n.as_bytes()) && at.get(n.len()) == Some(&0));
                    if let Some(name) = hit {
                        let function = Function { address: symbol.st_value(LE), size: symbol.st_size(LE) };
                        found.entry(*name).or_insert(function);
                    }
                }
            }
        }
        found
    }

    pub fn function(&self, name: &str) -> Option<Function> {
        self.functions(&[name]).into_values().next()
    }

    /// NT_GNU_BUILD_ID in lower-case hex.
    pub fn build_id(&self) -> Option<String> {
        let notes = self.sections.iter().filter(|(_, s)| s.sh_type(LE) == SHT_NOTE && s.sh_size(LE) <= MAX_NOTES);
        for (_, section) in notes {
            let Ok(Some(mut notes)) = section.notes(LE, self.data) else { continue };
            while let Ok(Some(note)) = notes.next() {
                let id = note.desc();
                if note.name() == b"GNU" && note.n_type(LE) == NT_GNU_BUILD_ID && id.len() <= MAX_BUILD_ID {
                    return Some(id.iter().map(|byte| format!("{byte:02x}")).collect());
                }
            }
        }
        None
    }

    /// The name under which programs ask the dynamic linker for this library.
    pub fn soname(&self) -> Option<&'a str> {
        let (_, section) = self.sections.iter().find(|(_, s)| s.sh_type(LE) == SHT_DYNAMIC)?;
        let (entries, link): (&[Dyn64<LE>], _) = section.dynamic(LE, self.data).ok()??;
        let (_, strings) = self.sections.get(link.0)?;
        let entry = entries.iter().find(|d| d.tag(LE) == DT_SONAME)?;
        let name = strings.data(LE, self.data).ok()?.get(usize::try_from(entry.val(LE)).ok()?..)?;
        let name = &name[..name.len().min(256)];
        std::str::from_utf8(name.split(|c| *c == 0).next()?).ok()
    }

    /// Addresses of the first `limit` occurrences in what is mapped without being writable.
    pub fn find(&self, needle: &[u8], limit: usize) -> Vec<u64> {
        let finder = Finder::new(needle);
        let ranges = self.ranges(|s| !s.writable);
        let hits = ranges
            .iter()
            .flat_map(|range| finder.find_iter(&self.data[range.clone()]).map(|at| (range.start + at) as u64));
        hits.filter_map(|offset| self.address_of(offset)).take(limit).collect()
    }

    /// The bytes that begin at the first occurrence, up to `len`.
    pub fn find_bytes(&self, needle: &[u8], len: usize) -> Option<&'a [u8]> {
        self.find(needle, 1).first().map(|address| self.bytes_at(*address, len))
    }

    pub fn contains(&self, needle: &[u8]) -> bool {
        !self.find(needle, 1).is_empty()
    }

    /// File ranges of code, each byte in one of them at most.
    pub fn code(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let ranges = self.ranges(|s| s.executable);
        ranges.into_iter().map(|range| (range.start as u64, &self.data[range]))
    }

    /// File ranges of all that is mapped, likewise.
    pub fn mapped(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let ranges = self.ranges(|_| true);
        ranges.into_iter().map(|range| (range.start as u64, &self.data[range]))
    }

    /// File ranges of writable data, likewise.
    pub fn writable(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let ranges = self.ranges(|s| s.writable);
        ranges.into_iter().map(|range| (range.start as u64, &self.data[range]))
    }

    /// Merged, so that segments which overlap cannot multiply the work.
    fn ranges(&self, wanted: impl Fn(&Segment) -> bool) -> Vec<Range<usize>> {
        let chosen = self.segments.iter().filter(|s| wanted(s) && s.size > 0);
        let mut ranges: Vec<Range<usize>> =
            chosen.map(|s| s.offset as usize..(s.offset + s.size).min(self.data.len() as u64) as usize).collect();
        ranges.sort_by_key(|r| r.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    fn segment_of(&self, address: u64) -> Option<&Segment> {
        self.segments.iter().find(|s| address.checked_sub(s.address).is_some_and(|d| d < s.size))
    }

    fn within(&self, segment: &Segment, address: u64, len: usize) -> &'a [u8] {
        let into = address - segment.address;
        let len = (len as u64).min(segment.size - into);
        let start = (segment.offset + into) as usize;
        self.data.get(start..start + len as usize).unwrap_or_default()
    }

    fn symbols(&self, section: &SectionHeader64<LE>) -> Option<(&'a [Sym64<LE>], &'a [u8])> {
        let symbols = section.data_as_array(LE, self.data).ok()?;
        let (_, strings) = self.sections.get(section.sh_link(LE) as usize)?;
        Some((symbols, strings.data(LE, self.data).ok()?))
    }
}
