//! The sceptic's check: whatever happens to the segments of a recorded connection, no exchange is ever wrong.
//! It equals the one of the clean recording, or it is missing, or it says what is wrong with it.
use std::collections::HashMap;

use proptest::prelude::*;

use crate::flow::{Flow, Limits, default_response_headers};
use crate::ledger::{Drop, Ledger};
use crate::record::{self, Record, Tuple};
use crate::tls::Store;
use crate::wire::{Exchange, Pairing};

const CLIENT_ISN: u32 = u32::MAX - 700; // the stream wraps
const SERVER_ISN: u32 = u32::MAX - 300;

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: usize,
    pub(crate) body: Vec<u8>,
    pub(crate) chunked: bool,
    pub(crate) status: u16,
    pub(crate) response_body: usize,
    pub(crate) response_chunked: bool,
    /// The next one is sent without waiting for this one's answer.
    pub(crate) pipelined: bool,
    pub(crate) interim: bool,
}

#[derive(Clone, Debug)]
struct Segment {
    flags: u16,
    seq: u32,
    ack: u32,
    base: u32,
    payload: Vec<u8>,
    time: u64,
}

pub(crate) fn call() -> impl Strategy<Value = Call> {
    let body = prop::collection::vec(any::<u8>(), 0..300);
    (0usize..4, body, any::<bool>(), 200u16..600, 0usize..400, any::<bool>(), prop::bool::weighted(0.2), any::<bool>())
        .prop_map(|(method, body, chunked, status, response_body, response_chunked, pipelined, interim)| Call {
            method,
            body,
            chunked,
            status,
            response_body,
            response_chunked,
            pipelined,
            interim,
        })
}

pub(crate) fn request_bytes(index: usize, call: &Call) -> Vec<u8> {
    let method = ["GET", "POST", "PUT", "HEAD"][call.method];
    let mut bytes =
        format!("{method} /{index}?s={} HTTP/1.1\r\nHost: a\r\nX-Id: {index}\r\n", call.status).into_bytes();
    if call.method == 1 || call.method == 2 {
        if call.chunked {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in call.body.chunks(70) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", call.body.len()).as_bytes());
            bytes.extend_from_slice(&call.body);
        }
    } else {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn has_body(call: &Call) -> bool {
    call.method == 1 || call.method == 2
}

/// Head, and whether a body follows.
pub(crate) fn response_bytes(call: &Call) -> (Vec<u8>, Vec<u8>) {
    let mut head = Vec::new();
    if call.interim {
        head.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    head.extend_from_slice(format!("HTTP/1.1 {} Whatever\r\nContent-Type: text/plain\r\n", call.status).as_bytes());
    let none = call.method == 3 || call.status == 204 || call.status == 304;
    let mut body = Vec::new();
    if call.response_chunked && call.status != 204 {
        head.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        if !none {
            // Looks like a response, to tempt whoever searches for one.
            body = format!(
                "{:x}\r\n{}\r\n0\r\n\r\n",
                16 + call.response_body,
                "HTTP/1.1 200 OK\n".to_owned() + &"b".repeat(call.response_body)
            )
            .into_bytes();
        }
    } else if call.status == 204 {
        head.extend_from_slice(b"\r\n");
    } else {
        head.extend_from_slice(format!("Content-Length: {}\r\n\r\n", call.response_body).as_bytes());
        if !none {
            body = vec![b'b'; call.response_body];
        }
    }
    (head, body)
}

/// Plays the calls as a client, a server and the kernel side would, and records what the ring gets.
/// `framed`: the kernel leaves response bodies out; else it hands over everything.
fn record_calls(calls: &[Call], framed: bool, cuts: &[usize]) -> Vec<Segment> {
    let (mut client, mut server) = (CLIENT_ISN.wrapping_add(1), SERVER_ISN.wrapping_add(1));
    let mut base = server;
    let mut segments = Vec::new();
    let mut cut = cuts.iter().copied().cycle();
    let mut time = 0;
    let mut at = 0;
    while at < calls.len() {
        // A burst: all that is sent without waiting.
        let burst = 1 + calls[at..].iter().take_while(|c| c.pipelined).count().min(calls.len() - at - 1);
        let mut rest: Vec<u8> = (at..at + burst).flat_map(|i| request_bytes(i, &calls[i])).collect();
        while !rest.is_empty() {
            let n = cut.next().unwrap_or(100).clamp(1, rest.len());
            let payload: Vec<u8> = rest.drain(..n).collect();
            time += 1;
            segments.push(Segment { flags: record::PACKET, seq: client, ack: server, base: 0, payload, time });
            client = client.wrapping_add(n as u32);
        }
        for call in &calls[at..at + burst] {
            let (head, body) = response_bytes(call);
            time += 1;
            let flags = record::OUT | record::PACKET;
            if framed {
                let flags = flags | record::HEAD;
                let split = if call.interim { 25 } else { 0 };
                for part in [&head[..split], &head[split..]] {
                    if part.is_empty() {
                        continue;
                    }
                    segments.push(Segment { flags, seq: server, ack: client, base, payload: part.to_vec(), time });
                    server = server.wrapping_add(part.len() as u32);
                    base = server;
                }
                server = server.wrapping_add(body.len() as u32);
            } else {
                let mut all = head;
                all.extend_from_slice(&body);
                while !all.is_empty() {
                    let n = cut.next().unwrap_or(100).clamp(1, all.len());
                    let payload: Vec<u8> = all.drain(..n).collect();
                    segments.push(Segment {
                        flags: flags | record::RAW,
                        seq: server,
                        ack: client,
                        base: server,
                        payload,
                        time,
                    });
                    server = server.wrapping_add(n as u32);
                }
            }
        }
        at += burst;
    }
    segments
}

fn play(segments: &[Segment], joined: bool) -> (Vec<Exchange>, Ledger) {
    play_with(segments, joined, |_, _, _| {})
}

/// `between`: called behind each segment, by its number.
fn play_with(
    segments: &[Segment],
    joined: bool,
    between: impl Fn(usize, &mut Flow, &mut Ledger),
) -> (Vec<Exchange>, Ledger) {
    let limits =
        Limits { max_flow_bytes: 1 << 16, max_body_bytes: 1 << 16, response_headers: default_response_headers() };
    let (mut ledger, mut out) = (Ledger::default(), Vec::new());
    let mut flow: Option<Flow> = None;
    for (number, segment) in segments.iter().enumerate() {
        let record = Record {
            flow_id: 1,
            ktime_ns: segment.time,
            target: 1,
            tuple: Tuple { remote: [1; 16], local: [2; 16], remote_port: 1, local_port: 2, family: 4 },
            flags: segment.flags | if joined { record::JOINED } else { 0 },
            seq: segment.seq,
            ack: segment.ack,
            base: segment.base,
            in_isn: if joined { 0 } else { CLIENT_ISN },
            out_isn: if joined { 0 } else { SERVER_ISN },
            payload: &segment.payload,
        };
        ledger.drained += segment.payload.len() as u64;
        let flow = flow.get_or_insert_with(|| Flow::new(&record, &limits));
        flow.push(&record, &mut Store::default(), &mut ledger, &mut |e| out.push(e));
        between(number, flow, &mut ledger);
    }
    if let Some(mut flow) = flow {
        flow.finish(Drop::NoResponse, &mut Store::default(), &mut ledger, &mut |e| out.push(e));
    }
    assert_eq!(ledger.captured, out.len() as u64 + ledger.dropped_total(), "exchanges: the ledger closes");
    assert_eq!(ledger.drained, ledger.parsed + ledger.discarded_total(), "bytes: the ledger closes");
    (out, ledger)
}

pub(crate) fn index_of(exchange: &Exchange) -> usize {
    let target = &exchange.request.as_ref().unwrap().target;
    let text = std::str::from_utf8(target).unwrap();
    text[1..text.find('?').unwrap()].parse().unwrap()
}

/// Panics when the exchange says anything that is not so. `certain`: its answer must be right, too.
pub(crate) fn check(exchange: &Exchange, calls: &[Call], certain: bool) {
    let index = index_of(exchange);
    let call = &calls[index];
    let request = exchange.request.as_ref().unwrap();
    assert_eq!(request.method, ["GET", "POST", "PUT", "HEAD"][call.method]);
    assert_eq!(request.target, format!("/{index}?s={}", call.status));
    assert_eq!(request.headers.iter().find(|h| h.name == "X-Id").unwrap().value, index.to_string());
    let body: &[u8] = if has_body(call) { &call.body } else { &[] };
    if request.body_truncated {
        assert!(body.starts_with(&request.body), "a truncated body is a prefix");
    } else {
        assert_eq!(&request.body[..], body);
    }
    if let Some(length) = request.body_length {
        assert_eq!(length, body.len() as u64);
    }
    if certain {
        assert_eq!(exchange.response.as_ref().unwrap().status, u32::from(call.status), "paired with its own answer");
    }
}

/// Reorders and repeats client segments within what TCP allows: none moves behind an answer that acknowledges it.
fn shuffle(segments: &[Segment], moves: &[(usize, bool)]) -> Vec<Segment> {
    let mut shuffled = segments.to_vec();
    for (i, (distance, repeat)) in moves.iter().enumerate() {
        let at = (i * 7) % shuffled.len();
        if shuffled[at].flags & record::OUT != 0 {
            continue;
        }
        let mut to = at;
        while to + 1 < shuffled.len() && to < at + distance && shuffled[to + 1].flags & record::OUT == 0 {
            to += 1;
        }
        if *repeat {
            // A retransmission may come late.
            let again = shuffled[at].clone();
            let place = (at + distance + 1).min(shuffled.len());
            shuffled.insert(place, again);
        } else {
            let moved = shuffled.remove(at);
            shuffled.insert(to, moved);
        }
    }
    shuffled
}

proptest! {
    #[test]
    fn any_cutting_reordering_and_repetition_gives_the_clean_exchanges(
        calls in prop::collection::vec(call(), 1..8),
        framed in any::<bool>(),
        cuts in prop::collection::vec(1usize..200, 1..6),
        moves in prop::collection::vec((0usize..5, any::<bool>()), 0..20),
    ) {
        let segments = shuffle(&record_calls(&calls, framed, &cuts), &moves);
        let (exchanges, ledger) = play(&segments, false);
        prop_assert_eq!(exchanges.len(), calls.len(), "{:?}", ledger.dropped());
        for (i, exchange) in exchanges.iter().enumerate() {
            prop_assert_eq!(index_of(exchange), i);
            check(exchange, &calls, true);
            prop_assert!(!exchange.gap && !exchange.conflicting && exchange.pairing() == Pairing::Order);
            prop_assert!(!exchange.request.as_ref().unwrap().body_truncated);
        }
    }

    #[test]
    fn lost_segments_and_bodies_that_make_room_never_give_a_wrong_exchange(
        calls in prop::collection::vec(call(), 1..12),
        framed in any::<bool>(),
        cuts in prop::collection::vec(1usize..200, 1..6),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        joined in any::<bool>(),
        moves in prop::collection::vec((0usize..5, any::<bool>()), 0..6),
        stripped in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let clean = record_calls(&calls, framed, &cuts);
        let mut segments = shuffle(&clean, &moves);
        for index in lost {
            if !segments.is_empty() {
                let at = index.index(segments.len());
                segments.remove(at);
            }
        }
        let (exchanges, _) = play_with(&segments, joined, |number, flow, ledger| {
            if stripped.iter().any(|index| index.index(segments.len()) == number) {
                flow.strip_bodies(ledger);
            }
        });
        let pipelines = calls.iter().any(|c| c.pipelined);
        let mut seen = HashMap::new();
        for exchange in &exchanges {
            // By order: always right. By acknowledgement: right for a client that waits; a client that
            // pipelines only within what was lost cannot be told from it, and the exchange says so.
            check(exchange, &calls, exchange.pairing() == Pairing::Order || !pipelines);
            prop_assert!(seen.insert(index_of(exchange), ()).is_none(), "twice");
        }
    }

    #[test]
    fn bodies_that_make_room_cost_no_exchange(
        calls in prop::collection::vec(call(), 1..12),
        framed in any::<bool>(),
        cuts in prop::collection::vec(1usize..200, 1..6),
    ) {
        let segments = record_calls(&calls, framed, &cuts);
        let (exchanges, ledger) = play_with(&segments, false, |_, flow, ledger| flow.strip_bodies(ledger));
        prop_assert_eq!(exchanges.len(), calls.len(), "{:?}", ledger.dropped());
        for exchange in &exchanges {
            check(exchange, &calls, true);
            prop_assert!(exchange.pairing() == Pairing::Order && !exchange.conflicting);
            let call = &calls[index_of(exchange)];
            let length = if has_body(call) { call.body.len() } else { 0 };
            prop_assert_eq!(exchange.request.as_ref().unwrap().body_length, Some(length as u64));
        }
    }

    #[test]
    fn one_lost_segment_costs_few_exchanges_when_the_client_waits(
        mut calls in prop::collection::vec(call(), 6..12),
        cuts in prop::collection::vec(60usize..200, 1..6),
        lost in any::<prop::sample::Index>(),
        framed in any::<bool>(),
    ) {
        for call in &mut calls {
            call.pipelined = false;
        }
        let mut segments = record_calls(&calls, framed, &cuts);
        let at = lost.index(segments.len());
        segments.remove(at);
        let (exchanges, ledger) = play(&segments, false);
        // Raw response bytes carry no boundary that a lost one could be found again by.
        if framed {
            prop_assert!(exchanges.len() + 3 >= calls.len(), "{} of {}: {:?}", exchanges.len(), calls.len(), ledger.dropped());
        }
    }

    #[test]
    fn a_differing_copy_is_never_taken_silently(
        calls in prop::collection::vec(call(), 1..6),
        cuts in prop::collection::vec(1usize..200, 1..6),
        forged in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<u8>()), 1..4),
    ) {
        let mut segments = record_calls(&calls, true, &cuts);
        for (index, before, change) in forged {
            let at = index.index(segments.len());
            let mut copy = segments[at].clone();
            if copy.flags & record::OUT != 0 {
                continue;
            }
            for byte in &mut copy.payload {
                *byte ^= change | 1;
            }
            segments.insert(if before { at } else { at + 1 }, copy);
        }
        let (exchanges, _) = play(&segments, false);
        for exchange in exchanges.iter().filter(|e| !e.conflicting) {
            check(exchange, &calls, true);
        }
    }
}

/// One request in one segment, and its answer.
fn simple(request: &[u8], flags: u16) -> Vec<Segment> {
    let client = CLIENT_ISN.wrapping_add(1);
    let server = SERVER_ISN.wrapping_add(1);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let ack = client.wrapping_add(request.len() as u32);
    let flags_out = record::OUT | record::PACKET | record::HEAD;
    vec![
        Segment {
            flags: record::PACKET | flags,
            seq: client,
            ack: server,
            base: 0,
            payload: request.to_vec(),
            time: 1,
        },
        Segment { flags: flags_out, seq: server, ack, base: server, payload: answer, time: 2 },
    ]
}

#[test]
fn urgent_data_is_reported_as_a_conflict() {
    let (exchanges, _) = play(&simple(b"GET /pasXswd HTTP/1.1\r\n\r\n", record::URGENT), false);
    assert!(exchanges[0].conflicting);
}

#[test]
fn what_looks_like_a_request_behind_101_is_none() {
    let mut segments = simple(b"GET / HTTP/1.1\r\nUpgrade: echo\r\n\r\n", 0);
    // Handed over whole: the kernel does not know of the 101.
    segments[1].flags = record::OUT | record::PACKET | record::RAW;
    segments[1].payload = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n".to_vec();
    let payload = b"GET /not-a-request HTTP/1.1\r\nX-Id: tunnelled\r\n\r\n".to_vec();
    let (seq, base) = (segments[1].ack, segments[1].base.wrapping_add(segments[1].payload.len() as u32));
    let end = seq.wrapping_add(payload.len() as u32);
    segments.push(Segment { flags: record::PACKET, seq, ack: base, base: 0, payload: payload.clone(), time: 3 });
    let flags = record::OUT | record::PACKET | record::RAW;
    segments.push(Segment { flags, seq: base, ack: end, base, payload, time: 4 });
    let (exchanges, ledger) = play(&segments, false);
    assert_eq!((exchanges.len(), ledger.captured, ledger.dropped_total()), (1, 1, 0));
    assert_eq!(ledger.discarded().get("ignored"), Some(&96));
}

#[test]
fn a_request_that_two_servers_read_differently_is_dropped_by_that_name() {
    let request = b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let (exchanges, ledger) = play(&simple(request, 0), false);
    assert_eq!((exchanges.len(), ledger.dropped_for(Drop::AmbiguousLength)), (0, 1));
}

#[test]
fn outstanding_requests_of_one_connection_have_a_bound() {
    let mut segments = Vec::new();
    let mut seq = CLIENT_ISN.wrapping_add(1);
    for i in 0..100u64 {
        let mut payload = b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n".to_vec();
        payload.resize(payload.len() + 60000, b'x');
        let next = seq.wrapping_add(payload.len() as u32);
        segments.push(Segment { flags: record::PACKET, seq, ack: 1, base: 0, payload, time: i });
        seq = next;
    }
    let (_, ledger) = play(&segments, false);
    assert_eq!(ledger.dropped_for(Drop::TooManyPending), 1);
    assert!(ledger.captured < 20);
}

/// What both sides send, each piece in a segment of its own.
enum Piece<'a> {
    Client(&'a str),
    /// What it has received as it says lacks the last byte.
    Stale(&'a str),
    /// So many bytes of the client's.
    Lost(usize),
    Server(u16),
}
use Piece::{Client, Lost, Server, Stale};

fn dialogue(pieces: &[Piece]) -> Vec<Segment> {
    let (mut client, mut server) = (CLIENT_ISN.wrapping_add(1), SERVER_ISN.wrapping_add(1));
    let mut segments = Vec::new();
    for (time, piece) in (0..).zip(pieces) {
        match piece {
            Client(text) | Stale(text) => {
                let payload = text.as_bytes().to_vec();
                let ack = server.wrapping_sub(u32::from(matches!(piece, Stale(_))));
                segments.push(Segment { flags: record::PACKET, seq: client, ack, base: 0, payload, time });
                client = client.wrapping_add(text.len() as u32);
            }
            Lost(bytes) => client = client.wrapping_add(*bytes as u32),
            Server(status) => {
                let payload = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n").into_bytes();
                let flags = record::OUT | record::PACKET | record::HEAD;
                let (seq, next) = (server, server.wrapping_add(payload.len() as u32));
                segments.push(Segment { flags, seq, ack: client, base: server, payload, time });
                server = next;
            }
        }
    }
    segments
}

fn told(pieces: &[Piece], joined: bool) -> Vec<(String, u32)> {
    let (exchanges, _) = play(&dialogue(pieces), joined);
    let pair = |exchange: &Exchange| {
        let target = exchange.request.as_ref().unwrap().target.to_vec();
        (String::from_utf8(target).unwrap(), exchange.response.as_ref().unwrap().status)
    };
    exchanges.iter().map(pair).collect()
}

const CHUNKED: &str = "POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nxxxx";
/// What the server takes for body, or header.
const PHANTOM: &str = "GET /phantom HTTP/1.1\r\n\r\n";

#[test]
fn behind_a_chunked_body_whose_end_was_lost_a_request_begins_where_the_answer_says() {
    const HIDING: &str = "GET /phantom HTTP/1.1\r\nX: ";
    let pair = |target: &str, status| (target.to_owned(), status);
    let upload = pair("/upload", 201);
    // A client that waits.
    let honest = [Client(CHUNKED), Lost(9000), Server(201), Client("GET /1 HTTP/1.1\r\n\r\n"), Server(200)];
    assert_eq!(told(&honest, false), [upload.clone(), pair("/1", 200)]);
    // The rest of the body comes behind an early answer, and the server reads what looks like a request as body.
    let rest = [Client("xxxx"), Client(HIDING), Client("\r\n0\r\n\r\nGET /1 HTTP/1.1\r\n\r\n"), Server(200)];
    let early: Vec<Piece> = [Client(CHUNKED), Lost(9000), Server(201)].into_iter().chain(rest).collect();
    assert_eq!(told(&early, false), std::slice::from_ref(&upload));
    // What follows the next answer is found again.
    let later: Vec<Piece> = early.into_iter().chain([Client("GET /2 HTTP/1.1\r\n\r\n"), Server(204)]).collect();
    assert_eq!(told(&later, false), [upload, pair("/2", 204)]);
    // It looks like a request before any answer came: the client may be one that does not wait.
    let before = [Client(CHUNKED), Lost(9000), Client(HIDING), Client("\r\n0\r\n\r\n"), Server(201)];
    assert_eq!(told(&before, false), []);
}

#[test]
fn the_rest_of_an_upload_that_was_given_up_among_pipelined_requests_is_no_request() {
    let (one, two) = (Client("GET /1 HTTP/1.1\r\n\r\n"), Client("GET /2 HTTP/1.1\r\n\r\n"));
    let short = Client("POST /upload HTTP/1.1\r\nContent-Length: 29\r\n\r\nxxxx");
    let pieces = [one, two, short, Server(201), Server(202), Client(PHANTOM), Server(203)];
    assert_eq!(told(&pieces, true), []);
    // Answered before its end.
    let long = Client("POST /upload HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nxxxx");
    let hiding = "GET /phantom HTTP/1.1\r\nContent-Length: 26\r\n\r\nyyyyGET /3 HTTP/1.1\r\n\r\n";
    let pieces = [Client("GET /1 HTTP/1.1\r\n\r\n"), long, Server(201), Server(401), Client(hiding), Server(203)];
    assert_eq!(told(&pieces, true), []);
    // Its end is lost.
    let (zero, one, two) = ("GET /0 HTTP/1.1\r\n\r\n", "GET /1 HTTP/1.1\r\n\r\n", "GET /2 HTTP/1.1\r\n\r\n");
    let before = [Client(zero), Server(200), Lost(50), Server(200)];
    let uploads = [Client(one), Client(two), Client(CHUNKED), Lost(9000), Server(201), Server(202)];
    let pieces: Vec<_> = before.into_iter().chain(uploads).chain([Client(PHANTOM), Server(203)]).collect();
    assert_eq!(told(&pieces, false), [("/0".to_owned(), 200)]);
}

#[test]
fn what_follows_lost_bytes_of_a_head_or_before_one_is_no_request_before_an_answer() {
    let begin = [("POST /real HTTP/1.1\r\nX: ", true), ("POST /real HTTP/1.1\r\nX: ", false), ("", false)];
    for (head, stale) in begin {
        let head = if stale { Stale(head) } else { Client(head) };
        let before = [Client("GET /0 HTTP/1.1\r\n\r\n"), Server(200), head, Lost(300), Client(PHANTOM), Server(203)];
        let behind = ["GET /1 HTTP/1.1\r\n\r\n", "GET /2 HTTP/1.1\r\n\r\n"].map(|next| [Client(next), Server(204)]);
        let pieces: Vec<_> = before.into_iter().chain(behind.into_iter().flatten()).collect();
        let told = told(&pieces, false);
        assert!(told.iter().all(|(target, _)| target != "/phantom"), "{told:?}");
        assert_eq!(told.last(), Some(&("/2".to_owned(), 204)), "{told:?}");
    }
}

#[test]
fn as_many_answers_are_awaited_as_requests_were_under_way_when_bytes_were_lost() {
    let (zero, one, two) = ("GET /0 HTTP/1.1\r\n\r\n", "GET /1 HTTP/1.1\r\n\r\n", "GET /2 HTTP/1.1\r\n\r\n");
    // In each the lost bytes begin a body that goes on with what looks like a request.
    let phantom = || [Client(PHANTOM), Server(203)];
    let known = [Client(one), Lost(300), Server(201)];
    let doubted = [Client(one), Client(two), Lost(300), Server(201)];
    let stale = [Client(zero), Server(200), Stale(one), Lost(300), Server(201)];
    let upload = [Client(zero), Server(200), Stale(one), Client(CHUNKED), Lost(9000), Server(201)];
    let all: [Vec<Piece>; 4] = [known.into(), doubted.into(), stale.into(), upload.into()];
    for (n, mut pieces) in all.into_iter().enumerate() {
        pieces.extend(phantom());
        for joined in [true, false] {
            let told = told(&pieces, joined);
            let is_right =
                |(target, status): &(String, u32)| matches!((&target[..], status), ("/0", 200) | ("/1", 201));
            assert!(told.iter().all(is_right), "{n} {joined} {told:?}");
        }
    }
}

#[test]
fn a_request_that_has_lost_no_answer_is_not_passed_over_for_a_later_one() {
    let before = [Client("GET /0 HTTP/1.1\r\n\r\n"), Server(200), Lost(30), Server(200)];
    let behind = [Stale("GET /1 HTTP/1.1\r\n\r\n"), Client("GET /2 HTTP/1.1\r\n\r\n"), Server(201), Server(202)];
    let pieces: Vec<_> = before.into_iter().chain(behind).collect();
    assert_eq!(told(&pieces, false), [("/0".to_owned(), 200)]);
}

#[test]
fn empty_lines_before_requests_cost_none_of_them() {
    for (line, request) in [("\r\n", "GET /b HTTP/1.1\r\n\r\n"), ("", "\r\nGET /b HTTP/1.1\r\n\r\n")] {
        let mut pieces = vec![Client("GET /a HTTP/1.1\r\n\r\n"), Server(200), Lost(30), Server(200)];
        for _ in 0..5 {
            pieces.extend([Client(line), Client(request), Server(200)]);
        }
        assert_eq!(told(&pieces, false).len(), 6);
    }
}

#[test]
fn a_body_that_is_too_long_to_compare_hides_no_request() {
    let long = Client("POST /upload HTTP/1.1\r\nContent-Length: 2000000000\r\n\r\nxxxx");
    let before = [Client("GET /0 HTTP/1.1\r\n\r\n"), long, Server(200), Server(401), Client(PHANTOM), Server(203)];
    assert_eq!(told(&before, true), []);
}
