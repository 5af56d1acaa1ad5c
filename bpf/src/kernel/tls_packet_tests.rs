//! TLS records through the real programs: what is copied, what is counted, however packets are cut.
use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Drained;
use super::machine::{Machine, with_machine};
use crate::record::{self, Record};
use crate::seq::ahead;

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
