//! TLS 1.2 behind the hellos.
use super::direction::Epoch;
use super::keys::HEADER_BYTES;
use super::opened::{Dark, Opened, Side};
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, MAX_PLAINTEXT_BYTES, is_change_cipher_spec, is_plain_alert,
};
use super::secrets::SecretSet;
use super::session::Session;
use super::verify::Verified;

impl Session {
    /// TLS 1.2 before this direction's ChangeCipherSpec. Nothing of it is needed but that it ends.
    pub(super) fn open_tls12_handshake(
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
                Verified::Here => {
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

    pub(super) fn open_tls12(
        &mut self,
        side: Side,
        record: &[u8],
        secrets: Option<&SecretSet>,
        plain: &mut Vec<u8>,
    ) -> Result<Opened, Dark> {
        match self.verify(side, record, secrets, plain) {
            Verified::Here => self.take_tls12(side, record[0], plain),
            Verified::SecretMissing => Ok(Opened::SecretMissing),
            Verified::Nowhere => Ok(Opened::Bad),
        }
    }

    pub(super) fn take_tls12(&mut self, side: Side, content: u8, plain: &[u8]) -> Result<Opened, Dark> {
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
}
