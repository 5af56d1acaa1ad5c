//! Plaintext through the real programs: heads, bodies and their places, however packets are cut.
use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::machine::{Machine, with_machine};
use crate::ledger::Drop;
use crate::seq::ahead;

#[test]
fn an_answer_to_head_is_told_from_one_to_the_first_request_that_begins_a_packet() {
    with_machine(|machine| {
        // nginx names no framing in an answer to HEAD that would be chunked.
        for framing in ["Server: nginx", "Transfer-Encoding: chunked", "Content-Length: 1024"] {
            machine.connect();
            // A client that writes byte by byte; of what TCP puts together, something begins with a method at last.
            machine.send(b"HE");
            machine.send(b"AD /0 HTTP/1.1\r\n\r\n");
            machine.send(b"GET /1 HTTP/1.1\r\n\r\n");
            machine.send(b"G");
            machine.send(b"ET /2 HTTP/1.1\r\n\r\n");
            machine.answer(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes());
            machine.answer(b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\nok");
            machine.answer(b"HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\nok");
            let expected = [("/0".to_owned(), 200), ("/1".to_owned(), 201), ("/2".to_owned(), 202)];
            assert_eq!(machine.close(), expected, "{framing}: {:?}", machine.ledger.dropped());
        }
    });
}

#[test]
fn a_body_that_looks_like_a_response_is_none_though_head_was_asked_meanwhile() {
    with_machine(|machine| {
        machine.connect();
        machine.send(b"GET /0 HTTP/1.1\r\n\r\nGET /1 HTTP/1.1\r\n\r\n");
        machine.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        machine.client_ack = machine.server;
        machine.send(b"HEAD /2 HTTP/1.1\r\n\r\n");
        machine.answer(b"HTTP/1.1 201 OK\r\nContent-Length: 23\r\n\r\nHTTP/1.1 404 No\r\n\r\nbody");
        machine.answer(b"HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\n");
        let expected = [("/0".to_owned(), 200), ("/1".to_owned(), 201), ("/2".to_owned(), 202)];
        assert_eq!(machine.close(), expected, "{:?}", machine.ledger.dropped());
    });
}

#[test]
fn the_answer_behind_a_body_is_found_however_its_length_is_written() {
    with_machine(|machine| {
        let plain = [
            ("0", 0),
            (" 0", 0),
            (" 7", 7),
            ("7", 7),
            (" 42", 42),
            (" 1024", 1024),
            (" 0001024", 1024),
            (" 00001024", 1024),
            (" 000000000001024", 1024),
            ("  1024", 1024),
            ("\t1024", 1024),
            (" 3000", 3000),
        ];
        for (length, bytes) in plain {
            machine.connect();
            machine.send(b"GET /0 HTTP/1.1\r\n\r\n");
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length:{length}\r\n\r\n").into_bytes();
            let head = answer.len() as u64;
            answer.resize(answer.len() + bytes, b'b');
            let before = machine.kernel.counters().unwrap().copied();
            machine.answer(&answer);
            // The kernel has read it: the body stays there.
            assert_eq!(machine.kernel.counters().unwrap().copied() - before, head, "{length:?}");
            machine.client_ack = machine.server;
            machine.send(b"GET /1 HTTP/1.1\r\n\r\n");
            machine.answer(b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\nok");
            assert_eq!(machine.close(), [("/0".to_owned(), 200), ("/1".to_owned(), 201)], "{length:?}");
        }
        for length in ["", " ", " x", " 1x", " 1 2", " 10,10", " 12345678901234567890"] {
            machine.connect();
            machine.send(b"GET /0 HTTP/1.1\r\n\r\n");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length:{length}\r\n\r\nbody");
            let before = machine.kernel.counters().unwrap().copied();
            machine.answer(answer.as_bytes());
            // It is no number: user space gets all of it.
            assert_eq!(machine.kernel.counters().unwrap().copied() - before, answer.len() as u64, "{length:?}");
            machine.close();
        }
    });
}

#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    body: usize,
    status: u16,
    framing: u8,
    response: Vec<u8>,
}

fn call() -> impl Strategy<Value = Call> {
    let method = prop::sample::select(vec!["GET", "GET", "HEAD", "POST"]);
    let status = prop::sample::select(vec![200, 201, 204, 304, 404]);
    let response =
        prop::sample::select(vec!["", "HTTP/1.1 200 OK\r\n\r\n", "H", "HT", "body", "HTTP/1.1 204 No\r\n\r\nbody"]);
    (method, 0usize..40, status, 0u8..3, response, 0usize..700).prop_map(
        |(method, body, status, framing, begin, more)| {
            let mut response = begin.as_bytes().to_vec();
            response.extend(std::iter::repeat_n(b'b', more));
            Call { method, body, status, framing, response }
        },
    )
}

fn request_of(call: &Call, n: usize) -> Vec<u8> {
    if call.method != "POST" {
        return format!("{} /{n} HTTP/1.1\r\nHost: a\r\n\r\n", call.method).into_bytes();
    }
    let mut bytes = format!("POST /{n} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", call.body).into_bytes();
    bytes.resize(bytes.len() + call.body, b'x');
    bytes
}

fn response_of(call: &Call) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} Word\r\n", call.status).into_bytes();
    let none = call.method == "HEAD" || call.status == 204 || call.status == 304;
    if call.status == 204 || (call.framing == 1 && none) {
        bytes.extend(b"\r\n");
    } else if call.framing == 0 {
        bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        if !none {
            for chunk in call.response.chunks(200) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        }
    } else {
        bytes.extend(format!("Content-Length: {}\r\n\r\n", call.response.len()).as_bytes());
        if !none {
            bytes.extend(&call.response);
        }
    }
    bytes
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(usize),
    Answer(usize),
    Read,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    // Often a byte or few, often whole messages.
    let size = || prop_oneof![1usize..9, 1usize..90, 100usize..1200];
    prop_oneof![4 => size().prop_map(Step::Send), 4 => size().prop_map(Step::Answer), 2 => Just(Step::Read), 1 => Just(Step::Drain)]
}

/// Bytes from `at` to the end of the message that it stands in.
fn left_in(ends: &[u32], at: u32) -> usize {
    ends.iter().map(|end| ahead(*end, at)).find(|left| *left > 0).map_or(0, |left| left.unsigned_abs() as usize)
}

/// Plays the calls: `window` of them outstanding at most, each answered when it was sent whole. `apart`: no packet holds
/// bytes of two requests, or of two answers.
fn play(
    machine: &mut Machine,
    calls: &[Call],
    window: usize,
    apart: (bool, bool),
    steps: &[Step],
) -> Vec<(String, u32)> {
    machine.connect();
    let (mut to_send, mut to_answer) = (Vec::new(), Vec::new());
    let (mut sent, mut answered) = (0, 0);
    // Behind the n-th request and answer, by sequence number.
    let (mut request_ends, mut response_ends) = (Vec::new(), Vec::new());
    let (mut request_end, mut response_end) = (machine.client, machine.server);
    let mut steps = steps.iter().cycle();
    while answered < calls.len() || !to_answer.is_empty() {
        match steps.next() {
            Some(Step::Send(most)) => {
                let read = response_ends.iter().filter(|end| ahead(**end, machine.client_ack) <= 0).count();
                while sent < calls.len() && sent < read + window {
                    let request = request_of(&calls[sent], sent);
                    request_end = request_end.wrapping_add(request.len() as u32);
                    request_ends.push(request_end);
                    to_send.extend(request);
                    sent += 1;
                }
                let room = if apart.0 { left_in(&request_ends, machine.client) } else { usize::MAX };
                let piece: Vec<u8> = to_send.drain(..to_send.len().min(*most).min(room)).collect();
                if !piece.is_empty() {
                    machine.send(&piece);
                }
            }
            Some(Step::Answer(most)) => {
                while request_ends.get(answered).is_some_and(|end| ahead(machine.client, *end) >= 0) {
                    let response = response_of(&calls[answered]);
                    response_end = response_end.wrapping_add(response.len() as u32);
                    response_ends.push(response_end);
                    to_answer.extend(response);
                    answered += 1;
                }
                let room = if apart.1 { left_in(&response_ends, machine.server) } else { usize::MAX };
                let piece: Vec<u8> = to_answer.drain(..to_answer.len().min(*most).min(room)).collect();
                if !piece.is_empty() {
                    machine.answer(&piece);
                }
            }
            Some(Step::Read) => machine.client_ack = machine.server,
            Some(Step::Drain) | None => machine.drain(),
        }
    }
    machine.close()
}

#[test]
fn property_no_exchange_is_missing_however_packets_are_cut_and_whenever_user_space_looks() {
    with_machine(|machine| {
        let plan = (
            prop::collection::vec(call(), 1..10),
            prop_oneof![Just(1usize), 2usize..12],
            any::<(bool, bool)>(),
            prop::collection::vec(step(), 4..60),
        );
        let machine = RefCell::new(machine);
        let result = TestRunner::new(Config { failure_persistence: None, ..Config::default() }).run(
            &plan,
            |(calls, window, apart, mut steps)| {
                let machine = &mut *machine.borrow_mut();
                steps.extend([Step::Send(300), Step::Answer(300), Step::Read, Step::Drain]);
                let expected: Vec<_> =
                    calls.iter().enumerate().map(|(n, call)| (format!("/{n}"), u32::from(call.status))).collect();
                let seen = play(machine, &calls, window, apart, &steps);
                prop_assert_eq!(seen, expected, "{:?}", machine.kernel.counters().unwrap().lost());
                prop_assert_eq!(machine.ledger.dropped_for(Drop::NoResponse), 0);
                Ok(())
            },
        );
        if let Err(error) = result {
            panic!("{error}");
        }
    });
}
