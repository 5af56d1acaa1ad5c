//! What became of a target's TLS connections, for people.
use std::collections::BTreeMap;

use super::connection::State;

/// Reasons told apart; a server that makes up cipher suites adds no more.
const MAX_REASONS: usize = 32;

/// Counted per connection that began while it was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// That began with a handshake.
    pub handshakes: u64,
    /// Of which application data was verified.
    pub decrypted: u64,
    /// Not read, or not any more, by why.
    pub dark: BTreeMap<String, u64>,
}

impl Tally {
    pub fn count(&mut self, state: State) {
        match state {
            State::Opening => self.handshakes += 1,
            State::Open => self.decrypted += 1,
            State::Dark(why) => {
                let mut reason = why.to_string();
                if self.dark.len() >= MAX_REASONS && !self.dark.contains_key(&reason) {
                    "other".clone_into(&mut reason);
                }
                *self.dark.entry(reason).or_default() += 1;
            }
        }
    }
}
