//! TLS records through the real programs: what is copied, what is counted, however packets are cut.
use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Drained;
use super::machine::{Machine, with_machine};
use crate::flow::Wish;
use crate::flow_properties::{Call, call, request_bytes, response_bytes};
use crate::record::{self, Record};
use crate::seq::ahead;
use crate::tls::conversation::{Conversation, Plan, Step};
use crate::tls::{Change, Side, State, Why};

/// WHOLE_BYTES of the kernel side.
const WHOLE_BYTES: usize = 16384;

/// What the kernel handed over of the server's stream.
#[derive(Debug)]
struct Piece {
    flags: u16,
    seq: u32,
    base: u32,
    records_before: u32,
    payload: Vec<u8>,
}

fn pieces(machine: &mut Machine) -> Vec<Piece> {
    let mut pieces = Vec::new();
    machine.rings.drain(1 << 16, |drained| {
        let Drained::Record(bytes) = drained else { return };
        let record = Record::parse(bytes).unwrap();
        if record.has(record::OUT) && !record.payload.is_empty() {
            pieces.push(Piece {
                flags: record.flags,
                seq: record.seq,
                base: record.base,
                records_before: record.records_before(),
                payload: record.payload.to_vec(),
            });
        }
    });
    pieces
}

fn record_of(kind: u8, fragment: usize) -> Vec<u8> {
    let mut bytes = vec![kind, 3, 3];
    bytes.extend((fragment as u16).to_be_bytes());
    bytes.extend((0..fragment).map(|n| n as u8));
    bytes
}

/// Sends the records in packets of these sizes, over and over; gives where each record began, and what was copied.
fn answer(machine: &mut Machine, fragments: &[usize], cuts: &[usize]) -> (Vec<u32>, Vec<Piece>) {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for fragment in fragments {
        starts.push(machine.server.wrapping_add(bytes.len() as u32));
        bytes.extend(record_of(23, *fragment));
    }
    let mut rest = &bytes[..];
    let mut copied = Vec::new();
    for (sent, cut) in cuts.iter().cycle().enumerate() {
        if rest.is_empty() {
            break;
        }
        let (packet, behind) = rest.split_at((*cut).min(rest.len()));
        machine.answer(packet);
        rest = behind;
        if sent % 256 == 0 {
            copied.extend(pieces(machine));
        }
    }
    copied.extend(pieces(machine));
    (starts, copied)
}

#[test]
fn property_records_behind_the_clients_data_are_copied_whole_and_the_others_counted() {
    with_machine(|machine| {
        let fragments = || prop_oneof![8 => 0usize..40, 3 => 900usize..1400, 1 => 2000usize..2600];
        let cuts = prop_oneof![1usize..9, 20usize..60, 1000usize..2900];
        let plan = (
            prop::collection::vec(prop::collection::vec(fragments(), 1..60), 1..4),
            prop::collection::vec(cuts, 1..20),
        );
        let machine = RefCell::new(machine);
        let result = TestRunner::new(Config { failure_persistence: None, cases: 64, ..Config::default() }).run(
            &plan,
            |(rounds, cuts)| {
                let machine = &mut *machine.borrow_mut();
                machine.connect();
                let first = machine.server;
                let (mut starts, mut stream) = (Vec::new(), Vec::new());
                let mut told = first;
                for fragments in &rounds {
                    machine.send(&record_of(22, 30));
                    let before = machine.kernel.counters().unwrap();
                    let began = starts.len();
                    let (begins, pieces) = answer(machine, fragments, &cuts);
                    starts.extend(begins);
                    stream.extend(fragments.iter().flat_map(|fragment| record_of(23, *fragment)));
                    let after = machine.kernel.counters().unwrap();
                    let sent: usize = fragments.iter().map(|fragment| fragment + 5).sum();
                    prop_assert_eq!(after.seen() - before.seen(), sent as u64);
                    prop_assert_eq!(after.accounted() - before.accounted(), sent as u64);

                    let mut copied = 0;
                    for piece in pieces {
                        prop_assert!(piece.flags & record::TLS != 0 && piece.flags & record::RAW == 0, "{:?}", piece);
                        let at = piece.seq.wrapping_sub(first) as usize;
                        prop_assert_eq!(&stream[at..at + piece.payload.len()], &piece.payload[..]);
                        prop_assert_eq!(piece.base, told, "nothing was lost");
                        told = piece.seq.wrapping_add(piece.payload.len() as u32);
                        let begins = starts.iter().position(|start| *start == piece.seq);
                        if piece.flags & record::HEAD != 0 {
                            prop_assert_eq!(begins, Some(piece.records_before as usize));
                        } else {
                            prop_assert_eq!(piece.base, piece.seq, "what was left out ends with a record");
                        }
                        copied += piece.payload.len();
                    }
                    let mut whole_left = WHOLE_BYTES;
                    let mut expected = 0;
                    for fragment in fragments {
                        if whole_left > 0 {
                            expected += fragment + 5;
                        }
                        whole_left = whole_left.saturating_sub(*fragment);
                    }
                    prop_assert_eq!(copied, expected, "records {} on", began);
                    machine.client_ack = machine.server;
                }
                machine.close();
                Ok(())
            },
        );
        if let Err(error) = result {
            panic!("{error}");
        }
    });
}

/// More records than the kernel walks in one packet.
const MANY: usize = 90;

#[test]
fn records_that_are_too_many_to_walk_are_copied_from_one_on_that_is_counted() {
    with_machine(|machine| {
        for (first, before) in [(8usize, 0), (WHOLE_BYTES - 200, 0), (WHOLE_BYTES, 65)] {
            machine.connect();
            machine.send(&record_of(22, 30));
            for part in record_of(23, first).chunks(3000) {
                machine.answer(part);
            }
            pieces(machine);
            let many: Vec<u8> = (0..MANY).flat_map(|_| record_of(23, 20)).collect();
            machine.answer(&many);
            machine.answer(&record_of(23, 20));
            let found = pieces(machine);
            let flags: Vec<_> = found.iter().map(|p| p.flags & (record::HEAD | record::TLS | record::RAW)).collect();
            assert_eq!(flags, [record::HEAD | record::TLS, record::RAW]);
            let skipped = if before == 0 { 0 } else { before - 1 };
            assert_eq!(
                found[0].records_before as usize,
                1 + skipped,
                "{first} {:?}",
                found.iter().map(|p| (p.seq, p.base, p.payload.len())).collect::<Vec<_>>()
            );
            assert_eq!(found[0].payload.len(), (MANY - skipped) * 25);
            assert_eq!(found[1].seq, found[0].seq.wrapping_add(found[0].payload.len() as u32));
            machine.close();
        }
    });
}

/// Each answer in records of so many bytes.
fn conversation() -> impl Strategy<Value = (Vec<Call>, Conversation)> {
    let suite = prop::sample::select(vec![0x1301u16, 0xc02b]);
    let fragment = prop_oneof![3 => 10usize..40, 1 => 40usize..4000];
    let calls = prop::collection::vec(call(), 1..5);
    (suite, fragment, calls, 1usize..60).prop_map(|(suite, fragment, mut calls, longer)| {
        let mut plan = Plan { steps: Vec::new(), ..Plan::new(suite) };
        for (index, call) in calls.iter_mut().enumerate() {
            call.pipelined = false;
            call.response_body *= longer;
            plan.steps.push(Step::Send(Side::Client, request_bytes(index, call)));
            let (mut bytes, body) = response_bytes(call);
            bytes.extend(body);
            plan.steps.extend(bytes.chunks(fragment).map(|part| Step::Send(Side::Server, part.to_vec())));
        }
        let conversation = Conversation::hold(&plan);
        (calls, conversation)
    })
}

#[test]
fn property_conversations_of_tiny_records_in_large_packets_give_nothing_wrong_and_lose_little() {
    with_machine(|machine| {
        let machine = RefCell::new(machine);
        let cuts = prop::collection::vec(prop_oneof![1 => 10usize..3000, 3 => 3000usize..3400], 1..6);
        let drains = prop::collection::vec(any::<bool>(), 1..6);
        let told = Cell::new((0, 0));
        let result = TestRunner::new(Config { failure_persistence: None, cases: 96, ..Config::default() }).run(
            &(conversation(), cuts, drains),
            |((calls, conversation), cuts, drains)| {
                let machine = &mut *machine.borrow_mut();
                machine.connect();
                let (mut cuts, mut drains) = (cuts.iter().cycle(), drains.iter().cycle());
                let mut packets = 0;
                for (label, secret) in &conversation.secrets {
                    machine.secret(&conversation.client_random, label.as_bytes(), secret);
                }
                let mut records = conversation.records.iter().peekable();
                while let Some((side, bytes)) = records.next() {
                    let mut bytes = bytes.clone();
                    while let Some((_, more)) = records.next_if(|(next, _)| next == side) {
                        bytes.extend(more);
                    }
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let (packet, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                        rest = behind;
                        match side {
                            Side::Client => machine.send(packet),
                            Side::Server => machine.answer(packet),
                        }
                        packets += 1;
                        // The ring has room for some thousand packets.
                        if *drains.next().unwrap() || packets % 256 == 0 {
                            machine.drain();
                        }
                    }
                    match side {
                        Side::Client => machine.drain(),
                        Side::Server => machine.client_ack = machine.server,
                    }
                }
                let found = machine.close();
                let wanted: Vec<_> =
                    (0..).zip(&calls).map(|(n, c)| (format!("/{n}?s={}", c.status), u32::from(c.status))).collect();
                // Where the place is lost, and a body without a length ends unseen, an answer may not find its request.
                let mut rest = wanted.iter();
                prop_assert!(found.iter().all(|pair| rest.any(|other| other == pair)), "{:?} of {:?}", found, wanted);
                let (given, of) = told.get();
                told.set((given + found.len(), of + wanted.len()));
                Ok(())
            },
        );
        if let Err(error) = result {
            panic!("{error}");
        }
        let (given, of) = told.get();
        assert!(given * 20 >= of * 19, "{given} of {of}");
    });
}

#[test]
fn what_is_no_record_is_handed_over_whole_until_user_space_gives_a_boundary() {
    with_machine(|machine| {
        machine.connect();
        machine.send(&record_of(22, 30));
        machine.answer(&record_of(22, 50));
        machine.answer(b"no record, but something else");
        machine.answer(b"and more");
        let found = pieces(machine);
        assert_eq!(found.iter().map(|p| p.flags & record::RAW != 0).collect::<Vec<_>>(), [false, false, true]);
        assert!(ahead(found[2].base, found[1].seq) > 0 && found[2].base == found[2].seq, "{found:?}");
        machine.close();
    });
}

const MINUTE_NS: u64 = 60_000_000_000;

#[test]
fn a_connection_that_was_said_to_be_called_long_ago_and_is_heard_only_now_is_told_of() {
    with_machine(|machine| {
        for (silent_ns, told) in [(0, 0), (MINUTE_NS + 1_000_000_000, 1)] {
            machine.connect();
            machine.send(&record_of(22, 30));
            let id = machine.age(silent_ns);
            machine.kernel.controls.write(id, &Wish { called: true, ..Wish::default() });
            let before = machine.kernel.older_count();
            machine.send(&record_of(23, 30));
            assert_eq!(machine.kernel.older_count() - before, told, "silent for {silent_ns} ns");
            let found = machine.kernel.older_flows();
            let found = found.iter().find(|flow| flow.id == id).expect("it is among those that need probes");
            assert!(!found.is_older);
            machine.close();
        }
    });
}

#[test]
fn a_connection_whose_beginning_was_lost_is_told_as_dark() {
    with_machine(|machine| {
        machine.connect();
        machine.send(&record_of(22, 30));
        // As when the ring had no room.
        pieces(machine);
        machine.answer(&record_of(22, 50));
        machine.send(&record_of(22, 40));
        machine.client_ack = machine.server;
        machine.send(&record_of(23, 40));
        machine.answer(&record_of(23, 40));
        machine.drain();
        let told: Vec<_> = machine.flows.take_tls_changes(0).into_iter().map(|(_, change)| change).collect();
        assert_eq!(told, [State::Opening, State::Dark(Why::BeginningLost)].map(Change::State));
        assert!(machine.close().is_empty());
        let ledger = &machine.ledger;
        assert_eq!((ledger.captured, ledger.drained), (0, ledger.parsed + ledger.discarded_total()));
    });
}
