//! TLS 1.3 behind the ServerHello.
use super::direction::Epoch;
use super::hello::EncryptedExtensions;
use super::keys::Traffic;
use super::messages::Message;
use super::opened::{Dark, Opened, Side};
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, MAX_PLAINTEXT_BYTES, is_change_cipher_spec,
};
use super::secrets::SecretSet;
use super::session::{EarlyData, Session};
use super::verify::Verified;

const END_OF_EARLY_DATA: u8 = 5;
const ENCRYPTED_EXTENSIONS: u8 = 8;
const FINISHED: u8 = 20;
const KEY_UPDATE: u8 = 24;

/// 0-RTT data that a server refused goes by unread. Servers allow 16 KiB by default, rarely more than some of it.
const MAX_REFUSED_BYTES: usize = 1 << 20;
/// So that tiny records cannot buy many tries each.
const MIN_REFUSED_COST: usize = 512;
/// Handshake records that may have been taken for refused 0-RTT data (a forged copy stood in their place).
const MAX_REFUSED_IN_PLACE: u64 = 3;

impl Session {
    /// TLS 1.3: the client's records between its ClientHello and the first encrypted one.
    pub(super) fn open_after_hello(
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

    pub(super) fn open_tls13(
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
            Verified::Here => self.take_tls13(side, plain),
            Verified::SecretMissing => Ok(Opened::SecretMissing),
            Verified::Nowhere if is_first => {
                let refused = self.refuse(record);
                if refused == Opened::Refused {
                    self.client.hole.widen_up_to(MAX_REFUSED_IN_PLACE);
                }
                Ok(refused)
            }
            Verified::Nowhere => Ok(Opened::Bad),
        }
    }

    /// What TLSInnerPlaintext holds (RFC 8446 section 5.2): content, its type, and zeros.
    pub(super) fn take_tls13(&mut self, side: Side, plain: &mut Vec<u8>) -> Result<Opened, Dark> {
        if plain.len() > MAX_PLAINTEXT_BYTES + 1 {
            return Err(Dark::Malformed);
        }
        let end = plain.iter().rposition(|byte| *byte != 0).ok_or(Dark::Malformed)?;
        let content = plain[end];
        let direction = self.direction(side);
        direction.padded |= end + 1 < plain.len();
        plain.truncate(end);
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

    pub(super) fn read_messages(&mut self, side: Side, plain: &[u8]) -> Result<Opened, Dark> {
        let wanted = [ENCRYPTED_EXTENSIONS, KEY_UPDATE];
        let mut messages = std::mem::take(&mut self.direction(side).messages);
        let read = messages.push(plain, &wanted, |message| self.take_message(side, &message));
        self.direction(side).messages = messages;
        read.map(|()| Opened::Control)
    }

    pub(super) fn take_message(&mut self, side: Side, message: &Message) -> Result<(), Dark> {
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

    pub(super) fn take_extensions(&mut self, body: &[u8]) -> Result<(), Dark> {
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

    /// The record is not read, as long as there are not too many of them.
    pub(super) fn refuse(&mut self, record: &[u8]) -> Opened {
        let cost = record.len().max(MIN_REFUSED_COST);
        let is_possible = matches!(self.early_data, EarlyData::Offered | EarlyData::Refused | EarlyData::Unknown);
        if !is_possible || self.refused_bytes + cost > MAX_REFUSED_BYTES {
            return Opened::Bad;
        }
        self.refused_bytes += cost;
        Opened::Refused
    }
}
