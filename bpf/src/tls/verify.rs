//! Where a record verifies, and with which key: the only way by which a session gets on behind the hellos.
use super::direction::Epoch;
use super::keys::{HEADER_BYTES, Key, Traffic};
use super::opened::Side;
use super::record::MAX_PLAINTEXT_BYTES;
use super::secrets::SecretSet;
use super::session::{EarlyData, Session};
use super::suite::Version;

/// RFC 8446 section 5.2, RFC 5246 section 6.2.3.
const MAX_EXPANSION_TLS13: usize = 256;
const MAX_EXPANSION_TLS12: usize = 2048;

pub(super) enum Verified {
    Here,
    /// Not under the keys there are; one is missing.
    SecretMissing,
    Nowhere,
}

pub(super) enum Derived {
    Ready(Box<Traffic>),
    Missing,
    /// There is none, or none that fits.
    Unusable,
}

impl Derived {
    pub(super) fn traffic(&self) -> Option<&Traffic> {
        match self {
            Self::Ready(traffic) => Some(traffic),
            _ => None,
        }
    }

    pub(super) fn into_traffic(self) -> Option<Box<Traffic>> {
        match self {
            Self::Ready(traffic) => Some(traffic),
            _ => None,
        }
    }
}

impl Session {
    /// Verifies `record` where it may stand, and moves the direction there. Without a tag that verifies nothing moves.
    pub(super) fn verify(
        &mut self,
        side: Side,
        record: &[u8],
        secrets: Option<&SecretSet>,
        plain: &mut Vec<u8>,
    ) -> Verified {
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
            (true, Epoch::Handshake) => {
                let application = self.derive(side, Epoch::Application, secrets);
                let updated = application.traffic().and_then(Traffic::next_generation);
                [application, updated.map_or(Derived::Unusable, Derived::Ready)]
            }
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
        Verified::Here
    }

    pub(super) fn derive(&self, side: Side, epoch: Epoch, secrets: Option<&SecretSet>) -> Derived {
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
}
