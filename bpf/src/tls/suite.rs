//! The cipher suites whose records can be opened: the AEAD suites of TLS 1.3 (RFC 8446 B.4) and TLS 1.2 (RFC 5288,
//! 5289, 5487, 7905, 8442).
use std::fmt;

use ring::{aead, hkdf, hmac};

use super::suite_names;

/// A suite's number on the wire. It is written as IANA names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SuiteNumber(pub u16);

impl fmt::Display for SuiteNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match suite_names::of(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "TLS cipher suite 0x{:04x}", self.0),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Cipher {
    pub fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }
}

/// The hash of HKDF in TLS 1.3, of the PRF in TLS 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha384,
}

impl Hash {
    /// Bytes of a digest and of a TLS 1.3 traffic secret.
    pub fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    pub fn hkdf(self) -> hkdf::Algorithm {
        match self {
            Self::Sha256 => hkdf::HKDF_SHA256,
            Self::Sha384 => hkdf::HKDF_SHA384,
        }
    }

    pub fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Tls12,
    Tls13,
}

/// How records of a connection are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    pub version: Version,
    pub cipher: Cipher,
    pub hash: Hash,
}

impl Suite {
    /// `None`: not an AEAD suite of this version that is covered (CBC, RC4, CCM, ARIA, Camellia, a suite of the other version).
    pub fn of(version: Version, number: u16) -> Option<Self> {
        use {Cipher::*, Hash::*};
        let (cipher, hash) = match (version, number) {
            (Version::Tls13, 0x1301) => (Aes128Gcm, Sha256),
            (Version::Tls13, 0x1302) => (Aes256Gcm, Sha384),
            (Version::Tls13, 0x1303) => (ChaCha20Poly1305, Sha256),
            // RSA, DHE_RSA, DH_RSA, DHE_DSS, DH_DSS, DH_anon, PSK, DHE_PSK, RSA_PSK: even numbers have AES-128, odd ones AES-256.
            // Then ECDHE_ECDSA, ECDH_ECDSA, ECDHE_RSA, ECDH_RSA the other way round, and ECDHE_PSK.
            (
                Version::Tls12,
                0x009c | 0x009e | 0x00a0 | 0x00a2 | 0x00a4 | 0x00a6 | 0x00a8 | 0x00aa | 0x00ac | 0xc02b | 0xc02d
                | 0xc02f | 0xc031 | 0xd001,
            ) => (Aes128Gcm, Sha256),
            (
                Version::Tls12,
                0x009d | 0x009f | 0x00a1 | 0x00a3 | 0x00a5 | 0x00a7 | 0x00a9 | 0x00ab | 0x00ad | 0xc02c | 0xc02e
                | 0xc030 | 0xc032 | 0xd002,
            ) => (Aes256Gcm, Sha384),
            // ECDHE_RSA, ECDHE_ECDSA, DHE_RSA, PSK, ECDHE_PSK, DHE_PSK, RSA_PSK.
            (Version::Tls12, 0xcca8..=0xccae) => (ChaCha20Poly1305, Sha256),
            _ => return None,
        };
        Some(Self { version, cipher, hash })
    }

    /// TLS 1.2 writes eight bytes of a GCM nonce into the record (RFC 5288 section 3).
    pub fn explicit_nonce_len(self) -> usize {
        match (self.version, self.cipher) {
            (Version::Tls12, Cipher::Aes128Gcm | Cipher::Aes256Gcm) => 8,
            _ => 0,
        }
    }

    /// Bytes of a record that are not plaintext: header, explicit nonce, tag, and TLS 1.3's content type.
    /// TLS 1.3 padding comes on top, and only the opened record tells how much.
    pub fn overhead(self) -> usize {
        let content_type = usize::from(self.version == Version::Tls13);
        5 + self.explicit_nonce_len() + content_type + self.cipher.algorithm().tag_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_that_is_covered_is_the_one_its_name_says() {
        for number in 0..=u16::MAX {
            for version in [Version::Tls12, Version::Tls13] {
                let Some(suite) = Suite::of(version, number) else { continue };
                let name = SuiteNumber(number).to_string();
                let cipher = match suite.cipher {
                    Cipher::Aes128Gcm => "AES_128_GCM_SHA256",
                    Cipher::Aes256Gcm => "AES_256_GCM_SHA384",
                    Cipher::ChaCha20Poly1305 => "CHACHA20_POLY1305_SHA256",
                };
                assert!(name.ends_with(cipher), "{name}");
                assert_eq!(name.contains("_WITH_"), version == Version::Tls12, "{name}");
                assert_eq!(suite.hash == Hash::Sha384, name.ends_with("SHA384"), "{name}");
            }
        }
    }

    #[test]
    fn no_named_aead_suite_with_these_ciphers_is_forgotten() {
        for number in 0..=u16::MAX {
            let Some(name) = suite_names::of(number) else { continue };
            let covered = Suite::of(Version::Tls12, number).or(Suite::of(Version::Tls13, number)).is_some();
            let aead = ["_AES_128_GCM_", "_AES_256_GCM_", "_CHACHA20_POLY1305_"].iter().any(|part| name.contains(part));
            assert_eq!(covered, aead, "{name}");
        }
    }

    #[test]
    fn a_suite_without_a_name_is_told_by_its_number() {
        assert_eq!(SuiteNumber(0x0a0a).to_string(), "TLS cipher suite 0x0a0a");
    }
}
