//! What clients make all connections hold together is bounded, and those of other targets lose nothing by it.
use proptest::prelude::*;

use crate::flows::Flows;
use crate::ledger::{Drop, Ledger};
use crate::record::{self, Record};
use crate::room_tests::{limits, record};
use crate::wire::Exchange;

const MAX_BYTES: usize = 1 << 20;
const BODY: usize = 60_000;
const GREEDY: u64 = 1;
const QUIET: u64 = 2;

/// All connections, and what came of them.
struct Node {
    flows: Flows,
    ledger: Ledger,
    told: Vec<(u64, Exchange)>,
}

impl Node {
    fn new() -> Self {
        let flows = Flows::new(4096, limits()).with_max_bytes(MAX_BYTES);
        Self { flows, ledger: Ledger::default(), told: Vec::new() }
    }

    fn push(&mut self, flow_id: u64, target: u64, flags: u16, (seq, ack): (u32, u32), payload: &[u8]) {
        let record = Record { target, ..record(flow_id, flags, seq, ack, payload) };
        self.ledger.drained += payload.len() as u64;
        self.flows.push(&record, &mut self.ledger, &mut |target, exchange| self.told.push((target, exchange)));
    }

    fn close(mut self) -> (Vec<(u64, Exchange)>, Ledger) {
        self.flows.close(&mut self.ledger, &mut |target, exchange| self.told.push((target, exchange)));
        assert_eq!(self.flows.memory(), 0, "all that was counted is given back");
        assert_eq!(self.ledger.captured, self.told.len() as u64 + self.ledger.dropped_total());
        assert_eq!(self.ledger.drained, self.ledger.parsed + self.ledger.discarded_total());
        (self.told, self.ledger)
    }
}

/// What makes the agent hold much for little; each says how its connection begins.
#[derive(Clone, Copy, Debug)]
enum Greed {
    UnfinishedBody,
    ManyRequests,
    /// The first byte is missing.
    OutOfOrder,
    UnfinishedHead,
    Tls,
}

fn greedy(greed: Greed) -> (u32, Vec<u8>) {
    let upload = |length: usize| {
        let mut bytes = b"POST /greedy HTTP/1.1\r\nContent-Length: 70000\r\n\r\n".to_vec();
        bytes.resize(bytes.len() + length, b'x');
        bytes
    };
    match greed {
        Greed::UnfinishedBody => (1, upload(BODY)),
        Greed::ManyRequests => (1, b"GET / HTTP/1.1\r\n\r\n".repeat(900)),
        Greed::OutOfOrder => (2, upload(BODY)),
        Greed::UnfinishedHead => (1, [&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 50_000]].concat()),
        Greed::Tls => (1, [&[22, 3, 1, 0x40, 0][..], &[1; 16_000]].concat()),
    }
}

fn greed() -> impl Strategy<Value = Greed> {
    use Greed::{ManyRequests, OutOfOrder, Tls, UnfinishedBody, UnfinishedHead};
    prop::sample::select(vec![UnfinishedBody, ManyRequests, OutOfOrder, UnfinishedHead, Tls])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_all_connections_hold_is_bounded_and_costs_the_greedy_only(
        greeds in prop::collection::vec(greed(), 20..120), quiet_at in any::<prop::sample::Index>(),
    ) {
        let mut node = Node::new();
        let request = format!("POST /quiet HTTP/1.1\r\nContent-Length: {BODY}\r\n\r\n");
        let quiet = [request.as_bytes(), &vec![b'q'; BODY]].concat();
        let quiet_at = quiet_at.index(greeds.len());
        for (id, greed) in (10..).zip(&greeds) {
            if id - 10 == quiet_at as u64 {
                node.push(9, QUIET, 0, (1, 1), &quiet[..BODY / 2]);
            }
            let (seq, payload) = greedy(*greed);
            node.push(id, GREEDY, 0, (seq, 1), &payload);
            prop_assert!(node.flows.memory() <= MAX_BYTES, "{}", node.flows.memory());
        }
        node.push(9, QUIET, 0, (1 + BODY as u32 / 2, 1), &quiet[BODY / 2..]);
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
        node.push(9, QUIET, record::OUT | record::HEAD, (1, 1 + quiet.len() as u32), answer);
        let (told, ledger) = node.close();
        let of_quiet: Vec<_> = told.iter().filter(|(target, _)| *target == QUIET).collect();
        prop_assert_eq!(of_quiet.len(), 1, "{:?}", ledger.dropped());
        let request = of_quiet[0].1.request.as_ref().unwrap();
        prop_assert_eq!((request.body.len(), request.body_truncated), (BODY, false));
    }
}

#[test]
fn bodies_make_room_first_and_then_those_that_hold_most() {
    for (greed, stripped, dropped) in [(Greed::UnfinishedBody, true, false), (Greed::ManyRequests, false, true)] {
        let mut node = Node::new();
        node.push(1000, GREEDY, 0, (1, 1), b"GET /small HTTP/1.1\r\n\r\n");
        for id in 0..100 {
            let (seq, payload) = greedy(greed);
            node.push(id, GREEDY, 0, (seq, 1), &payload);
        }
        let has_dropped = node.ledger.dropped_for(Drop::ConnectionsFull) > 0;
        assert_eq!((node.ledger.bodies_stripped > 0, has_dropped), (stripped, dropped), "{greed:?}");
        assert_eq!((0..100).all(|id| node.flows.knows(id)), !dropped, "{greed:?}");
        assert!(node.flows.knows(1000), "{greed:?}");
        node.close();
    }
}
