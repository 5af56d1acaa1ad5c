//! A connection whose packets and whose library's calls both come: real conversations of two rustls peers beside what their
//! server's library read and wrote. Whoever is read, no exchange is told twice, and none is wrong.
use std::collections::HashSet;

use proptest::prelude::*;

use super::conversation::Plan;
use super::flow_properties::{CLIENT_ISN, SERVER_ISN, Segment, hold, plan, record_conversation};
use super::{Logged, Logger};
use crate::flow::{Limits, Wish, default_response_headers};
use crate::flow_properties::{Call as Exchanged, call, check, index_of, request_bytes, response_bytes};
use crate::flows::Flows;
use crate::ledger::Ledger;
use crate::record::{self, Record, Tuple};
use crate::tls::Change;
use crate::tls_calls::{Call, CallKind};
use crate::wire::Exchange;

const FLOW: u64 = 7;
const TUPLE: Tuple = Tuple { remote: [1; 16], local: [2; 16], remote_port: 40000, local_port: 443, family: 6 };
const ALL: usize = 1 << 20;

/// What a library read or wrote, behind so many packets.
struct Called {
    behind: usize,
    kind: CallKind,
    bytes: Vec<u8>,
}

struct Capture {
    flows: Flows,
    ledger: Ledger,
    exchanges: Vec<Exchange>,
    sequence: u32,
    stood_ns: u64,
    by_packets: bool,
    is_called: bool,
}

impl Capture {
    fn new() -> Self {
        let limits =
            Limits { max_flow_bytes: 1 << 20, max_body_bytes: 1 << 16, response_headers: default_response_headers() };
        Self {
            flows: Flows::new(8, limits).with_calls(true),
            ledger: Ledger::default(),
            exchanges: Vec::new(),
            sequence: 0,
            stood_ns: 0,
            by_packets: false,
            is_called: false,
        }
    }

    fn note(&mut self, wish: Wish) {
        self.by_packets |= wish.by_packets;
        self.is_called |= wish.called;
    }

    fn packet(&mut self, segment: &Segment) {
        // The kernel stops to copy with the client's next packet; the server's come a while longer.
        if self.is_called && !segment.is_out() {
            return;
        }
        let record = Record {
            flow_id: FLOW,
            ktime_ns: segment.time,
            target: 3,
            tuple: TUPLE,
            flags: segment.flags,
            seq: segment.seq,
            ack: segment.ack,
            base: segment.base,
            in_isn: if segment.flags & record::TLS != 0 { segment.records_before } else { CLIENT_ISN },
            out_isn: SERVER_ISN,
            payload: &segment.payload,
        };
        self.ledger.drained += segment.payload.len() as u64;
        let (out, ledger) = (&mut self.exchanges, &mut self.ledger);
        let wish = self.flows.push(&record, ledger, &mut |_, exchange| out.push(exchange));
        self.note(wish);
    }

    fn call(&mut self, called: &Called) {
        self.ledger.drained += called.bytes.len() as u64;
        let call = Call {
            flow_id: FLOW,
            target: 3,
            ktime_ns: called.behind as u64,
            binding: 1,
            tuple: TUPLE,
            kind: called.kind,
            of_packets: !self.is_called,
            sequence: self.sequence,
            length: called.bytes.len() as u64,
            payload: &called.bytes,
        };
        self.sequence += 1;
        let (out, ledger) = (&mut self.exchanges, &mut self.ledger);
        let wish = self.flows.call(&call, self.stood_ns, ledger, &mut |_, exchange| out.push(exchange));
        self.note(wish);
    }

    fn end_round(&mut self) {
        let out = &mut self.exchanges;
        self.flows.end_round(&mut self.ledger, &mut |_, exchange| out.push(exchange));
    }
}

/// The server's calls: each request is read behind its packet, each answer written around its own.
fn calls_of(exchanged: &[Exchanged], packets: usize) -> Vec<Called> {
    // Behind the handshake, and before the two alerts that end it.
    let first = packets - 2 - 2 * exchanged.len();
    let each = |(i, call): (usize, &Exchanged)| {
        let (mut head, body) = response_bytes(call);
        head.extend(body);
        let read = Called { behind: first + 2 * i + 1, kind: CallKind::Read, bytes: request_bytes(i, call) };
        [read, Called { behind: first + 2 * i + 2, kind: CallKind::Write, bytes: head }]
    };
    exchanged.iter().enumerate().flat_map(each).collect()
}

fn fin(segments: &[Segment]) -> Segment {
    let last = segments.iter().rfind(|segment| segment.is_out()).unwrap();
    let seq = last.seq.wrapping_add(last.payload.len() as u32);
    let flags = record::OUT | record::FIN;
    Segment { flags, seq, ack: last.ack, base: seq, records_before: 0, payload: Vec::new(), time: 1 << 20 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_decrypted_is_read_by_calls_and_nothing_is_told_twice(
        mut plan in plan(),
        mut exchanged in prop::collection::vec(call(), 1..8),
        is_logged in any::<bool>(),
        stands_from in prop_oneof![Just(0usize), 0usize..8],
        rounds in prop::collection::vec((1usize..12, 0usize..12), 1..8),
        is_flag_lost in any::<bool>(),
    ) {
        for call in &mut exchanged {
            call.pipelined = false;
        }
        plan.max_fragment = None;
        let conversation = hold(plan, &exchanged, false);
        let mut segments = record_conversation(&conversation, &[ALL], ALL);
        let calls = calls_of(&exchanged, segments.len());
        segments.push(fin(&segments));
        let mut capture = Capture::new();
        let log = |capture: &mut Capture| {
            for (label, secret) in &conversation.secrets {
                let Capture { flows, ledger, exchanges, .. } = capture;
                let random = &conversation.client_random;
                let logged = Logged { random, label: label.as_bytes(), secret, by: Logger::default() };
                flows.secret(&logged, 0, ledger, &mut |_, exchange| exchanges.push(exchange));
            }
        };
        if is_logged {
            log(&mut capture);
        }
        let stands_from = stands_from.min(exchanged.len()) * 2;
        if stands_from > 0 {
            capture.stood_ns = 1 << 20;
        }
        let mut calls = calls.iter().skip(stands_from).peekable();
        // A round takes packets, and calls from before the last of them, at least those from before the round.
        let (mut packets, mut rounds) = (0, rounds.iter().cycle());
        while packets < segments.len() {
            let (some, back) = rounds.next().unwrap();
            let next = (packets + some).min(segments.len());
            segments[packets..next].iter().for_each(|segment| capture.packet(segment));
            let upto = next.saturating_sub(*back).max(packets);
            while let Some(called) = calls.next_if(|called| called.behind <= upto) {
                if !capture.by_packets || is_flag_lost {
                    capture.call(called);
                }
            }
            capture.end_round();
            packets = next;
        }
        for called in calls {
            if !capture.by_packets || is_flag_lost {
                capture.call(called);
            }
        }
        // Too late, where calls came.
        log(&mut capture);
        capture.end_round();
        capture.end_round();

        let is_decrypted = is_logged || stands_from == 2 * exchanged.len();
        let Capture { flows, ledger, exchanges, .. } = capture;
        prop_assert_eq!((flows.in_flight(), flows.held_bytes()), (0, 0));
        prop_assert_eq!(ledger.captured, exchanges.len() as u64 + ledger.dropped_total());
        prop_assert_eq!(ledger.drained, ledger.parsed + ledger.discarded_total());
        let mut seen = HashSet::new();
        for exchange in &exchanges {
            check(exchange, &exchanged, true);
            prop_assert!(seen.insert(index_of(exchange)), "twice");
            let tls = exchange.connection.as_ref().unwrap().tls.as_ref().unwrap();
            prop_assert_eq!(tls.bound_by.as_str(), if is_decrypted { "aead" } else { "call" });
            prop_assert!(!tls.version.is_empty());
            prop_assert_eq!(exchange.joined_late, !is_decrypted && stands_from > 0);
        }
        let expected = if is_decrypted { exchanged.len() } else { exchanged.len() - stands_from / 2 };
        prop_assert_eq!(exchanges.len(), expected, "{:?} {:?}", ledger.dropped(), ledger.discarded());
    }
}

/// A conversation of one exchange that is read by its calls.
fn called() -> (Vec<Segment>, Capture) {
    let exchanged = [Exchanged {
        method: 0,
        body: Vec::new(),
        chunked: false,
        status: 200,
        response_body: 10,
        response_chunked: false,
        pipelined: false,
        interim: false,
    }];
    let conversation = hold(Plan::new(0x1301), &exchanged, false);
    let segments = record_conversation(&conversation, &[ALL], ALL);
    let mut capture = Capture::new();
    segments[..segments.len() - 2].iter().for_each(|segment| capture.packet(segment));
    calls_of(&exchanged, segments.len()).iter().for_each(|called| capture.call(called));
    assert!(capture.is_called && capture.exchanges.len() == 1);
    (segments, capture)
}

#[test]
fn a_called_connection_of_which_the_kernel_does_not_know_that_is_told_of_when_it_speaks_again() {
    for (silent_ns, told) in [(1_000_000_000, vec![]), (61_000_000_000, vec![(3, Change::Speaks)])] {
        let (segments, mut capture) = called();
        capture.flows.take_tls_changes(0);
        // Another connection took its slot.
        capture.is_called = false;
        let from_client = segments.iter().rfind(|segment| !segment.is_out()).unwrap();
        for again in 0..2 {
            capture.packet(&Segment { time: silent_ns + again, ..from_client.clone() });
        }
        assert_eq!(capture.flows.take_tls_changes(0), told, "after {silent_ns} ns");
    }
}
