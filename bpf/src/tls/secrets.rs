//! The secrets of one connection, as a TLS library tells them for key logging (SSLKEYLOGFILE).
//! They are wiped from memory when the set goes away, and have no way to a log.
use zeroize::Zeroize;

/// SHA-384's traffic secrets and the TLS 1.2 master secret are the longest.
const MAX_SECRET_BYTES: usize = 48;

/// No `Debug`, no `Clone`: one place to wipe.
#[derive(Default)]
pub struct SecretSet {
    master: Secret,
    client_early: Secret,
    client_handshake: Secret,
    server_handshake: Secret,
    client_application: Secret,
    server_application: Secret,
}

impl SecretSet {
    /// Takes one line's secret. `false`: a label that opens no record, an impossible length, or another secret stands
    /// under this label already (the set belongs to another connection); then nothing changed.
    pub fn set(&mut self, label: &[u8], secret: &[u8]) -> bool {
        let place = match label {
            b"CLIENT_RANDOM" => &mut self.master,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => &mut self.client_early,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => &mut self.client_handshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => &mut self.server_handshake,
            b"CLIENT_TRAFFIC_SECRET_0" => &mut self.client_application,
            b"SERVER_TRAFFIC_SECRET_0" => &mut self.server_application,
            _ => return false,
        };
        let fits = if label == b"CLIENT_RANDOM" { secret.len() == 48 } else { matches!(secret.len(), 32 | 48) };
        fits && place.set(secret)
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self { master, client_early, client_handshake, server_handshake, client_application, server_application } =
            self;
        [master, client_early, client_handshake, server_handshake, client_application, server_application]
            .iter()
            .all(|secret| secret.len == 0)
    }

    /// 48 bytes.
    pub(super) fn master(&self) -> Option<&[u8]> {
        self.master.get()
    }

    pub(super) fn client_early(&self) -> Option<&[u8]> {
        self.client_early.get()
    }

    pub(super) fn client_handshake(&self) -> Option<&[u8]> {
        self.client_handshake.get()
    }

    pub(super) fn server_handshake(&self) -> Option<&[u8]> {
        self.server_handshake.get()
    }

    pub(super) fn client_application(&self) -> Option<&[u8]> {
        self.client_application.get()
    }

    pub(super) fn server_application(&self) -> Option<&[u8]> {
        self.server_application.get()
    }
}

/// Bytes that are wiped on drop. In line, so that growing never leaves a copy behind.
pub(super) struct Secret {
    bytes: [u8; MAX_SECRET_BYTES],
    len: usize,
}

impl Default for Secret {
    fn default() -> Self {
        Self { bytes: [0; MAX_SECRET_BYTES], len: 0 }
    }
}

impl Secret {
    /// `len` zero bytes to be filled in, 48 at most.
    pub(super) fn zero(len: usize) -> Self {
        Self { bytes: [0; MAX_SECRET_BYTES], len: len.min(MAX_SECRET_BYTES) }
    }

    pub(super) fn of(secret: &[u8]) -> Option<Self> {
        let mut new = Self::default();
        new.bytes.get_mut(..secret.len())?.copy_from_slice(secret);
        new.len = secret.len();
        Some(new)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    fn get(&self) -> Option<&[u8]> {
        (self.len > 0).then(|| self.as_slice())
    }

    fn set(&mut self, secret: &[u8]) -> bool {
        if self.len > 0 {
            return self.as_slice() == secret;
        }
        let Some(place) = self.bytes.get_mut(..secret.len()) else { return false };
        place.copy_from_slice(secret);
        self.len = secret.len();
        true
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_open_no_record_and_impossible_lengths_are_refused() {
        let mut set = SecretSet::default();
        for (label, len, taken) in [
            (&b"EXPORTER_SECRET"[..], 32, false),
            (b"EARLY_EXPORTER_SECRET", 32, false),
            (b"CLIENT_RANDOM", 32, false),
            (b"CLIENT_RANDOM", 48, true),
            (b"CLIENT_TRAFFIC_SECRET_0", 47, false),
            (b"CLIENT_TRAFFIC_SECRET_0", 0, false),
            (b"CLIENT_TRAFFIC_SECRET_0", 64, false),
            (b"CLIENT_TRAFFIC_SECRET_0", 32, true),
            (b"SERVER_TRAFFIC_SECRET_0", 48, true),
        ] {
            assert_eq!(set.set(label, &vec![1; len]), taken, "{} of {len}", String::from_utf8_lossy(label));
        }
    }

    #[test]
    fn a_secret_may_be_told_twice_and_never_replaced() {
        let mut set = SecretSet::default();
        assert!(set.set(b"SERVER_TRAFFIC_SECRET_0", &[1; 32]));
        assert!(set.set(b"SERVER_TRAFFIC_SECRET_0", &[1; 32]));
        assert!(!set.set(b"SERVER_TRAFFIC_SECRET_0", &[2; 32]));
        assert_eq!(set.server_application(), Some(&[1; 32][..]));
    }
}
