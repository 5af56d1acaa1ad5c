//! A record's header (RFC 8446 section 5.1), and the records that are never encrypted.

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
pub(super) const HEARTBEAT: u8 = 24;

pub(super) const MAX_PLAINTEXT_BYTES: usize = 1 << 14;

/// A known content type, major version 3, and a length that is this record's.
pub(super) fn is_record(record: &[u8]) -> bool {
    let [content, 3, _, high, low, fragment @ ..] = record else { return false };
    (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(content)
        && usize::from(u16::from_be_bytes([*high, *low])) == fragment.len()
}

pub(super) fn is_change_cipher_spec(record: &[u8]) -> bool {
    matches!(record, [CHANGE_CIPHER_SPEC, _, _, _, _, 1])
}

pub(super) fn is_plain_alert(record: &[u8]) -> bool {
    matches!(record, [ALERT, _, _, _, _, _, _])
}
