//! Calls in and exchanges out, without a kernel.
use proptest::prelude::*;

use super::{Call, CallKind};
use crate::flow::{Limits, default_response_headers};
use crate::flows::Flows;
use crate::ledger::Ledger;
use crate::record::Tuple;
use crate::wire;

const FLOW: u64 = 7;
const TUPLE: Tuple = Tuple { remote: [1; 16], local: [2; 16], remote_port: 40000, local_port: 443, family: 6 };

/// One connection's calls.
struct Wire {
    flows: Flows,
    ledger: Ledger,
    exchanges: Vec<wire::Exchange>,
    binding: u64,
    sequence: u32,
    now: u64,
    ignored: bool,
    /// Of the next call, if none is missing.
    next: Option<(u64, u32)>,
    /// From this call on some were missing before it.
    missing_from: Option<u64>,
}

impl Wire {
    fn new() -> Self {
        let limits =
            Limits { max_flow_bytes: 1 << 18, max_body_bytes: 1 << 10, response_headers: default_response_headers() };
        Self {
            flows: Flows::new(8, limits),
            ledger: Ledger::default(),
            exchanges: Vec::new(),
            binding: 1,
            sequence: 0,
            now: 0,
            ignored: false,
            next: None,
            missing_from: None,
        }
    }

    fn call(&mut self, kind: CallKind, length: u64, payload: &[u8]) {
        self.now += 1;
        let (binding, sequence) = (self.binding, self.sequence);
        if self.next.replace((binding, sequence + 1)).is_some_and(|next| next != (binding, sequence)) {
            self.missing_from.get_or_insert(self.now);
        }
        self.sequence += 1;
        self.ledger.drained += payload.len() as u64;
        let call = Call {
            flow_id: FLOW,
            target: 3,
            ktime_ns: self.now,
            binding,
            tuple: TUPLE,
            kind,
            of_packets: false,
            sequence,
            length,
            payload,
        };
        let out = &mut self.exchanges;
        self.ignored |=
            self.flows.call(&call, 0, &mut self.ledger, &mut |_, exchange: wire::Exchange| out.push(exchange)).ignore;
    }

    fn read(&mut self, bytes: &str) -> &mut Self {
        self.call(CallKind::Read, bytes.len() as u64, bytes.as_bytes());
        self
    }

    fn write(&mut self, bytes: &str) -> &mut Self {
        self.call(CallKind::Write, bytes.len() as u64, bytes.as_bytes());
        self
    }

    /// Of which only the first bytes are copied.
    fn write_cut(&mut self, bytes: &str, kept: usize) -> &mut Self {
        self.call(CallKind::Write, bytes.len() as u64, &bytes.as_bytes()[..kept]);
        self
    }

    /// A call that nobody sees.
    fn lose(&mut self) -> &mut Self {
        self.sequence += 1;
        self
    }

    fn end(&mut self) {
        self.call(CallKind::End, 0, b"");
    }

    fn closes(&self) -> bool {
        let ledger = &self.ledger;
        ledger.captured == ledger.dropped_total() + self.exchanges.len() as u64 + self.flows.in_flight()
            && ledger.drained == ledger.parsed + ledger.discarded_total() + self.flows.held_bytes()
    }

    /// "/a 200": target and status.
    fn told(&self) -> Vec<String> {
        assert!(self.closes(), "{:?}", self.ledger);
        self.exchanges
            .iter()
            .map(|exchange| {
                let (request, response) = (exchange.request.as_ref().unwrap(), exchange.response.as_ref().unwrap());
                assert!(exchange.joined_late);
                assert_eq!(exchange.connection.as_ref().unwrap().tls.as_ref().unwrap().bound_by, "call");
                let start_ns = exchange.timing.as_ref().unwrap().request_start_ns;
                let is_sure = self.missing_from.is_none_or(|missing_from| start_ns < missing_from);
                let pairing = if is_sure { wire::Pairing::Call } else { wire::Pairing::Acknowledgement };
                assert_eq!(exchange.pairing(), pairing);
                format!("{} {}", String::from_utf8_lossy(&request.target), response.status)
            })
            .collect()
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n")
}

fn answer(status: u32, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn requests_and_answers_follow_each_other() {
    let mut wire = Wire::new();
    wire.read(&get("/a")).write(&answer(200, "abc")).read(&get("/b")).write(&answer(404, ""));
    assert_eq!(wire.told(), ["/a 200", "/b 404"]);
}

#[test]
fn what_was_under_way_when_the_first_call_is_seen_is_passed_by() {
    let mut wire = Wire::new();
    wire.read("rest of a body").write(&answer(201, "x")).read(&get("/a")).write(&answer(200, ""));
    assert_eq!(wire.told(), ["/a 200"]);
    let mut wire = Wire::new();
    wire.write("rest of an answer").read(&get("/a")).write(&answer(200, ""));
    assert_eq!(wire.told(), ["/a 200"]);
}

#[test]
fn messages_may_come_in_any_pieces() {
    let mut wire = Wire::new();
    wire.read("POST /a HTTP/1.1\r\nconte").read("nt-length: 6\r\n\r\nab").read("cdef");
    wire.write("HTTP/1.1 2").write("00 X\r\ncontent-length: 4\r\n\r\na").write("bcd");
    wire.read(&get("/b")).write(&answer(204, ""));
    assert_eq!(wire.told(), ["/a 200", "/b 204"]);
    assert_eq!(wire.exchanges[0].request.as_ref().unwrap().body.as_ref(), b"abcdef");
}

#[test]
fn a_body_is_not_needed_to_find_the_next_answer() {
    let mut wire = Wire::new();
    let long = answer(200, &"x".repeat(9000));
    wire.read(&get("/a")).write_cut(&long, 4096).read(&get("/b")).write(&answer(404, ""));
    let chunked =
        format!("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n2328\r\n{}\r\n0\r\n\r\n", "x".repeat(9000));
    wire.read(&get("/c")).write_cut(&chunked, 4096).read(&get("/d")).write(&answer(403, ""));
    assert_eq!(wire.told(), ["/a 200", "/b 404", "/c 200", "/d 403"]);
}

#[test]
fn an_interim_answer_is_none() {
    let mut wire = Wire::new();
    wire.read("POST /a HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    wire.write("HTTP/1.1 100 Continue\r\n\r\n").read("ab").write(&answer(201, ""));
    assert_eq!(wire.told(), ["/a 201"]);
}

#[test]
fn a_lost_call_leaves_no_wrong_pair() {
    let mut wire = Wire::new();
    wire.read(&get("/a")).write(&answer(200, ""));
    // Its answer, and the request after it.
    wire.read(&get("/b")).lose().lose().write(&answer(201, ""));
    wire.read(&get("/d")).write(&answer(202, ""));
    assert_eq!(wire.told(), ["/a 200", "/d 202"]);
    // Part of a body.
    wire.read("POST /e HTTP/1.1\r\ncontent-length: 6\r\n\r\nab").lose().read("ef").write(&answer(203, ""));
    wire.read(&get("/f")).write(&answer(204, ""));
    assert_eq!(wire.told(), ["/a 200", "/d 202", "/f 204"]);
}

#[test]
fn a_handle_that_is_bound_anew_continues_nothing() {
    let mut wire = Wire::new();
    wire.read(&get("/a"));
    (wire.binding, wire.sequence) = (2, 0);
    wire.write(&answer(200, "")).read(&get("/b")).write(&answer(201, ""));
    assert_eq!(wire.told(), ["/b 201"]);
    wire.read(&get("/c")).end();
    assert_eq!(wire.told(), ["/b 201"]);
    assert_eq!(wire.flows.in_flight(), 0);
}

#[test]
fn a_client_that_does_not_wait_silences_its_connection() {
    for pieces in [vec![get("/a") + &get("/b")], vec![get("/a"), get("/b")], vec![get("/a") + "GET /b"]] {
        let mut wire = Wire::new();
        wire.read(&get("/0")).write(&answer(200, ""));
        for piece in &pieces {
            wire.read(piece);
        }
        wire.write(&answer(201, "")).write(&answer(202, "")).read(&get("/c")).write(&answer(203, ""));
        assert_eq!(wire.told(), ["/0 200"], "{pieces:?}");
        assert!(wire.ignored);
    }
}

#[test]
fn a_request_within_an_answer_or_an_answer_to_nobody_silences_too() {
    let mut wire = Wire::new();
    wire.read(&get("/a")).write("HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nabc").read(&get("/b"));
    wire.write("HTTP/1.1 404 X\r\n").write(&answer(201, ""));
    assert_eq!(wire.told(), ["/a 200"]);
    assert!(wire.ignored);
    let mut wire = Wire::new();
    wire.read(&get("/a")).write(&answer(200, "")).write(&answer(201, "")).read(&get("/b")).write(&answer(202, ""));
    assert_eq!(wire.told(), ["/a 200"]);
    assert!(wire.ignored);
}

#[test]
fn a_client_and_another_protocol_are_of_no_use() {
    let mut wire = Wire::new();
    wire.write(&get("/a")).read(&answer(200, ""));
    assert!(wire.ignored && wire.told().is_empty());
    let mut wire = Wire::new();
    wire.read("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(wire.ignored && wire.told().is_empty());
    let mut wire = Wire::new();
    for _ in 0..5 {
        wire.call(CallKind::Read, 1 << 20, b"\0\0\x04\x01");
    }
    assert!(wire.ignored && wire.told().is_empty());
}

#[test]
fn what_follows_a_tunnel_is_not_read() {
    let mut wire = Wire::new();
    wire.read(&get("/a")).write("HTTP/1.1 101 Switching\r\n\r\n").read(&get("/b")).write(&answer(200, ""));
    assert_eq!(wire.told(), ["/a 101"]);
    assert!(wire.ignored);
}

proptest! {
    /// A client that waits: any cut of calls into pieces, any calls lost, any point at which the probes came.
    #[test]
    fn no_pair_is_wrong_whatever_is_lost(
        bodies in proptest::collection::vec((0usize..40, 0usize..9000, any::<bool>()), 1..20),
        piece in 1usize..5000,
        lost in proptest::collection::btree_set(0usize..120, 0..12),
        skipped in 0usize..20,
    ) {
        let mut wire = Wire::new();
        let mut number = 0;
        for (index, (asked, answered, chunked)) in bodies.iter().enumerate() {
            // None without a body, as 204 is.
            let status = 400 + index;
            let request = format!("POST /{status} HTTP/1.1\r\ncontent-length: {asked}\r\n\r\n{}", "q".repeat(*asked));
            let answer = if *chunked {
                format!("HTTP/1.1 {status} X\r\ntransfer-encoding: chunked\r\n\r\n{answered:x}\r\n{}\r\n{}", "a".repeat(*answered), if *answered > 0 { "0\r\n\r\n" } else { "" })
            } else {
                answer(u32::try_from(status).unwrap(), &"a".repeat(*answered))
            };
            for (kind, text) in [(CallKind::Read, request), (CallKind::Write, answer)] {
                for bytes in text.as_bytes().chunks(piece) {
                    let kept = if kind == CallKind::Write { bytes.len().min(4096) } else { bytes.len() };
                    if number < skipped || lost.contains(&number) {
                        if number >= skipped { wire.lose(); }
                    } else {
                        wire.call(kind, bytes.len() as u64, &bytes[..kept]);
                    }
                    number += 1;
                }
            }
        }
        for pair in wire.told() {
            let (target, status) = pair.split_once(' ').unwrap();
            prop_assert_eq!(&target[1..], status);
        }
        if lost.is_empty() && skipped == 0 && piece > 64 {
            prop_assert_eq!(wire.exchanges.len(), bodies.len());
        }
    }

    #[test]
    fn no_calls_make_it_panic_and_the_account_closes(
        calls in proptest::collection::vec((any::<bool>(), 0u64..100_000, prop_oneof![
            Just(b"GET / HTTP/1.1\r\n\r\n".to_vec()), Just(b"HTTP/1.1 200 X\r\n\r\n".to_vec()),
            Just(b"POST / HTTP/1.1\r\ncontent-length: 70000\r\n\r\n".to_vec()),
            Just(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 1..60),
        ], 0u32..3), 0..60)
    ) {
        let mut wire = Wire::new();
        for (read, more, bytes, skip) in calls {
            wire.sequence += skip / 2;
            let kind = if read { CallKind::Read } else { CallKind::Write };
            wire.call(kind, bytes.len() as u64 + more, &bytes);
        }
        prop_assert!(wire.closes(), "{:?}", wire.ledger);
        wire.end();
        prop_assert!(wire.closes(), "{:?}", wire.ledger);
    }
}

#[test]
fn behind_a_call_that_was_lost_within_a_body_the_rest_of_it_is_no_request() {
    let mut wire = Wire::new();
    wire.read(&get("/a")).write(&answer(200, ""));
    wire.read("POST /e HTTP/1.1\r\ncontent-length: 60\r\n\r\nab").lose();
    wire.read("GET /phantom HTTP/1.1\r\n\r\n").write(&answer(203, ""));
    wire.read(&get("/f")).write(&answer(204, ""));
    assert_eq!(wire.told(), ["/a 200", "/f 204"]);
}

#[test]
fn behind_a_call_that_was_lost_between_requests_the_next_one_is_no_request_before_an_answer() {
    let mut wire = Wire::new();
    wire.read(&get("/a")).write(&answer(200, "")).lose();
    wire.read("GET /phantom HTTP/1.1\r\n\r\n").write(&answer(203, ""));
    wire.read(&get("/f")).write(&answer(204, ""));
    assert_eq!(wire.told(), ["/a 200", "/f 204"]);
}
