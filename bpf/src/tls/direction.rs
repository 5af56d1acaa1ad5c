//! One direction of a connection: which key is in force, which record comes next, and what may be missing before it.
use super::keys::{HEADER_BYTES, Key, Traffic};
use super::messages::Messages;
use super::opened::Dark;

/// Keys that may come into force within one hole: EndOfEarlyData and Finished, two KeyUpdates.
pub const FOLLOWING: usize = 2;

/// AEAD passes that one call of `search` may cost, 64 in all. A pass over 1 KiB takes about 0.25 µs, over 16 KiB about 5 µs.
const MAX_TRIES: u64 = 64;
const MAX_TRIES_OF_FOLLOWING: u64 = 20;
const MAX_TRIES_OF_CURRENT: u64 = MAX_TRIES - FOLLOWING as u64 * MAX_TRIES_OF_FOLLOWING;

/// What protects a direction's records. TLS 1.2 goes from `Plain` to `Application`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Epoch {
    Plain,
    Early,
    Handshake,
    Application,
}

/// Records that were not seen since the last one that verified.
#[derive(Default)]
pub struct Hole {
    /// So many went by.
    passed: u64,
    /// And at most so many more.
    lost: u64,
    /// The window of tries moves on as records are given up.
    turn: u64,
    /// All that went by was under the present key.
    under_present_key: bool,
    /// The present window was tried in vain. Not a fact of the connection: it only chooses where to look next.
    failed: bool,
}

impl Hole {
    /// Exactly so many went by, all under the present key.
    pub fn exactly(passed: u64) -> Self {
        Self { passed, under_present_key: true, ..Self::default() }
    }

    pub fn is_open(&self) -> bool {
        self.passed > 0 || self.lost > 0
    }

    /// Of all that is missing only the most is known.
    pub fn blur(&mut self) {
        self.lost = self.lost.saturating_add(std::mem::take(&mut self.passed));
    }

    pub fn widen(&mut self, passed: u64, lost: u64) {
        self.passed = self.passed.saturating_add(passed);
        self.lost = self.lost.saturating_add(lost);
        if std::mem::take(&mut self.failed) {
            self.turn = self.turn.wrapping_add(1);
        }
    }

    /// One more record may be missing, but no more than `most` are allowed for.
    pub fn widen_up_to(&mut self, most: u64) {
        self.lost = self.lost.max(self.lost.saturating_add(1).min(most));
    }
}

/// Where a record verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// 0: under the present key. 1, 2: under one that follows.
    pub step: usize,
    pub seq: u64,
}

pub struct Direction {
    pub epoch: Epoch,
    /// The epoch's key, from its first record that verified on.
    pub traffic: Option<Box<Traffic>>,
    pub messages: Messages,
    pub hole: Hole,
    /// Handshake records may be missing: nobody knows where messages begin, nor whether one of them changed the key.
    pub adrift: bool,
    /// close_notify was verified.
    pub closed: bool,
    /// A record was padded, as only TLS 1.3 can.
    pub padded: bool,
    /// Why this direction alone cannot be read on.
    pub dark: Option<Dark>,
    seq: u64,
    /// The last explicit nonce of TLS 1.2 and the sequence number it came with.
    last_nonce: Option<(u64, u64)>,
}

impl Direction {
    pub fn new() -> Self {
        Self {
            epoch: Epoch::Plain,
            traffic: None,
            messages: Messages::default(),
            hole: Hole::default(),
            adrift: false,
            closed: false,
            padded: false,
            dark: None,
            seq: 0,
            last_nonce: None,
        }
    }

    /// The number of the next record under the present key.
    pub fn due(&self) -> u64 {
        self.seq
    }

    /// The key may have changed unseen.
    pub fn may_have_changed_key(&self) -> bool {
        self.adrift || (self.hole.is_open() && !self.hole.under_present_key)
    }

    /// Looks where `record` verifies: under the first of `keys` at the sequence number due, or, with a hole, at those that
    /// it allows, nearest first; and under the keys that messages in the hole may have brought into force.
    /// One AEAD pass without a hole, at most 64 with one. Changes nothing but where the next search begins.
    pub fn search(&mut self, record: &[u8], keys: [Option<&Key>; 1 + FOLLOWING], plain: &mut Vec<u8>) -> Option<Found> {
        let found = self.candidates(record, keys.map(|key| key.is_some())).find(|found| {
            let key = keys.get(found.step).copied().flatten();
            key.is_some_and(|key| key.open(found.seq, record, plain))
        });
        self.hole.failed |= found.is_none() && self.hole.is_open();
        found
    }

    fn candidates(&self, record: &[u8], keys: [bool; 1 + FOLLOWING]) -> impl Iterator<Item = Found> + use<> {
        let Hole { passed, lost, turn, .. } = self.hole;
        let [current, following @ ..] = keys;
        let is_alone = following.iter().all(|is_there| !is_there);

        let due = self.seq.saturating_add(passed);
        let places = lost.saturating_add(1);
        let tries = places.min(if is_alone { MAX_TRIES } else { MAX_TRIES_OF_CURRENT });
        let tries = if current { tries } else { 0 };
        // Counted from the hole's near end, so that a place keeps its number while records are given up one by one.
        let after = move |n: u64| turn.wrapping_mul(tries).wrapping_add(n) % places;
        let under_current = (0..tries).map(move |n| Found { step: 0, seq: due.saturating_add(after(n)) });

        // The key changed behind one of the records missing: the first after it was number 0.
        let places = passed.saturating_add(lost).saturating_add(1);
        let tries = places.min(MAX_TRIES_OF_FOLLOWING);
        let before = move |n: u64| places - 1 - turn.wrapping_mul(tries).wrapping_add(n) % places;
        let steps = (1..).zip(following).filter(|(_, is_there)| *is_there);
        let under_following = steps.flat_map(move |(step, _)| (0..tries).map(move |n| Found { step, seq: before(n) }));

        self.guess(record).filter(|_| current && lost > 0).into_iter().chain(under_current).chain(under_following)
    }

    /// Most stacks count the explicit nonce of TLS 1.2 up by one each record, so it tells how many are missing. Only a
    /// guess: the tag decides.
    fn guess(&self, record: &[u8]) -> Option<Found> {
        let (nonce, seq) = self.last_nonce?;
        let ahead = explicit_nonce(record)?.wrapping_sub(nonce);
        let least = self.hole.passed.saturating_add(1);
        let most = least.saturating_add(self.hole.lost);
        // Never the last one again, nor one of those that are known to have gone by.
        (least..=most).contains(&ahead).then(|| Found { step: 0, seq: seq.saturating_add(ahead) })
    }

    /// A record verified at `found`: the hole is over. `has_explicit_nonce`: GCM of TLS 1.2.
    pub fn accept(&mut self, found: Found, record: &[u8], has_explicit_nonce: bool) {
        if self.hole.is_open() {
            self.messages.reset();
            self.adrift = true;
        }
        if found.seq == 0 {
            // The first under its key: messages do not span a change of keys (RFC 8446 section 5.1).
            self.messages.reset();
            self.adrift = false;
        }
        self.hole = Hole::default();
        self.seq = found.seq.saturating_add(1);
        self.last_nonce = explicit_nonce(record).filter(|_| has_explicit_nonce).map(|nonce| (nonce, found.seq));
    }

    /// The next record is the first of this epoch.
    pub fn enter(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.change_key(None);
    }

    /// The next record is number 0 under this key.
    pub fn change_key(&mut self, traffic: Option<Box<Traffic>>) {
        self.traffic = traffic;
        self.seq = 0;
        self.last_nonce = None;
    }
}

fn explicit_nonce(record: &[u8]) -> Option<u64> {
    let bytes = record.get(HEADER_BYTES..HEADER_BYTES + 8)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}
