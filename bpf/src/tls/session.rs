//! One TLS connection as an observer with its secrets sees it: records go in, in order per direction, and application
//! data comes out once its tag has verified. Pure: no I/O, no clock.
//!
//! What an attacker can put into packets must not end the reading of a connection: a record that does not verify changes
//! nothing, and another copy of it may come. Only what is not encrypted yet, the hellos, has to be believed as it stands.
use super::direction::{Direction, Epoch, Hole};
use super::hello::ClientHello;
pub use super::opened::{Alpn, Dark, Facts, Opened, Side};
use super::record::is_record;
use super::secrets::SecretSet;
use super::suite::{Suite, SuiteNumber, Version};

/// What became of 0-RTT data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EarlyData {
    NotOffered,
    /// EncryptedExtensions will say.
    Offered,
    Accepted,
    Refused,
    /// EncryptedExtensions were not seen: it counts as refused.
    Unknown,
}

/// What the ServerHello settled.
pub(super) struct Agreed {
    pub(super) suite: Suite,
    pub(super) server_random: [u8; 32],
}

pub struct Session {
    pub(super) client: Direction,
    pub(super) server: Direction,
    pub(super) client_hello: Option<ClientHello>,
    pub(super) agreed: Option<Agreed>,
    /// As the ServerHello said, covered or not.
    pub(super) version: Option<Version>,
    pub(super) suite: Option<SuiteNumber>,
    /// `None`: not seen (yet).
    pub(super) alpn: Option<Option<Box<[u8]>>>,
    pub(super) early_data: EarlyData,
    /// A HelloRetryRequest was seen, and the second ClientHello is due.
    pub(super) retry: bool,
    /// ... was seen, ever.
    pub(super) retried: bool,
    pub(super) refused_bytes: usize,
    pub(super) dark: Option<Dark>,
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
            version: None,
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
            version: self.version,
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

    /// The same where it is all that the next records can be longer by than what they hold, as far as is known of their sender.
    pub fn exact_overhead(&self, side: Side) -> Option<usize> {
        let direction = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        let is_exact = direction.epoch == Epoch::Application && !direction.padded && !direction.hole.is_open();
        self.overhead().filter(|_| is_exact)
    }

    /// The last record of that side's that verified is its first one with application data, or could be: none was before it.
    pub fn is_first_data(&self, side: Side) -> bool {
        let direction = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        let version = self.agreed.as_ref().map(|agreed| agreed.suite.version);
        match (version, direction.epoch) {
            // Its Finished was number 0.
            (Some(Version::Tls12), _) => direction.due() <= 2,
            (Some(Version::Tls13), Epoch::Early) => direction.due() <= 1,
            (Some(Version::Tls13), Epoch::Application) => {
                direction.due() <= 1 && matches!(self.early_data, EarlyData::NotOffered | EarlyData::Refused)
            }
            _ => false,
        }
    }

    /// What follows of the server's is.
    pub fn is_server_encrypted(&self) -> bool {
        match self.agreed.as_ref().map(|agreed| agreed.suite.version) {
            Some(Version::Tls12) => self.server.epoch > Epoch::Plain,
            Some(Version::Tls13) => true,
            None => false,
        }
    }

    /// On the heap, but for its keys.
    pub fn memory(&self) -> usize {
        self.client.messages.memory() + self.server.messages.memory()
    }

    /// One whole record: the five bytes of its header, and its fragment. `plain` is cleared, and filled if the result is
    /// `Data` or `Early`.
    ///
    /// Costs one copy and one AEAD pass for a record of application data and allocates nothing but what `plain` grows by;
    /// 1 to 4 µs more when an epoch's first record needs its key; after `pass_over` or `lose` at most 64 passes and two
    /// derivations.
    pub fn open(&mut self, side: Side, record: &[u8], secrets: Option<&SecretSet>, plain: &mut Vec<u8>) -> Opened {
        plain.clear();
        let opened = match self.dark.or(self.direction(side).dark) {
            Some(dark) => Err(dark),
            None => self.open_record(side, record, secrets, plain),
        };
        let opened = opened.unwrap_or_else(|dark| {
            match dark {
                // What the other side sent before its own ChangeCipherSpec is still to be read.
                Dark::Renegotiation => self.direction(side).dark = Some(dark),
                _ => self.dark = Some(dark),
            }
            Opened::Dark(dark)
        });
        if !matches!(opened, Opened::Data | Opened::Early) {
            plain.clear();
        }
        opened
    }

    /// The record behind exactly `records` that went by unseen, all of them under the present key. `Bad`, and nothing has
    /// changed, if it does not verify as that one. At most one AEAD pass.
    pub fn open_behind(&mut self, side: Side, records: u64, record: &[u8], plain: &mut Vec<u8>) -> Opened {
        let hole = std::mem::replace(&mut self.direction(side).hole, Hole::exactly(records));
        let opened = self.open(side, record, None, plain);
        if !matches!(opened, Opened::Data | Opened::Control | Opened::Closed | Opened::Dark(_)) {
            self.direction(side).hole = hole;
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

    pub(super) fn miss(&mut self, side: Side, passed: u64, lost: u64) {
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

    pub(super) fn direction(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    pub(super) fn open_record(
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

    pub(super) fn take_alert(&mut self, side: Side, alert: &[u8]) -> Opened {
        const CLOSE_NOTIFY: u8 = 0;
        if !matches!(alert, [_, CLOSE_NOTIFY]) {
            return Opened::Control;
        }
        self.direction(side).closed = true;
        Opened::Closed
    }
}
