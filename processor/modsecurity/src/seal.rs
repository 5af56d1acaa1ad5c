//! A secret spelling of a rules file's path.
//!
//! A log line of libmodsecurity holds text that the inspected client chose, unescaped, on both sides of the
//! rule's own facts. Only the rule's file name stands exactly where the facts begin, so each inspector loads
//! its files under a spelling of their path that nobody outside can guess: between folder and file stand 64
//! random bits, `/` for 0 and `./` for 1, which the kernel reads as nothing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use crate::error::Error;

#[derive(Clone)]
pub struct Seal(String);

impl Seal {
    /// Seeded by the operating system through `RandomState`.
    pub fn random() -> Self {
        Self::from_bits(RandomState::new().build_hasher().finish())
    }

    pub fn from_bits(bits: u64) -> Self {
        let steps = (0..u64::BITS).map(|bit| if bits >> bit & 1 == 0 { "/" } else { "./" });
        Self(format!("/{}/", steps.collect::<String>()))
    }

    /// The same file, spelt with the seal.
    pub fn apply(&self, file: &str) -> Result<String, Error> {
        let bad = || Error::BadPath { path: file.to_owned() };
        let path = Path::new(file);
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(bad)?;
        let folder = path.parent().and_then(|folder| folder.to_str()).ok_or_else(bad)?;
        let folder = if folder.is_empty() { "." } else { folder };
        Ok(format!("{folder}{}{name}", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seals_differ() {
        assert_ne!(Seal::random().as_str(), Seal::random().as_str());
    }

    #[test]
    fn a_sealed_path_names_the_same_file() {
        let file = std::env::current_exe().unwrap();
        let file = file.to_str().unwrap();
        let sealed = Seal::random().apply(file).unwrap();
        assert_ne!(sealed, file);
        assert_eq!(std::fs::canonicalize(sealed).unwrap(), std::fs::canonicalize(file).unwrap());
    }

    #[test]
    fn a_path_without_a_file_is_refused() {
        assert!(matches!(Seal::from_bits(1).apply("/"), Err(Error::BadPath { .. })));
    }
}
