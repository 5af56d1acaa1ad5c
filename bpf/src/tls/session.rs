//! One TLS connection as an observer with its secrets sees it: records go in, in order per direction, and application
//! data comes out once its tag has verified. Pure: no I/O, no clock.
//!
//! What an attacker can put into packets must not end the reading of a connection: a record that does not verify changes
//! nothing, and another copy of it may come. Only what is not encrypted yet, the hellos, has to be believed as it stands.
use std::fmt;

use super::direction::{Direction, Epoch, Found};
use super::hello::{ClientHello, EncryptedExtensions, ServerHello};
use super::keys::{HEADER_BYTES, Key, Traffic};
use super::messages::{Message, TooLong};
use super::secrets::SecretSet;
use super::suite::{Suite, SuiteNumber, Version};

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const END_OF_EARLY_DATA: u8 = 5;
const ENCRYPTED_EXTENSIONS: u8 = 8;
const FINISHED: u8 = 20;
const KEY_UPDATE: u8 = 24;

const MAX_PLAINTEXT_BYTES: usize = 1 << 14;
/// RFC 8446 section 5.2, RFC 5246 section 6.2.3.
const MAX_EXPANSION_TLS13: usize = 256;
const MAX_EXPANSION_TLS12: usize = 2048;

/// 0-RTT data that a server refused goes by unread. Servers allow 16 KiB by default, rarely more than some of it.
const MAX_REFUSED_BYTES: usize = 1 << 20;
/// So that tiny records cannot buy many tries each.
const MIN_REFUSED_COST: usize = 512;
/// Handshake records that may have been taken for refused 0-RTT data (a forged copy stood in their place).
const MAX_REFUSED_IN_PLACE: u64 = 3;

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
    /// 0-RTT data that the server refused, or in its place a record that does not verify: nobody took it.
    Refused,
    /// Come again with the same record when a secret has come; nothing changed.
    SecretMissing,
    /// Come again when the other direction has got further (its hello, or its EncryptedExtensions); nothing changed.
    PeerMissing,
    /// It does not verify here. Nothing changed; another copy of these bytes may.
    Bad,
    /// This connection cannot be read, from here on or at all.
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
    /// 0-RTT data, and the message that says whether the server took it was not seen.
    EarlyData,
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
            Self::EarlyData => f.write_str("the server's answer to 0-RTT data was not seen"),
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

/// What became of 0-RTT data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EarlyData {
    NotOffered,
    /// EncryptedExtensions will say.
    Offered,
    Accepted,
    Refused,
    /// EncryptedExtensions were not seen.
    Unknown,
}

/// What the ServerHello settled.
struct Agreed {
    suite: Suite,
    server_random: [u8; 32],
}

pub struct Session {
    client: Direction,
    server: Direction,
    client_hello: Option<ClientHello>,
    agreed: Option<Agreed>,
    suite: Option<SuiteNumber>,
    /// `None`: not seen (yet).
    alpn: Option<Option<Box<[u8]>>>,
    early_data: EarlyData,
    /// A HelloRetryRequest was seen, and the second ClientHello is due.
    retry: bool,
    /// ... was seen, ever.
    retried: bool,
    refused_bytes: usize,
    dark: Option<Dark>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    pub fn new() -> Self {
        Self {
            client: Direction::new(),
            server: Direction::new(),
            client_hello: None,
            agreed: None,
            suite: None,
            alpn: None,
            early_data: EarlyData::NotOffered,
            retry: false,
            retried: false,
            refused_bytes: 0,
            dark: None,
        }
    }

    /// Of the first ClientHello, which is the one that secrets are logged with; a second one repeats it.
    pub fn client_random(&self) -> Option<&[u8; 32]> {
        self.client_hello.as_ref().map(|hello| &hello.random)
    }

    pub fn facts(&self) -> Facts<'_> {
        Facts {
            version: self.agreed.as_ref().map(|agreed| agreed.suite.version),
            suite: self.suite,
            server_name: self.client_hello.as_ref().and_then(|hello| hello.server_name.as_deref()),
            alpn: match &self.alpn {
                None => Alpn::Unseen,
                Some(None) => Alpn::NotNegotiated,
                Some(Some(protocol)) => Alpn::Protocol(protocol),
            },
        }
    }

    /// Bytes of an application record, header included, that are not plaintext. TLS 1.3 may pad on top of it.
    /// `None` before the ServerHello.
    pub fn overhead(&self) -> Option<usize> {
        self.agreed.as_ref().map(|agreed| agreed.suite.overhead())
    }

    /// One whole record: the five bytes of its header, and its fragment. `plain` is cleared, and filled if the result is
    /// `Data` or `Early`.
    ///
    /// Costs one copy and one AEAD pass for a record of application data and allocates nothing but what `plain` grows by;
    /// 1 to 4 µs more when an epoch's first record needs its key; after `pass_over` or `lose` at most 64 passes and two
    /// derivations.
    pub fn open(&mut self, side: Side, record: &[u8], secrets: Option<&SecretSet>, plain: &mut Vec<u8>) -> Opened {
        plain.clear();
        let opened = match self.dark {
            Some(dark) => Err(dark),
            None => self.open_record(side, record, secrets, plain),
        };
        let opened = opened.unwrap_or_else(|dark| {
            self.dark = Some(dark);
            Opened::Dark(dark)
        });
        if !matches!(opened, Opened::Data | Opened::Early) {
            plain.clear();
        }
        opened
    }

    /// `records` of this direction went by unseen: exactly so many.
    pub fn pass_over(&mut self, side: Side, records: u64) {
        if records > 0 {
            self.miss(side, records, 0);
        }
    }

    /// At most `most` records of this direction were lost, on top of those passed over: the next one that verifies decides.
    pub fn lose(&mut self, side: Side, most: u64) {
        if most > 0 {
            self.miss(side, 0, most);
        }
    }

    fn miss(&mut self, side: Side, passed: u64, lost: u64) {
        let direction = self.direction(side);
        direction.hole.widen(passed, lost);
        if direction.epoch < Epoch::Application {
            // Records without encryption, ChangeCipherSpec among them, have no number.
            direction.hole.blur();
        }
        if direction.epoch == Epoch::Plain {
            direction.messages.reset();
        }
    }

    fn direction(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn open_record(
        &mut self,
        side: Side,
        record: &[u8],
        secrets: Option<&SecretSet>,
        plain: &mut Vec<u8>,
    ) -> Result<Opened, Dark> {
        if !is_record(record) || self.direction(side).closed {
            return Ok(Opened::Bad);
        }
        let version = self.agreed.as_ref().map(|agreed| agreed.suite.version);
        match (version, side, self.direction(side).epoch) {
            (None, Side::Client, _) => self.open_client_hello(record),
            (None, Side::Server, _) => self.open_server_hello(record),
            (Some(Version::Tls12), _, Epoch::Plain) => self.open_tls12_handshake(side, record, secrets, plain),
            (Some(Version::Tls12), _, _) => self.open_tls12(side, record, secrets, plain),
            (Some(Version::Tls13), Side::Client, Epoch::Plain) => self.open_after_hello(record, secrets, plain),
            (Some(Version::Tls13), _, _) => self.open_tls13(side, record, secrets, plain),
        }
    }

    /// The client's records before the ServerHello.
    fn open_client_hello(&mut self, record: &[u8]) -> Result<Opened, Dark> {
        if self.client_hello.is_none() {
            return match record[0] {
                HANDSHAKE => self.read_client_hello(record),
                _ => Err(Dark::NoClientHello),
            };
        }
        match record[0] {
            HANDSHAKE if self.retry => self.read_client_hello(record),
            // Between two ClientHellos stands 0-RTT data for which the first one asked (RFC 8446 section 4.2.10).
            APPLICATION_DATA if self.retry => Ok(self.refuse(record)),
            CHANGE_CIPHER_SPEC if self.retried && is_change_cipher_spec(record) => Ok(Opened::Control),
            ALERT if is_plain_alert(record) => Ok(Opened::Control),
            _ => Ok(Opened::PeerMissing),
        }
    }

    fn read_client_hello(&mut self, record: &[u8]) -> Result<Opened, Dark> {
        let mut messages = std::mem::take(&mut self.client.messages);
        let read = messages.push(&record[HEADER_BYTES..], &[CLIENT_HELLO], |message| self.take_client_hello(&message));
        self.client.messages = messages;
        read.map(|()| Opened::Control)
    }

    fn take_client_hello(&mut self, message: &Message) -> Result<(), Dark> {
        if message.kind != CLIENT_HELLO {
            return Err(if self.client_hello.is_none() { Dark::NoClientHello } else { Dark::Malformed });
        }
        let hello = ClientHello::parse(message.body).filter(|_| message.ends_record).ok_or(Dark::Malformed)?;
        self.client.hole = Default::default();
        if std::mem::take(&mut self.retry) {
            return Ok(());
        }
        if hello.early_data {
            self.early_data = EarlyData::Offered;
        }
        self.client_hello = Some(hello);
        Ok(())
    }

    /// The server's records up to its ServerHello.
    fn open_server_hello(&mut self, record: &[u8]) -> Result<Opened, Dark> {
        if self.client_hello.is_none() {
            return Ok(Opened::PeerMissing);
        }
        match record[0] {
            HANDSHAKE => {
                let mut messages = std::mem::take(&mut self.server.messages);
                let read =
                    messages.push(&record[HEADER_BYTES..], &[SERVER_HELLO], |message| self.take_server_hello(&message));
                self.server.messages = messages;
                read.map(|()| Opened::Control)
            }
            CHANGE_CIPHER_SPEC if self.retried && is_change_cipher_spec(record) => Ok(Opened::Control),
            ALERT if is_plain_alert(record) => Ok(Opened::Control),
            _ if self.server.hole.is_open() => Err(Dark::NoServerHello),
            _ => Ok(Opened::Bad),
        }
    }

    fn take_server_hello(&mut self, message: &Message) -> Result<(), Dark> {
        const HELLO_REQUEST: u8 = 0;
        if self.agreed.is_some() {
            // Messages of TLS 1.2 behind the ServerHello, in its record: none of them is needed.
            return Ok(());
        }
        match message.kind {
            SERVER_HELLO => {}
            HELLO_REQUEST => return Ok(()),
            _ => return Err(Dark::NoServerHello),
        }
        let hello = ServerHello::parse(message.body).ok_or(Dark::Malformed)?;
        let version = match hello.version {
            0x0303 => Version::Tls12,
            0x0304 => Version::Tls13,
            other => return Err(Dark::Version(other)),
        };
        self.suite = Some(SuiteNumber(hello.suite));
        let suite = Suite::of(version, hello.suite).ok_or(Dark::Suite(SuiteNumber(hello.suite)))?;
        self.server.hole = Default::default();
        match version {
            Version::Tls13 => {
                if !message.ends_record {
                    return Err(Dark::Malformed);
                }
                if hello.is_retry_request() {
                    if self.retried {
                        return Err(Dark::Malformed);
                    }
                    (self.retry, self.retried) = (true, true);
                    return Ok(());
                }
                self.server.enter(Epoch::Handshake);
                if self.early_data == EarlyData::Offered && (self.retried || !hello.pre_shared_key) {
                    self.early_data = EarlyData::Refused;
                }
            }
            Version::Tls12 => {
                if hello.compression != 0 {
                    return Err(Dark::Compression);
                }
                self.alpn = Some(hello.alpn);
            }
        }
        self.agreed = Some(Agreed { suite, server_random: hello.random });
        Ok(())
    }

    /// TLS 1.2 before this direction's ChangeCipherSpec. Nothing of it is needed but that it ends.
    fn open_tls12_handshake(
        &mut self,
        side: Side,
        record: &[u8],
        secrets: Option<&SecretSet>,
        plain: &mut Vec<u8>,
    ) -> Result<Opened, Dark> {
        if is_change_cipher_spec(record) {
            let direction = self.direction(side);
            direction.hole = Default::default();
            direction.enter(Epoch::Application);
            return Ok(Opened::Control);
        }
        if self.direction(side).hole.is_open() {
            // The ChangeCipherSpec may be among what is missing: then the record is encrypted.
            let hidden = self.verify(side, record, secrets, plain);
            match hidden {
                Verified::At(_) => {
                    return self.take_tls12(side, record[0], plain);
                }
                Verified::SecretMissing => return Ok(Opened::SecretMissing),
                Verified::Nowhere => {}
            }
        }
        let fits = record.len() <= HEADER_BYTES + MAX_PLAINTEXT_BYTES;
        Ok(match record[0] {
            HANDSHAKE if fits => Opened::Control,
            ALERT if is_plain_alert(record) => Opened::Control,
            _ => Opened::Bad,
        })
    }

    fn open_tls12(
        &mut self,
        side: Side,
        record: &[u8],
        secrets: Option<&SecretSet>,
        plain: &mut Vec<u8>,
    ) -> Result<Opened, Dark> {
        match self.verify(side, record, secrets, plain) {
            Verified::At(_) => self.take_tls12(side, record[0], plain),
            Verified::SecretMissing => Ok(Opened::SecretMissing),
            Verified::Nowhere => Ok(Opened::Bad),
        }
    }

    fn take_tls12(&mut self, side: Side, content: u8, plain: &[u8]) -> Result<Opened, Dark> {
        if plain.len() > MAX_PLAINTEXT_BYTES {
            return Err(Dark::Malformed);
        }
        match content {
            APPLICATION_DATA => Ok(Opened::Data),
            ALERT => Ok(self.take_alert(side, plain)),
            // The keys that follow are of a second handshake, with randoms of its own.
            CHANGE_CIPHER_SPEC => Err(Dark::Renegotiation),
            _ => Ok(Opened::Control),
        }
    }

    /// TLS 1.3: the client's records between its ClientHello and the first encrypted one.
    fn open_after_hello(
        &mut self,
        record: &[u8],
        secrets: Option<&SecretSet>,
        plain: &mut Vec<u8>,
    ) -> Result<Opened, Dark> {
        if self.retry && !self.client.hole.is_open() {
            return match record[0] {
                HANDSHAKE => self.read_client_hello(record),
                APPLICATION_DATA if self.early_data != EarlyData::NotOffered => Ok(self.refuse(record)),
                CHANGE_CIPHER_SPEC if is_change_cipher_spec(record) => Ok(Opened::Control),
                _ => Ok(Opened::Bad),
            };
        }
        match (record[0], self.early_data) {
            (CHANGE_CIPHER_SPEC, _) if is_change_cipher_spec(record) => return Ok(Opened::Control),
            (APPLICATION_DATA, EarlyData::Offered) => return Ok(Opened::PeerMissing),
            (APPLICATION_DATA, EarlyData::Accepted) => self.client.enter(Epoch::Early),
            (APPLICATION_DATA, _) => self.client.enter(Epoch::Handshake),
            _ => return Ok(Opened::Bad),
        }
        self.open_tls13(Side::Client, record, secrets, plain)
    }

    fn open_tls13(
        &mut self,
        side: Side,
        record: &[u8],
        secrets: Option<&SecretSet>,
        plain: &mut Vec<u8>,
    ) -> Result<Opened, Dark> {
        let direction = self.direction(side);
        if is_change_cipher_spec(record) && direction.epoch < Epoch::Application {
            return Ok(Opened::Control);
        }
        if record[0] != APPLICATION_DATA {
            return Ok(Opened::Bad);
        }
        let is_first = side == Side::Client && direction.epoch == Epoch::Handshake && direction.traffic.is_none();
        match self.verify(side, record, secrets, plain) {
            Verified::At(_) => self.take_tls13(side, plain),
            Verified::SecretMissing => Ok(Opened::SecretMissing),
            Verified::Nowhere if is_first && self.early_data == EarlyData::Refused => {
                let refused = self.refuse(record);
                if refused == Opened::Refused {
                    self.client.hole.widen_up_to(MAX_REFUSED_IN_PLACE);
                }
                Ok(refused)
            }
            Verified::Nowhere if is_first && self.early_data == EarlyData::Unknown => {
                match self.is_early_data(record, secrets, plain) {
                    true => Err(Dark::EarlyData),
                    false => Ok(Opened::Bad),
                }
            }
            Verified::Nowhere => Ok(Opened::Bad),
        }
    }

    /// What TLSInnerPlaintext holds (RFC 8446 section 5.2): content, its type, and zeros.
    fn take_tls13(&mut self, side: Side, plain: &mut Vec<u8>) -> Result<Opened, Dark> {
        if plain.len() > MAX_PLAINTEXT_BYTES + 1 {
            return Err(Dark::Malformed);
        }
        let end = plain.iter().rposition(|byte| *byte != 0).ok_or(Dark::Malformed)?;
        let content = plain[end];
        plain.truncate(end);
        let direction = self.direction(side);
        match content {
            APPLICATION_DATA => {
                // Messages do not enclose other records (RFC 8446 section 5.1): the next one begins with its record.
                direction.adrift = false;
                match direction.epoch {
                    Epoch::Application => Ok(Opened::Data),
                    Epoch::Early => Ok(Opened::Early),
                    Epoch::Plain | Epoch::Handshake => Err(Dark::Malformed),
                }
            }
            HANDSHAKE if direction.adrift => Ok(Opened::Control),
            HANDSHAKE => self.read_messages(side, plain),
            ALERT => Ok(self.take_alert(side, plain)),
            CHANGE_CIPHER_SPEC => Err(Dark::Malformed),
            _ => Ok(Opened::Control),
        }
    }

    fn read_messages(&mut self, side: Side, plain: &[u8]) -> Result<Opened, Dark> {
        let wanted = [ENCRYPTED_EXTENSIONS, KEY_UPDATE];
        let mut messages = std::mem::take(&mut self.direction(side).messages);
        let read = messages.push(plain, &wanted, |message| self.take_message(side, &message));
        self.direction(side).messages = messages;
        read.map(|()| Opened::Control)
    }

    fn take_message(&mut self, side: Side, message: &Message) -> Result<(), Dark> {
        let epoch = self.direction(side).epoch;
        let next = match (side, epoch, message.kind) {
            (Side::Server, Epoch::Handshake, ENCRYPTED_EXTENSIONS) => return self.take_extensions(message.body),
            (Side::Client, Epoch::Early, END_OF_EARLY_DATA) => Epoch::Handshake,
            (_, Epoch::Handshake, FINISHED) => Epoch::Application,
            (_, Epoch::Application, KEY_UPDATE) if message.body.len() == 1 => Epoch::Application,
            (_, Epoch::Early, _) | (_, Epoch::Application, KEY_UPDATE) => return Err(Dark::Malformed),
            _ => return Ok(()),
        };
        if !message.ends_record {
            return Err(Dark::Malformed);
        }
        let direction = self.direction(side);
        if epoch == Epoch::Application {
            let traffic = direction.traffic.as_deref().and_then(Traffic::next_generation).ok_or(Dark::Malformed)?;
            direction.change_key(Some(traffic));
        } else {
            direction.enter(next);
        }
        Ok(())
    }

    fn take_extensions(&mut self, body: &[u8]) -> Result<(), Dark> {
        let extensions = EncryptedExtensions::parse(body).ok_or(Dark::Malformed)?;
        self.alpn = Some(extensions.alpn);
        self.early_data = match (self.early_data, extensions.early_data) {
            (EarlyData::Offered, true) => EarlyData::Accepted,
            (EarlyData::Offered, false) => EarlyData::Refused,
            (_, true) => return Err(Dark::Malformed),
            (other, false) => other,
        };
        Ok(())
    }

    fn take_alert(&mut self, side: Side, alert: &[u8]) -> Opened {
        const CLOSE_NOTIFY: u8 = 0;
        if !matches!(alert, [_, CLOSE_NOTIFY]) {
            return Opened::Control;
        }
        self.direction(side).closed = true;
        Opened::Closed
    }

    /// Verifies `record` where it may stand, and moves the direction there. Without a tag that verifies nothing moves.
    fn verify(&mut self, side: Side, record: &[u8], secrets: Option<&SecretSet>, plain: &mut Vec<u8>) -> Verified {
        let Some(suite) = self.agreed.as_ref().map(|agreed| agreed.suite) else { return Verified::Nowhere };
        let fragment = record.len() - HEADER_BYTES;
        let expansion = match suite.version {
            Version::Tls12 => MAX_EXPANSION_TLS12,
            Version::Tls13 => MAX_EXPANSION_TLS13,
        };
        if record.len() < suite.overhead() || fragment > MAX_PLAINTEXT_BYTES + expansion {
            return Verified::Nowhere;
        }

        // Taken out so that a candidate can stand in its place; put back whatever comes.
        let held = self.direction(side).traffic.take();
        let epoch = match (suite.version, self.direction(side).epoch) {
            (Version::Tls12, _) => Epoch::Application,
            (Version::Tls13, epoch) => epoch,
        };
        let derived = if held.is_none() { self.derive(side, epoch, secrets) } else { Derived::Unusable };
        let current = held.as_deref().or(derived.traffic());
        let following = match (self.direction(side).may_have_changed_key(), epoch) {
            (false, _) | (_, Epoch::Plain) => [Derived::Unusable, Derived::Unusable],
            (true, Epoch::Early) => [Epoch::Handshake, Epoch::Application].map(|e| self.derive(side, e, secrets)),
            (true, Epoch::Handshake) => [self.derive(side, Epoch::Application, secrets), Derived::Unusable],
            (true, Epoch::Application) => {
                let one = current.and_then(Traffic::next_generation);
                let two = one.as_deref().and_then(Traffic::next_generation);
                [one, two].map(|traffic| traffic.map_or(Derived::Unusable, Derived::Ready))
            }
        };
        let keys = [current, following[0].traffic(), following[1].traffic()];
        let keys = keys.map(|traffic| traffic.map(|traffic| &traffic.key));
        let found = self.direction(side).search(record, keys, plain);

        let is_missing = matches!(derived, Derived::Missing) || following.iter().any(|d| matches!(d, Derived::Missing));
        let direction = self.direction(side);
        let Some(found) = found else {
            direction.traffic = held;
            return if is_missing { Verified::SecretMissing } else { Verified::Nowhere };
        };
        let [one, two] = following;
        let (traffic, epoch) = match (found.step, epoch) {
            (0, epoch) => (held.or(derived.into_traffic()), epoch),
            (1, Epoch::Early) => (one.into_traffic(), Epoch::Handshake),
            (1, _) => (one.into_traffic(), Epoch::Application),
            _ => (two.into_traffic(), Epoch::Application),
        };
        direction.epoch = epoch;
        direction.traffic = traffic;
        direction.accept(found, record, suite.explicit_nonce_len() > 0);
        if side == Side::Server && self.early_data == EarlyData::Offered {
            let server = &self.server;
            if server.adrift || server.epoch == Epoch::Application {
                self.early_data = EarlyData::Unknown;
            }
        }
        Verified::At(found)
    }

    fn derive(&self, side: Side, epoch: Epoch, secrets: Option<&SecretSet>) -> Derived {
        let (Some(agreed), Some(hello)) = (&self.agreed, &self.client_hello) else { return Derived::Unusable };
        let Some(secrets) = secrets else { return Derived::Missing };
        let secret = match (agreed.suite.version, epoch, side) {
            (Version::Tls12, _, _) => secrets.master(),
            (_, Epoch::Plain, _) | (_, Epoch::Early, Side::Server) => return Derived::Unusable,
            (_, Epoch::Early, Side::Client) => secrets.client_early(),
            (_, Epoch::Handshake, Side::Client) => secrets.client_handshake(),
            (_, Epoch::Handshake, Side::Server) => secrets.server_handshake(),
            (_, Epoch::Application, Side::Client) => secrets.client_application(),
            (_, Epoch::Application, Side::Server) => secrets.server_application(),
        };
        let Some(secret) = secret else { return Derived::Missing };
        let traffic = match agreed.suite.version {
            Version::Tls13 => Traffic::new(agreed.suite, secret),
            Version::Tls12 => Key::of_master_secret(agreed.suite, secret, &hello.random, &agreed.server_random, side)
                .map(Traffic::without_update),
        };
        // A secret of another length than the suite's belongs to another connection: nothing will verify under it.
        traffic.map_or(Derived::Unusable, Derived::Ready)
    }

    /// The first records of the client are 0-RTT data.
    fn is_early_data(&mut self, record: &[u8], secrets: Option<&SecretSet>, plain: &mut Vec<u8>) -> bool {
        let early = self.derive(Side::Client, Epoch::Early, secrets);
        self.client.search(record, [early.traffic().map(|traffic| &traffic.key), None, None], plain).is_some()
    }

    /// The record is not read, as long as there are not too many of them.
    fn refuse(&mut self, record: &[u8]) -> Opened {
        let cost = record.len().max(MIN_REFUSED_COST);
        if self.early_data == EarlyData::NotOffered || self.refused_bytes + cost > MAX_REFUSED_BYTES {
            return Opened::Bad;
        }
        self.refused_bytes += cost;
        Opened::Refused
    }
}

enum Verified {
    At(Found),
    /// Not under the keys there are; one is missing.
    SecretMissing,
    Nowhere,
}

enum Derived {
    Ready(Box<Traffic>),
    Missing,
    /// There is none, or none that fits.
    Unusable,
}

impl Derived {
    fn traffic(&self) -> Option<&Traffic> {
        match self {
            Self::Ready(traffic) => Some(traffic),
            _ => None,
        }
    }

    fn into_traffic(self) -> Option<Box<Traffic>> {
        match self {
            Self::Ready(traffic) => Some(traffic),
            _ => None,
        }
    }
}

/// A known content type, major version 3, and a length that is this record's.
fn is_record(record: &[u8]) -> bool {
    let [content, 3, _, high, low, fragment @ ..] = record else { return false };
    (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(content)
        && usize::from(u16::from_be_bytes([*high, *low])) == fragment.len()
}

fn is_change_cipher_spec(record: &[u8]) -> bool {
    matches!(record, [CHANGE_CIPHER_SPEC, _, _, _, _, 1])
}

fn is_plain_alert(record: &[u8]) -> bool {
    matches!(record, [ALERT, _, _, _, _, _, _])
}
