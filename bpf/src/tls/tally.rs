//! What became of a target's TLS connections, for people.
use std::collections::BTreeMap;

use super::connection::{State, Why};
use super::store::Logger;

/// Reasons told apart; a server that makes up cipher suites adds no more.
const MAX_REASONS: usize = 32;

/// Something of a connection's that is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    State(State),
    /// Its handshake has got to where it is encrypted, and no secret has come (yet).
    Waits,
    /// It is read by calls, and speaks again after a long silence: the probes may be gone.
    Speaks,
    /// Likewise, and the server went on: whatever logs its secrets has not. `began_ns`: CLOCK_MONOTONIC.
    Unlogged {
        began_ns: u64,
    },
    /// Its records verified with secrets of this logger.
    Proven(Logger),
    /// Its library's calls are read, from its beginning unless it is `late`. `was_dark`: that it is dark was told before.
    Called {
        why: Why,
        was_dark: bool,
        late: bool,
    },
}

/// Counted per connection that began while it was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// That began with a handshake.
    pub handshakes: u64,
    /// Of which application data was verified.
    pub decrypted: u64,
    /// Not read, or not any more, by why.
    pub dark: BTreeMap<String, u64>,
    /// Read by the calls of its library, by why its packets are not.
    pub called: BTreeMap<String, u64>,
    /// Of `called`: what went before the probes stood was not read.
    pub called_late: u64,
}

impl Tally {
    pub fn count(&mut self, change: Change) {
        match change {
            Change::State(State::Opening) => self.handshakes += 1,
            Change::State(State::Open) => self.decrypted += 1,
            Change::State(State::Dark(why)) => *of(&mut self.dark, why) += 1,
            Change::Waits | Change::Speaks | Change::Unlogged { .. } | Change::Proven(_) => {}
            Change::Called { why, was_dark, late } => {
                if was_dark {
                    let dark = of(&mut self.dark, why);
                    *dark = dark.saturating_sub(1);
                    self.dark.retain(|_, n| *n > 0);
                }
                *of(&mut self.called, why) += 1;
                self.called_late += u64::from(late);
            }
        }
    }
}

fn of(counts: &mut BTreeMap<String, u64>, why: Why) -> &mut u64 {
    let mut reason = why.to_string();
    if counts.len() >= MAX_REASONS && !counts.contains_key(&reason) {
        "other".clone_into(&mut reason);
    }
    counts.entry(reason).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::session::Dark;
    use crate::tls::suite::SuiteNumber;

    #[test]
    fn a_dark_connection_whose_calls_are_read_is_dark_no_more() {
        let why = Why::Session(Dark::Suite(SuiteNumber(0xc028)));
        let mut tally = Tally::default();
        for _ in 0..2 {
            tally.count(Change::State(State::Opening));
            tally.count(Change::State(State::Dark(why)));
        }
        tally.count(Change::Called { why, was_dark: true, late: true });
        let one = BTreeMap::from([("not covered: TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384".to_owned(), 1)]);
        assert_eq!((tally.handshakes, &tally.dark, &tally.called, tally.called_late), (2, &one, &one, 1));
        tally.count(Change::Called { why, was_dark: true, late: false });
        assert_eq!((tally.dark.len(), tally.called_late), (0, 1));
        tally.count(Change::Called { why: Why::SecretMissing, was_dark: false, late: false });
        assert_eq!((tally.dark.len(), tally.called.len()), (0, 2));
    }
}
