//! A connection that makes room: what it may not hide, what is counted of it, and what it gives back.
use crate::flow::{Flow, Limits, default_response_headers};
use crate::flows::Flows;
use crate::ledger::{Drop, Ledger};
use crate::record::{self, Record, Tuple};
use crate::tls::Store;
use crate::wire::Exchange;

const TUPLE: Tuple = Tuple { remote: [1; 16], local: [2; 16], remote_port: 1, local_port: 2, family: 4 };
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

pub(crate) fn limits() -> Limits {
    Limits { max_flow_bytes: 1 << 18, max_body_bytes: 1 << 16, response_headers: default_response_headers() }
}

pub(crate) fn record(flow_id: u64, flags: u16, seq: u32, ack: u32, payload: &[u8]) -> Record<'_> {
    let flags = flags | record::PACKET;
    Record { flow_id, ktime_ns: 1, target: 1, tuple: TUPLE, flags, seq, ack, base: seq, in_isn: 0, out_isn: 0, payload }
}

/// One connection, whose sides wait for nothing.
struct One {
    flow: Flow,
    store: Store,
    ledger: Ledger,
    out: Vec<Exchange>,
    client: u32,
    server: u32,
}

impl One {
    fn new() -> Self {
        Self {
            flow: Flow::new(&record(1, 0, 1, 1, b"x"), &limits()),
            store: Store::default(),
            ledger: Ledger::default(),
            out: Vec::new(),
            client: 1,
            server: 1,
        }
    }

    fn push(&mut self, record: &Record) {
        self.flow.push(record, &mut self.store, &mut self.ledger, &mut |exchange| self.out.push(exchange));
    }

    fn client_at(&mut self, seq: u32, bytes: &[u8]) {
        self.push(&record(1, 0, seq, self.server, bytes));
    }

    fn client(&mut self, bytes: &[u8]) {
        self.client_at(self.client, bytes);
        self.client += bytes.len() as u32;
    }

    fn server(&mut self, bytes: &[u8]) {
        self.push(&record(1, record::OUT | record::HEAD, self.server, self.client, bytes));
        self.server += bytes.len() as u32;
    }

    fn acknowledge(&mut self) {
        self.push(&record(1, record::OUT, self.server, self.client, b""));
    }
}

/// A TLS connection of which no secret comes: its hello, and so many records of 16 KiB.
fn sealed(records: usize) -> Vec<Vec<u8>> {
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let hello = [&[22, 3, 1, 0, message.len() as u8][..], &message].concat();
    let data = [&[23, 3, 3, 0x40, 0][..], &[9; 0x4000]].concat();
    [vec![hello], vec![data; records]].concat()
}

#[test]
fn a_second_copy_of_what_was_forgotten_counts_as_differing() {
    let forged_chunk = b"0\r\n\r\nGET /phantom HTTP/1.1\r\nX: ";
    let actual_chunk = [&b"1b\r\n"[..], &[b'z'; 27]].concat();
    let chunked = [&b"POST /u HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &b"1\r\na\r\n".repeat(20)].concat();
    let upload = |length: u32| format!("POST /a HTTP/1.1\r\nContent-Length: {length:02}\r\n\r\nabcd").into_bytes();
    let cases: [[&[u8]; 4]; 3] = [
        [b"", b"GET /forged HTTP/1.1\r\nX: ", b"GET /actual HTTP/1.1\r\nX: ", b"y\r\n\r\n"],
        [&chunked, forged_chunk, &actual_chunk, b"y\r\n\r\n"],
        [b"", &upload(4), &upload(99), b"GET /phantom HTTP/1.1\r\n\r\n"],
    ];
    for [before, forged, actual, behind] in cases {
        assert_eq!(forged.len(), actual.len());
        let mut one = One::new();
        one.client(before);
        one.client(forged);
        one.flow.strip_bodies(&mut one.ledger);
        one.client_at(1 + before.len() as u32, actual);
        one.server(OK);
        one.client(behind);
        one.server(OK);
        assert!(!one.out.is_empty() && one.out.iter().all(|exchange| exchange.conflicting), "{:?}", one.out);
    }
}

#[test]
fn trailers_and_what_stood_behind_heads_are_counted_or_not_kept() {
    let mut one = One::new();
    let trailer = vec![b'x'; 15_000];
    for _ in 0..50 {
        let head = &b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "[..];
        one.client(&[head, &trailer, b"\r\n\r\n"].concat());
        one.acknowledge();
    }
    assert!(one.flow.memory() > 50 * trailer.len());
    let mut one = One::new();
    one.client(b"POST / HTTP/1.1\r\nX:");
    one.client(&[&b"y\r\nTransfer-Encoding: chunked\r\n\r\n0;"[..], &trailer, b"\r\n\r\n"].concat());
    one.server(OK);
    let request = one.out.remove(0).request.unwrap();
    let method = request.method.clone();
    drop(request);
    assert!(method.try_into_mut().unwrap().capacity() < 1000, "the buffer with what stood behind the head is gone");
}

#[test]
fn a_connection_that_rests_holds_nothing() {
    let mut one = One::new();
    for _ in 0..3 {
        one.client(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n");
        one.client(b"body");
        one.server(OK);
        assert_eq!((one.out.len(), one.flow.memory()), (1, 0));
        one.out.clear();
    }
}

#[test]
fn a_connection_that_is_dark_holds_nothing() {
    let mut one = One::new();
    for bytes in sealed(20) {
        one.client(&bytes);
        one.acknowledge();
    }
    assert_eq!(one.flow.memory(), 0);
}

#[test]
fn what_is_in_no_order_any_more_is_given_back() {
    let mut one = One::new();
    for at in 0..200 {
        one.client_at(10 + 2 * at, b"x");
    }
    one.flow.finish(Drop::NoResponse, &mut one.store, &mut one.ledger, &mut |_| {});
    assert_eq!(one.flow.memory(), 0);
}

#[test]
fn dark_connections_cost_those_that_are_read_nothing() {
    let mut flows = Flows::new(4096, limits()).with_max_bytes(8 << 20);
    let (mut ledger, mut told) = (Ledger::default(), 0);
    let mut done = |_, _| told += 1;
    flows.push(&record(9, 0, 1, 1, b"GET /slow HTTP/1.1\r\n\r\n"), &mut ledger, &mut done);
    for id in 100..160 {
        let mut seq = 1;
        for bytes in sealed(18) {
            flows.push(&record(id, 0, seq, 1, &bytes), &mut ledger, &mut done);
            seq += bytes.len() as u32;
            flows.push(&record(id, record::OUT, 1, seq, b""), &mut ledger, &mut done);
        }
    }
    flows.push(&record(9, record::OUT | record::HEAD, 1, 23, OK), &mut ledger, &mut done);
    assert_eq!((told, ledger.dropped_total()), (1, 0));
}

#[test]
fn a_connection_that_was_ended_to_make_room_stays_unread() {
    let mut flows = Flows::new(4096, limits()).with_max_bytes(32 << 10);
    let (mut ledger, mut told) = (Ledger::default(), 0);
    let mut done = |_, _| told += 1;
    // A handshake message that does not end.
    let message = [&[1, 0, 0xf0, 0][..], &[7; 60_000]].concat();
    let (mut seq, mut ignored) = (1, false);
    for part in message.chunks(15_000) {
        let bytes = [&[22, 3, 1, (part.len() >> 8) as u8, part.len() as u8][..], part].concat();
        ledger.drained += bytes.len() as u64;
        ignored = flows.push(&record(1, 0, seq, 1, &bytes), &mut ledger, &mut done).ignore;
        seq += bytes.len() as u32;
    }
    assert!(ignored && !flows.knows(1) && flows.memory() == 0);
    for (flags, bytes) in [(0, &b"GET /phantom HTTP/1.1\r\n\r\n"[..]), (record::OUT | record::HEAD, OK)] {
        ledger.drained += bytes.len() as u64;
        assert!(flows.push(&record(1, flags, seq, seq, bytes), &mut ledger, &mut done).ignore);
    }
    assert_eq!((told, ledger.captured), (0, 0));
    assert_eq!(ledger.drained, ledger.parsed + ledger.discarded_total());
}
