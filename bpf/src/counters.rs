//! The kernel's counters, `enum counter` of kernel/record.h and `enum call_count` of kernel/call.h, by name.
use std::collections::BTreeMap;

pub const COUNTERS: usize = 24;
pub const CALL_COUNTS: usize = 16;

const SEEN: usize = 0;
const COPIED: usize = 1;
const ELIDED: [(usize, &str); 9] = [
    (2, "response_body"),
    (3, "request_body"),
    (4, "client_side"),
    (5, "not_http"),
    (6, "retransmission"),
    (7, "tunnel"),
    (8, "joined_late"),
    (9, "released"),
    (10, "by_calls"),
];
const LOST: [(usize, &str); 6] =
    [(11, "ring_full"), (12, "load"), (13, "too_large"), (14, "flow_map"), (15, "out_of_place"), (16, "unframed")];

const CALL_ELIDED: [(usize, &str); 3] = [(2, "call_cut"), (3, "call_elsewhere"), (4, "call_ignored")];
const CALL_LOST: [(usize, &str); 3] = [(5, "call_unbound"), (6, "call_ring_full"), (7, "call_unread")];

/// One reading, summed over the processors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of packets.
    pub packets: [u64; COUNTERS],
    /// Bytes of plaintext that TLS libraries read and wrote, where that is how a connection is read.
    pub calls: [u64; CALL_COUNTS],
}

impl Counters {
    pub fn seen(&self) -> u64 {
        self.packets[SEEN] + self.calls[SEEN]
    }

    pub fn copied(&self) -> u64 {
        self.packets[COPIED] + self.calls[COPIED]
    }

    pub fn elided(&self) -> BTreeMap<String, u64> {
        let mut all = named(&self.packets, &ELIDED);
        all.extend(named(&self.calls, &CALL_ELIDED));
        all
    }

    pub fn lost(&self) -> BTreeMap<String, u64> {
        let mut all = named(&self.packets, &LOST);
        all.extend(named(&self.calls, &CALL_LOST));
        all
    }

    /// Copied, elided and lost bytes: what became of the seen ones.
    pub fn accounted(&self) -> u64 {
        let packets = &self.packets[COPIED..=LOST[LOST.len() - 1].0];
        let calls = &self.calls[COPIED..=CALL_LOST[CALL_LOST.len() - 1].0];
        packets.iter().chain(calls).sum()
    }
}

fn named(counts: &[u64], names: &[(usize, &str)]) -> BTreeMap<String, u64> {
    names.iter().filter(|(i, _)| counts[*i] > 0).map(|(i, name)| ((*name).to_owned(), counts[*i])).collect()
}
