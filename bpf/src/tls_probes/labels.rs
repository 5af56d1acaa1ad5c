//! Labels that the kernel could not read, since nobody had touched their page yet: the pointer tells which one it is.
use std::collections::HashMap;

use memchr::memmem;

/// The key log's labels (NSS key log format; RFC 9850 section 2.1).
const LABELS: [&str; 8] = [
    "CLIENT_RANDOM",
    "CLIENT_EARLY_TRAFFIC_SECRET",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "EARLY_EXPORTER_SECRET",
    "EXPORTER_SECRET",
];
/// A hostile file may repeat them without end.
const MAX_PLACES: usize = 64;
const PT_LOAD: u32 = 1;

/// Where labels lie, as seen from the probed instruction. That distance is the same wherever the file is loaded.
#[derive(Clone, Debug, Default)]
pub struct Labels(HashMap<u64, &'static str>);

impl Labels {
    /// `site`: the offset of the probed instruction in the file. Empty when the program headers cannot be read.
    pub fn of(elf: &[u8], site: u64) -> Self {
        let mut found = HashMap::new();
        let Some(site) = address(elf, site) else {
            return Self::default();
        };
        for label in LABELS {
            for offset in memmem::find_iter(elf, label).take(MAX_PLACES) {
                // A label that another one ends with is a string of its own nevertheless (linkers merge tails); C ends with NUL.
                if elf.get(offset + label.len()) == Some(&0)
                    && let Some(address) = address(elf, offset as u64)
                {
                    found.insert(address.wrapping_sub(site), label);
                }
            }
        }
        Self(found)
    }

    pub fn find(&self, label_at: u64, ip: u64) -> Option<&'static str> {
        self.0.get(&label_at.wrapping_sub(ip)).copied()
    }
}

/// The virtual address that a byte of the file is linked to (ELF64, little endian: the gABI's program header).
fn address(elf: &[u8], offset: u64) -> Option<u64> {
    let u64_at = |at: usize| elf.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let u16_at = |at: usize| elf.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
    let (table, size, count) = (u64_at(32)?, usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    let table = usize::try_from(table).ok()?;
    (0..count).find_map(|index| {
        let header = elf.get(table.checked_add(index * size)?..)?.first_chunk::<56>()?;
        let field = |at: usize| header[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let kind = u32::from_le_bytes(*header.first_chunk()?);
        let (from, linked, bytes) = (field(8)?, field(16)?, field(32)?);
        let within = offset.checked_sub(from)?;
        (kind == PT_LOAD && within < bytes).then(|| linked.wrapping_add(within))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Code at 0x1000, linked to 0x1000; data at 0x2000, linked to 0x5000.
    fn elf() -> Vec<u8> {
        let mut elf = vec![0; 0x2100];
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 2;
        for (at, [offset, linked, bytes]) in [(64, [0x1000u64, 0x1000, 0x100]), (120, [0x2000, 0x5000, 0x100])] {
            elf[at] = 1;
            elf[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            elf[at + 16..at + 24].copy_from_slice(&linked.to_le_bytes());
            elf[at + 32..at + 40].copy_from_slice(&bytes.to_le_bytes());
        }
        elf[0x2010..0x201e].copy_from_slice(b"CLIENT_RANDOM\0");
        elf[0x2020..0x2036].copy_from_slice(b"EARLY_EXPORTER_SECRET\0");
        elf
    }

    #[test]
    fn a_pointer_names_its_label_wherever_the_library_is_loaded() {
        let labels = Labels::of(&elf(), 0x1008);
        let base = 0x7f00_0000_0000;
        assert_eq!(labels.find(base + 0x5010, base + 0x1008), Some("CLIENT_RANDOM"));
        assert_eq!(labels.find(base + 0x5026, base + 0x1008), Some("EXPORTER_SECRET"));
        assert_eq!(labels.find(base + 0x5020, base + 0x1008), Some("EARLY_EXPORTER_SECRET"));
        assert_eq!(labels.find(base + 0x5011, base + 0x1008), None);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(noise in proptest::collection::vec((0usize..0x2100, any::<u8>()), 0..64), site: u64) {
            let mut elf = elf();
            for (at, byte) in noise {
                elf[at] = byte;
            }
            Labels::of(&elf, site);
            Labels::of(&elf[..elf.len() / 4], 0x1008);
        }
    }
}
