//! Whose secrets opened a connection, and which connections say that nobody logs any: real conversations of two rustls peers.
use super::conversation::{Conversation, Plan};
use super::flow_properties::{CLIENT_ISN, SERVER_ISN, Segment, record_conversation};
use super::{Change, Logged, Logger, State};
use crate::flow::{Limits, default_response_headers};
use crate::flows::Flows;
use crate::ledger::Ledger;
use crate::record::{self, Record, Tuple};

const BY: Logger = Logger { tgid: 7, ip: 0x1000 };
const BEGAN_NS: u64 = 5_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const TLS12: u16 = 0xc02b;
const TLS13: u16 = 0x1301;
const CHANGE_CIPHER_SPEC: u8 = 20;

struct Watch {
    flows: Flows,
    ledger: Ledger,
    conversation: Conversation,
    segments: Vec<Segment>,
}

impl Watch {
    /// Each record in a packet of its own.
    fn of(plan: &Plan) -> Self {
        let limits =
            Limits { max_flow_bytes: 1 << 20, max_body_bytes: 1 << 16, response_headers: default_response_headers() };
        let conversation = Conversation::hold(plan);
        let segments = record_conversation(&conversation, &[1 << 20], 1 << 20);
        Self { flows: Flows::new(8, limits), ledger: Ledger::default(), conversation, segments }
    }

    fn push(&mut self, segment: &Segment) {
        let record = Record {
            flow_id: 1,
            ktime_ns: BEGAN_NS + segment.time,
            target: 3,
            tuple: Tuple { remote: [1; 16], local: [2; 16], remote_port: 1, local_port: 2, family: 4 },
            flags: segment.flags,
            seq: segment.seq,
            ack: segment.ack,
            base: segment.base,
            in_isn: if segment.is_out() { segment.records_before } else { CLIENT_ISN },
            out_isn: SERVER_ISN,
            payload: &segment.payload,
        };
        self.ledger.drained += segment.payload.len() as u64;
        self.flows.push(&record, &mut self.ledger, &mut |_, _| {});
    }

    fn push_all(&mut self, upto: usize) {
        for n in 0..upto {
            let segment = self.segments[n].clone();
            self.push(&segment);
        }
    }

    fn log(&mut self, by: Logger) {
        for (label, secret) in &self.conversation.secrets {
            let logged = Logged { random: &self.conversation.client_random, label: label.as_bytes(), secret, by };
            self.flows.secret(&logged, 0, &mut self.ledger, &mut |_, _| {});
        }
    }

    fn end(&mut self) {
        self.flows.close(&mut self.ledger, &mut |_, _| {});
    }

    fn changes(&mut self, after_ns: u64) -> Vec<Change> {
        let changes = self.flows.take_tls_changes(BEGAN_NS + after_ns);
        changes
            .into_iter()
            .map(|(target, change)| {
                assert_eq!(target, 3);
                change
            })
            .collect()
    }

    fn unlogged(&mut self, after_ns: u64) -> Vec<u64> {
        let began = |change| if let Change::Unlogged { began_ns } = change { Some(began_ns) } else { None };
        self.changes(after_ns).into_iter().filter_map(began).collect()
    }
}

fn plans() -> impl Iterator<Item = Plan> {
    let resumed = |plan: Plan| [false, true].map(|resumed| Plan { resumed, ..plan.clone() });
    [TLS12, TLS13].into_iter().flat_map(move |suite| resumed(Plan::new(suite)))
}

#[test]
fn a_connection_of_which_nothing_was_logged_is_told_once_after_two_seconds_or_at_its_end() {
    for plan in plans() {
        let mut watch = Watch::of(&plan);
        watch.push_all(watch.segments.len());
        assert_eq!(watch.unlogged(SECOND_NS), [0; 0], "{plan:?}");
        assert_eq!(watch.unlogged(3 * SECOND_NS), [BEGAN_NS], "{plan:?}");
        watch.end();
        assert_eq!(watch.unlogged(4 * SECOND_NS), [0; 0], "{plan:?}");

        let mut watch = Watch::of(&plan);
        watch.push_all(watch.segments.len());
        watch.end();
        assert_eq!(watch.unlogged(SECOND_NS), [BEGAN_NS], "{plan:?}");
        assert_eq!(watch.unlogged(9 * SECOND_NS), [0; 0], "{plan:?}");
    }
}

#[test]
fn a_connection_that_verifies_tells_who_logged_its_secrets_once() {
    let client = Logger { tgid: 8, ..BY };
    for plan in plans() {
        for logged_first in [true, false] {
            let mut watch = Watch::of(&plan);
            let all = watch.segments.len();
            watch.push_all(if logged_first { 1 } else { all });
            watch.log(BY);
            watch.log(client);
            if logged_first {
                for n in 1..all {
                    let segment = watch.segments[n].clone();
                    watch.push(&segment);
                }
            }
            let changes = watch.changes(9 * SECOND_NS);
            let of = |change: &Change| if let Change::Proven(by) = change { Some(*by) } else { None };
            let proven: Vec<Logger> = changes.iter().filter_map(of).collect();
            assert!(changes.contains(&Change::State(State::Open)), "{plan:?}");
            // Whoever logs when all has been opened has opened nothing.
            let expected = if logged_first { vec![BY, client] } else { vec![BY] };
            assert_eq!(proven, expected, "{plan:?}");
            watch.end();
            assert_eq!(watch.unlogged(20 * SECOND_NS), [0; 0], "{plan:?}");
        }
    }
}

#[test]
fn secrets_that_come_within_two_seconds_are_no_silence() {
    for plan in plans() {
        let mut watch = Watch::of(&plan);
        watch.push_all(watch.segments.len());
        assert_eq!(watch.unlogged(SECOND_NS), [0; 0]);
        watch.log(BY);
        watch.end();
        assert_eq!(watch.unlogged(9 * SECOND_NS), [0; 0], "{plan:?}");
    }
}

#[test]
fn a_handshake_that_the_server_does_not_go_on_with_says_nothing() {
    let alert = [21, 3, 3, 0, 2, 2, 40];
    let refused = |payload: &[u8], before: &Segment| Segment {
        flags: record::OUT | record::PACKET | record::TLS | record::HEAD,
        seq: before.ack,
        ack: before.seq.wrapping_add(before.payload.len() as u32),
        base: before.ack,
        records_before: 0,
        payload: payload.to_vec(),
        time: before.time + 1,
    };
    for (answer, expected) in [(&[][..], &[][..]), (&alert, &[]), (&[CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1], &[BEGAN_NS])] {
        let mut watch = Watch::of(&Plan::new(TLS12));
        // What a client has encrypted may be anything.
        let is_change = |segment: &Segment| !segment.is_out() && segment.payload[0] == CHANGE_CIPHER_SPEC;
        let finished = watch.segments.iter().position(is_change).unwrap() + 1;
        assert!(!watch.segments[finished].is_out());
        watch.push_all(finished + 1);
        if !answer.is_empty() {
            let segment = refused(answer, &watch.segments[finished]);
            watch.push(&segment);
        }
        watch.end();
        assert_eq!(watch.unlogged(9 * SECOND_NS), expected, "{answer:?}");
    }
    // Nor does a ClientHello alone, or one that was answered in the clear.
    for plan in plans() {
        for upto in [1, 2] {
            let mut watch = Watch::of(&plan);
            watch.push_all(upto);
            watch.end();
            assert_eq!(watch.unlogged(9 * SECOND_NS), [0; 0], "{plan:?} {upto}");
        }
    }
}

#[test]
fn what_a_client_sends_between_two_pieces_of_the_servers_first_flight_says_nothing() {
    for (behind, expected) in [(&[][..], &[][..]), (&[CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1], &[BEGAN_NS])] {
        let mut watch = Watch::of(&Plan::new(TLS12));
        watch.push_all(1);
        let (hello, flight) = (watch.segments[0].clone(), watch.segments[1].clone());
        // The ServerHello in a record of its own, and what follows it in another one.
        let messages = &flight.payload[5..];
        let end = 4 + usize::from(u16::from_be_bytes([messages[2], messages[3]]));
        let record = |bytes: &[u8]| [&[22, 3, 3], &(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let (first, second) = (record(&messages[..end]), record(&[&messages[end..], &[14, 0, 0, 0]].concat()));
        let garbage = [&[CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1][..], &record(&[7; 40])].concat();
        let client_end = hello.seq.wrapping_add(hello.payload.len() as u32);
        let server_next = flight.seq.wrapping_add(first.len() as u32);
        watch.push(&Segment { payload: first, ..flight.clone() });
        watch.push(&Segment { seq: client_end, ack: server_next, payload: garbage, ..hello });
        let second = [&second[..], behind].concat();
        watch.push(&Segment { seq: server_next, base: server_next, records_before: 1, payload: second, ..flight });
        watch.end();
        assert_eq!(watch.unlogged(9 * SECOND_NS), expected, "{behind:?}");
    }
}
