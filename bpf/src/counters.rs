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

const INCIDENTS: [(usize, &str); 2] = [(17, "lost_ends"), (18, "unreadable_packets")];

const CALL_ELIDED: [(usize, &str); 3] = [(2, "call_cut"), (3, "call_elsewhere"), (4, "call_ignored")];
const CALL_LOST: [(usize, &str); 3] = [(5, "call_unbound"), (6, "call_ring_full"), (7, "call_unread")];
const CALL_INCIDENTS: [(usize, &str); 1] = [(8, "lost_calls")];

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

    /// What may have lost something, and is no number of bytes.
    pub fn incidents(&self) -> BTreeMap<String, u64> {
        let mut all = named(&self.packets, &INCIDENTS);
        all.extend(named(&self.calls, &CALL_INCIDENTS));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_of_what_is_lost_has_a_name_and_those_that_are_no_bytes_are_in_no_sum() {
        let header = |text: &'static str, first: &str, end: &str| {
            let body = text.split_once(first).unwrap().1;
            let body = format!("{first}{}", body.split_once(end).unwrap().0);
            let names = body.lines().filter_map(|line| Some(line.trim().split_once(',')?.0.to_owned()));
            names.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect::<Vec<_>>()
        };
        let packets = header(include_str!("../kernel/record.h"), "N_SEEN", "N_COUNTERS");
        let calls = header(include_str!("../kernel/call.h"), "CC_CALLED", "CC_COUNTS");
        let mut counters = Counters::default();
        for (i, name) in packets.iter().enumerate() {
            counters.packets[i] = u64::from(name.starts_with("N_L_") || name == "N_UNREADABLE");
        }
        for (i, name) in calls.iter().enumerate() {
            counters.calls[i] = u64::from(name.starts_with("CC_L_"));
        }
        let (lost, incidents) = (counters.lost(), counters.incidents());
        let set: u64 = counters.packets.iter().chain(&counters.calls).sum();
        assert_eq!(lost.len() as u64 + incidents.len() as u64, set, "{lost:?} {incidents:?}");
        assert_eq!(incidents.keys().collect::<Vec<_>>(), ["lost_calls", "lost_ends", "unreadable_packets"]);
        assert_eq!(counters.accounted(), lost.len() as u64);
    }
}
