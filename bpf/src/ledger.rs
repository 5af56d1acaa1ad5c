//! The account: every captured byte and exchange ends in exactly one column.
//!
//! `captured = delivered + Σ dropped + in flight` for exchanges, and
//! `copied = parsed + Σ discarded + held` for the bytes that the kernel copied.
use std::collections::BTreeMap;

/// Why a recognised request did not become a delivered exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Drop {
    /// Bytes of it were lost and its message boundaries with them.
    Gap,
    /// Its response could not be told from others by acknowledgement.
    Unpaired,
    /// The connection ended before a response began.
    NoResponse,
    /// The connection ended within the request's head.
    Incomplete,
    /// Not HTTP/1 by RFC 9112.
    Malformed,
    /// Two readings of its length are possible (RFC 9112 section 6.3).
    AmbiguousLength,
    /// Head or trailers over 64 KiB.
    HeadTooLarge,
    /// More than 1024 requests outstanding on one connection.
    TooManyPending,
    /// The connection table was full and this one idle longest, or it ended and waited longest for its library's calls.
    FlowEvicted,
    /// All connections together held too much, and this one more than most.
    ConnectionsFull,
    /// No packet for an hour.
    IdleTimeout,
    /// Its target was released.
    Released,
    /// Nobody said in time which container it is of.
    Unattributed,
    /// Of a container that was excluded when it was known which one it is.
    Excluded,
    /// The outgoing queue was full.
    QueueFull,
    /// The agent ended.
    Shutdown,
}

/// Why copied bytes are not part of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Discard {
    /// Sent again.
    Retransmission,
    /// Far outside of what the receiver could take: forged, or of a former connection.
    OutOfWindow,
    /// More was missing in front of it than a connection may hold.
    ReassemblyFull,
    /// Behind a gap, until the next message boundary.
    Unsynchronised,
    /// The connection is not read any more: not HTTP, a tunnel, malformed.
    Ignored,
    /// Of a connection that ended or was evicted.
    FlowClosed,
    /// All connections together held too much, and this one more than most.
    ConnectionsFull,
    /// Of a target that was released.
    Released,
    /// The record did not parse: a bug.
    BadRecord,
    /// The connection began with a letter, and it was not HTTP.
    NotHttp,
    /// Of a TLS connection without secrets, or part of no record that verified.
    Undecrypted,
    /// What a TLS library read or wrote of a connection that is read by its packets.
    ByPackets,
}

const DROPS: [(Drop, &str); 16] = [
    (Drop::Gap, "gap"),
    (Drop::Unpaired, "unpaired"),
    (Drop::NoResponse, "no_response"),
    (Drop::Incomplete, "incomplete"),
    (Drop::Malformed, "malformed"),
    (Drop::AmbiguousLength, "ambiguous_length"),
    (Drop::HeadTooLarge, "head_too_large"),
    (Drop::TooManyPending, "too_many_pending"),
    (Drop::FlowEvicted, "flow_evicted"),
    (Drop::ConnectionsFull, "connections_full"),
    (Drop::IdleTimeout, "idle_timeout"),
    (Drop::Released, "released"),
    (Drop::Unattributed, "unattributed"),
    (Drop::Excluded, "excluded"),
    (Drop::QueueFull, "queue_full"),
    (Drop::Shutdown, "shutdown"),
];

const DISCARDS: [(Discard, &str); 12] = [
    (Discard::Retransmission, "retransmission"),
    (Discard::OutOfWindow, "out_of_window"),
    (Discard::ReassemblyFull, "reassembly_full"),
    (Discard::Unsynchronised, "unsynchronised"),
    (Discard::Ignored, "ignored"),
    (Discard::FlowClosed, "flow_closed"),
    (Discard::ConnectionsFull, "connections_full"),
    (Discard::Released, "released"),
    (Discard::BadRecord, "bad_record"),
    (Discard::NotHttp, "not_http"),
    (Discard::Undecrypted, "undecrypted"),
    (Discard::ByPackets, "by_packets"),
];

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Requests whose first byte was recognised.
    pub captured: u64,
    pub delivered: u64,
    dropped: [u64; DROPS.len()],
    /// Reasons that the agent gives when it settles a batch.
    settled: BTreeMap<String, u64>,
    /// Payload bytes taken from the ring.
    pub drained: u64,
    pub parsed: u64,
    discarded: [u64; DISCARDS.len()],
    /// Bodies that were taken out of queued exchanges, or of requests that wait for their answers, to make room; the exchanges
    /// stay.
    pub bodies_stripped: u64,
}

impl Ledger {
    pub fn drop_exchange(&mut self, why: Drop) {
        self.drop_exchanges(why, 1);
    }

    pub fn drop_exchanges(&mut self, why: Drop, n: u64) {
        self.dropped[why as usize] += n;
    }

    pub fn drop_settled(&mut self, why: &str, n: u64) {
        match DROPS.iter().find(|(_, name)| *name == why) {
            Some((drop, _)) => self.drop_exchanges(*drop, n),
            None => *self.settled.entry(why.to_owned()).or_default() += n,
        }
    }

    pub fn discard(&mut self, why: Discard, bytes: usize) {
        self.discarded[why as usize] += bytes as u64;
    }

    pub fn parse(&mut self, bytes: usize) {
        self.parsed += bytes as u64;
    }

    /// Dropped exchanges by reason, only those that happened.
    pub fn dropped(&self) -> BTreeMap<String, u64> {
        let mut all = named(&DROPS.map(|(_, name)| name), &self.dropped);
        all.extend(self.settled.clone());
        all
    }

    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum::<u64>() + self.settled.values().sum::<u64>()
    }

    #[cfg(test)]
    pub fn dropped_for(&self, why: Drop) -> u64 {
        self.dropped[why as usize]
    }

    pub fn discarded(&self) -> BTreeMap<String, u64> {
        named(&DISCARDS.map(|(_, name)| name), &self.discarded)
    }

    pub fn discarded_total(&self) -> u64 {
        self.discarded.iter().sum()
    }
}

fn named(names: &[&str], values: &[u64]) -> BTreeMap<String, u64> {
    names.iter().zip(values).filter(|(_, n)| **n > 0).map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_the_place_of_their_reason() {
        for (i, (why, _)) in DROPS.iter().enumerate() {
            assert_eq!(*why as usize, i);
        }
        for (i, (why, _)) in DISCARDS.iter().enumerate() {
            assert_eq!(*why as usize, i);
        }
    }

    #[test]
    fn a_reason_the_agent_gives_is_booked_under_its_own_name() {
        let mut ledger = Ledger::default();
        ledger.drop_settled("rejected", 3);
        ledger.drop_settled("shutdown", 2);
        assert_eq!(ledger.dropped_total(), 5);
        assert_eq!(ledger.dropped_for(Drop::Shutdown), 2);
        assert_eq!(ledger.dropped().get("rejected"), Some(&3));
    }
}
