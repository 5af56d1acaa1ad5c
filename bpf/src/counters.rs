//! The kernel's counters, `enum counter` of kernel/record.h, by name.
use std::collections::BTreeMap;

pub const COUNTERS: usize = 24;

const SEEN: usize = 0;
const COPIED: usize = 1;
const ELIDED: [(usize, &str); 8] = [
    (2, "response_body"),
    (3, "request_body"),
    (4, "client_side"),
    (5, "not_http"),
    (6, "retransmission"),
    (7, "tunnel"),
    (8, "joined_late"),
    (9, "released"),
];
const LOST: [(usize, &str); 6] =
    [(10, "ring_full"), (11, "load"), (12, "too_large"), (13, "flow_map"), (14, "out_of_place"), (15, "unframed")];

/// One reading, summed over the processors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(pub [u64; COUNTERS]);

impl Counters {
    pub fn seen(&self) -> u64 {
        self.0[SEEN]
    }

    pub fn copied(&self) -> u64 {
        self.0[COPIED]
    }

    pub fn elided(&self) -> BTreeMap<String, u64> {
        self.named(&ELIDED)
    }

    pub fn lost(&self) -> BTreeMap<String, u64> {
        self.named(&LOST)
    }

    /// Copied, elided and lost bytes: what became of the seen ones.
    pub fn accounted(&self) -> u64 {
        self.0[COPIED..=LOST[LOST.len() - 1].0].iter().sum()
    }

    fn named(&self, names: &[(usize, &str)]) -> BTreeMap<String, u64> {
        names.iter().filter(|(i, _)| self.0[*i] > 0).map(|(i, name)| ((*name).to_owned(), self.0[*i])).collect()
    }
}
