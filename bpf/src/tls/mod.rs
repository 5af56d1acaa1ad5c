//! TLS beside the server: secrets from its library, ciphertext from its packets, verified plaintext for HTTP.
mod connection;
mod direction;
mod erased;
mod guard;
mod half;
mod hello;
mod hellos;
mod keys;
mod messages;
mod opened;
mod record;
mod records;
mod secrets;
mod session;
mod skip;
mod store;
mod suite;
mod suite_names;
mod tally;
mod tls12;
mod tls13;
mod upload;
mod verify;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod called_properties;
#[cfg(test)]
pub(crate) mod conversation;
#[cfg(test)]
mod flow_properties;
#[cfg(test)]
mod lost_end_tests;
#[cfg(test)]
mod openssl_tests;
#[cfg(test)]
mod rfc8448_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod unlogged_tests;
#[cfg(test)]
mod upload_properties;
#[cfg(test)]
mod upload_tests;

pub use connection::{ClientBytes, Connection, State, Why, World};
pub use guard::{keep_private, wipe_stack};
#[cfg(test)]
pub(crate) use session::Side;
pub use store::{Logged, Logger, Store};
pub use tally::{Change, Tally};

/// How TLS is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By the secrets of the handshake; by the library's calls where these are not to be had.
    #[default]
    Auto,
    Secrets,
    Calls,
    Off,
}

impl Mode {
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "auto" => Self::Auto,
            "secrets" => Self::Secrets,
            "calls" => Self::Calls,
            "off" => Self::Off,
            _ => return None,
        })
    }

    pub fn takes_secrets(self) -> bool {
        matches!(self, Self::Auto | Self::Secrets)
    }
}

/// The content type of the record that every TLS connection begins with (RFC 8446 section 5.1).
pub const HANDSHAKE: u8 = record::HANDSHAKE;
