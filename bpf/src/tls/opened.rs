//! What a session says of a record, and of its connection.
use std::fmt;

use super::messages::TooLong;
use super::suite::{SuiteNumber, Version};

/// Who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Verified application data is in `plain`; it may be empty.
    Data,
    /// Verified 0-RTT application data that the server accepted is in `plain`.
    Early,
    /// A handshake message, an alert, a ChangeCipherSpec: verified, or from before encryption.
    Control,
    /// 0-RTT data that the server refused, or whose answer to it was not seen: not to be told as a request. As these records
    /// are not read, one that does not verify in their place cannot be told from them.
    Refused,
    /// Come again with the same record when a secret has come; nothing changed.
    SecretMissing,
    /// Come again when the other direction has got further (its hello, or its EncryptedExtensions); nothing changed.
    PeerMissing,
    /// It does not verify here. Nothing changed; another copy of these bytes may.
    Bad,
    /// This connection cannot be read, from here on or at all; for `Renegotiation`, this direction of it.
    Dark(Dark),
    /// A verified close_notify: nothing follows in this direction.
    Closed,
}

/// Why a connection cannot be read. Written as a sentence's part for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dark {
    Suite(SuiteNumber),
    /// SSL 3.0 to TLS 1.1, drafts of TLS 1.3.
    Version(u16),
    /// TLS-level compression, of TLS 1.2.
    Compression,
    /// TLS 1.2 changed its keys within the connection.
    Renegotiation,
    NoClientHello,
    NoServerHello,
    /// No TLS stack would go on after this.
    Malformed,
}

impl fmt::Display for Dark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suite(suite) => write!(f, "not covered: {suite}"),
            Self::Version(0x0300) => f.write_str("not covered: SSL 3.0"),
            Self::Version(0x0301) => f.write_str("not covered: TLS 1.0"),
            Self::Version(0x0302) => f.write_str("not covered: TLS 1.1"),
            Self::Version(version) => write!(f, "not covered: TLS version 0x{version:04x}"),
            Self::Compression => f.write_str("not covered: TLS compression"),
            Self::Renegotiation => f.write_str("not covered: renegotiation"),
            Self::NoClientHello => f.write_str("the ClientHello was not seen"),
            Self::NoServerHello => f.write_str("the ServerHello was not seen"),
            Self::Malformed => f.write_str("malformed TLS messages"),
        }
    }
}

impl From<TooLong> for Dark {
    fn from(_: TooLong) -> Self {
        Self::Malformed
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn<'a> {
    /// The message that would say it was not seen, or not yet.
    Unseen,
    NotNegotiated,
    Protocol(&'a [u8]),
}

/// What the hellos said, as far as they were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    pub version: Option<Version>,
    pub suite: Option<SuiteNumber>,
    /// As the client wrote it; printable ASCII, at most 255 bytes.
    pub server_name: Option<&'a str>,
    pub alpn: Alpn<'a>,
}
