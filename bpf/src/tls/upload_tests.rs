//! Clients that put something else among the records of a body that stays in the kernel: padding, new keys, alerts. Their
//! records are sealed here, by hand; the server is a real one.
use super::connection::{State, Why};
use super::conversation::{Conversation, Plan, Step};
use super::flow_properties::{MAX_FLOW_BYTES, Played, Segment, play_skipping, record_conversation};
use super::keys::{Key, Traffic};
use super::record::{ALERT, APPLICATION_DATA, HANDSHAKE};
use super::session::Side;
use super::suite::{Suite, Version};
use crate::ledger::Drop;
use crate::record;
use crate::seq::ahead;
use crate::wire::{Exchange, Pairing};

/// Stands for what the client writes, in the conversation that is held.
const PLACEHOLDER_BYTES: usize = 777;

/// The body, in the records that it is written in up to where they are odd.
pub(super) const BODY_BYTES: usize = 400_000;
const CHUNK_BYTES: usize = 16384;

pub(super) struct Client {
    suite: Suite,
    traffic: Box<Traffic>,
    number: u64,
}

impl Client {
    pub(super) fn seal(&mut self, content: u8, bytes: &[u8], padding: usize) -> Vec<u8> {
        self.number += 1;
        self.traffic.key.seal(self.number - 1, content, bytes, padding)
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.chunks(CHUNK_BYTES).flat_map(|chunk| self.seal(APPLICATION_DATA, chunk, 0)).collect()
    }

    pub(super) fn update_key(&mut self) -> Vec<u8> {
        let record = self.seal(HANDSHAKE, &[24, 0, 0, 1, 0], 0);
        self.traffic = self.traffic.next_generation().unwrap();
        self.number = 0;
        record
    }
}

/// What the client writes before each answer; the answers are 201 and 200, by turns.
pub(super) fn hold(number: u16, turns: usize, write: impl FnOnce(&mut Client) -> Vec<Vec<u8>>) -> Conversation {
    let mut plan = Plan { steps: Vec::new(), ..Plan::new(number) };
    for turn in 0..turns {
        plan.steps.push(Step::Send(Side::Client, vec![0; PLACEHOLDER_BYTES]));
        let answer = format!("HTTP/1.1 20{} Fine\r\nContent-Length: 0\r\n\r\n", (turn + 1) % 2);
        plan.steps.push(Step::Send(Side::Server, answer.into_bytes()));
    }
    let mut conversation = Conversation::hold(&plan);
    let version = if plan.is_tls13() { Version::Tls13 } else { Version::Tls12 };
    let suite = Suite::of(version, number).unwrap();
    let secret = |label: &str| &conversation.secrets.iter().find(|(name, _)| name == label).unwrap().1;
    let (_, hello) = conversation.records.iter().find(|(side, _)| *side == Side::Server).unwrap();
    let server_random = hello[11..43].try_into().unwrap();
    let traffic = match version {
        Version::Tls13 => Traffic::new(suite, secret("CLIENT_TRAFFIC_SECRET_0")).unwrap(),
        Version::Tls12 => {
            let (random, master) = (&conversation.client_random, secret("CLIENT_RANDOM"));
            let key = Key::of_master_secret(suite, master, random, &server_random, Side::Client).unwrap();
            Traffic::without_update(key)
        }
    };
    // Of TLS 1.2 the Finished was number 0.
    let mut client = Client { suite, traffic, number: u64::from(version == Version::Tls12) };
    let mut written = write(&mut client).into_iter();
    let placeholder = PLACEHOLDER_BYTES + client.suite.overhead();
    for (side, bytes) in &mut conversation.records {
        if *side == Side::Client && bytes.len() == placeholder {
            *bytes = written.next().unwrap();
        }
    }
    // The client's close_notify has a number that is no more.
    let last = conversation.records.iter().rposition(|(side, _)| *side == Side::Client).unwrap();
    conversation.records.remove(last);
    assert!(written.next().is_none());
    conversation
}

fn play(conversation: &Conversation) -> Played {
    let played = play_skipping(conversation, &record_conversation(conversation, &[1448], usize::MAX), &[0], 0);
    assert!(played.skipped > BODY_BYTES / 2, "{} bytes skipped", played.skipped);
    played
}

pub(super) fn head_of_upload() -> Vec<u8> {
    format!("POST /upload HTTP/1.1\r\nContent-Length: {BODY_BYTES}\r\n\r\n").into_bytes()
}

pub(super) fn request(n: usize) -> Vec<u8> {
    format!("GET /{n} HTTP/1.1\r\n\r\n").into_bytes()
}

pub(super) fn targets(played: &Played) -> Vec<(String, u32)> {
    let target = |exchange: &Exchange| {
        let target = exchange.request.as_ref().unwrap().target.to_vec();
        (String::from_utf8(target).unwrap(), exchange.response.as_ref().unwrap().status)
    };
    played.exchanges.iter().map(target).collect()
}

/// An upload with `odd` in the middle of its body, and requests behind it.
fn with_odd_records(number: u16, odd: impl FnOnce(&mut Client) -> Vec<u8>) -> Played {
    let conversation = hold(number, 4, |client| {
        let mut upload = client.data(&head_of_upload());
        upload.extend(client.data(&vec![b'x'; BODY_BYTES / 2]));
        upload.extend(odd(client));
        upload.extend(client.data(&vec![b'x'; BODY_BYTES - BODY_BYTES / 2]));
        vec![upload, client.data(&request(1)), client.data(&request(2)), client.data(&request(3))]
    });
    play(&conversation)
}

#[test]
fn records_that_are_no_body_among_those_of_an_upload_cost_what_is_behind_it_and_nothing_is_wrong() {
    let right = [("/upload", 201), ("/1", 200), ("/2", 201), ("/3", 200)].map(|(t, s)| (t.to_owned(), s));
    for number in [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9] {
        let clean = with_odd_records(number, |_| Vec::new());
        assert_eq!(targets(&clean), right, "{number:x}");
        let timing = clean.exchanges[0].timing.as_ref().unwrap();
        assert!(timing.request_duration_ns.is_some(), "{number:x}: its last record was seen");
        let pairings: Vec<_> = clean.exchanges.iter().map(Exchange::pairing).collect();
        assert_eq!(pairings[0], Pairing::Order, "{number:x}");
        assert_eq!(pairings[1..], [Pairing::Acknowledgement; 3], "{number:x}");
        for (name, played) in [
            ("alert", with_odd_records(number, |client| client.seal(ALERT, &[1, 90], 0))),
            ("empty", with_odd_records(number, |client| client.seal(APPLICATION_DATA, &[], 0))),
        ] {
            let found = targets(&played);
            assert!(right.starts_with(&found) || found.iter().all(|pair| right.contains(pair)), "{name} {found:?}");
            assert_eq!(found[0], right[0], "{number:x} {name}: its head and its answer are known");
            // An empty record is one more: that is allowed for. An alert is not, and may be a request as far as is known.
            assert_eq!(played.exchanges[0].gap, name == "alert", "{number:x} {name}");
            let told = if name == "alert" { &right[..1] } else { &right[..] };
            assert_eq!(found, told, "{number:x} {name}: {:?}", played.ledger.dropped());
        }
    }
}

#[test]
fn behind_an_upload_a_request_whose_head_is_in_two_records_has_its_answer() {
    for number in [0x1301, 0xc02b] {
        let conversation = hold(number, 3, |client| {
            let upload = [client.data(&head_of_upload()), client.data(&vec![b'x'; BODY_BYTES])].concat();
            let head = format!("GET /1 HTTP/1.1\r\nX-Long: {}\r\n\r\n", "y".repeat(20_000));
            vec![upload, client.data(head.as_bytes()), client.data(&request(2))]
        });
        let right = [("/upload", 201), ("/1", 200), ("/2", 201)].map(|(t, s)| (t.to_owned(), s));
        assert_eq!(targets(&play(&conversation)), right, "{number:x}");
    }
}

#[test]
fn new_keys_and_padding_among_the_records_of_an_upload_give_nothing_wrong() {
    let right = [("/upload", 201), ("/1", 200), ("/2", 201), ("/3", 200)].map(|(t, s)| (t.to_owned(), s));
    for number in [0x1301, 0x1302, 0x1303] {
        for (name, played) in [
            ("new keys", with_odd_records(number, Client::update_key)),
            ("padding", with_odd_records(number, |client| client.seal(APPLICATION_DATA, &[], 700))),
        ] {
            let found = targets(&played);
            assert_eq!(found[0], right[0], "{number:x} {name}");
            assert!(found.iter().all(|pair| right.contains(pair)), "{name} {found:?}");
            assert!(played.exchanges[0].gap, "{number:x} {name}");
        }
    }
}

/// How the server answers a client that hides a request in its body behind padding of the same length.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    BehindTheBody,
    /// Without waiting for the body, exactly where its end seems to be.
    Within,
}

fn with_hidden_request(phantom: &[u8], answer: Answer) -> Played {
    let conversation = hold(0x1301, 2, |client| {
        let mut upload = client.data(&head_of_upload());
        upload.extend(client.data(&vec![b'x'; 300_000]));
        upload.extend(client.seal(APPLICATION_DATA, b"y", phantom.len()));
        upload.extend(client.data(&vec![b'x'; BODY_BYTES - 300_001 - phantom.len()]));
        let rest = client.seal(APPLICATION_DATA, phantom, 0);
        let next = client.data(&request(1));
        match answer {
            Answer::BehindTheBody => vec![[upload, rest].concat(), next],
            Answer::Within => vec![upload, [rest, next].concat()],
        }
    });
    play(&conversation)
}

#[test]
fn a_request_hidden_in_a_padded_upload_is_not_taken_for_one() {
    for phantom in [&b"GET /phantom HTTP/1.1\r\n\r\n"[..], b"GET /phantom HTTP/1.1\r\nX: "] {
        let played = with_hidden_request(phantom, Answer::BehindTheBody);
        let found = targets(&played);
        assert!(found.iter().all(|(target, _)| target != "/phantom"), "{found:?}");
    }
}

#[test]
fn what_a_client_hides_from_a_server_that_does_not_wait_for_its_body_never_counts_as_proven() {
    for phantom in [&b"GET /phantom HTTP/1.1\r\n\r\n"[..], b"GET /phantom HTTP/1.1\r\nX: "] {
        let played = with_hidden_request(phantom, Answer::Within);
        for (exchange, (target, _)) in played.exchanges.iter().zip(targets(&played)) {
            assert!(target == "/upload" || exchange.pairing() == Pairing::Acknowledgement, "{target}");
        }
    }
}

#[test]
fn behind_an_upload_that_is_answered_early_nothing_that_a_client_hides_is_taken_for_a_request() {
    for number in [0x1301, 0xc02b] {
        for sent_before in [200_000, BODY_BYTES - 100] {
            let conversation = hold(number, 3, |client| {
                // What the server takes for body yet, and the beginning of what it answers next.
                let phantom = b"GET /phantom HTTP/1.1\r\nX: ";
                let mut first = [client.data(&head_of_upload()), client.data(&vec![b'x'; 100_000])].concat();
                match number {
                    0x1301 => first.extend(client.seal(APPLICATION_DATA, &[], phantom.len())),
                    // An alert is two bytes that are none of the body.
                    _ => (0..phantom.len() / 2).for_each(|_| first.extend(client.seal(ALERT, &[1, 90], 0))),
                }
                first.extend(client.data(&vec![b'x'; sent_before - 100_000]));
                let rest = client.data(&vec![b'x'; BODY_BYTES - sent_before - phantom.len()]);
                let next = client.data(&[phantom, &request(1)[..]].concat());
                vec![first, [rest, next].concat(), client.data(&request(2))]
            });
            let played = play_skipping(&conversation, &cut(&conversation), &[0], 0);
            assert!(played.skipped > 50_000, "{} bytes skipped", played.skipped);
            let found = targets(&played);
            assert_eq!(found, [("/upload".to_owned(), 201)], "{number:x} {sent_before}");
            assert!(played.ledger.dropped_for(Drop::Unpaired) > 0, "{:?}", played.ledger.dropped());
        }
    }
}

#[test]
fn an_upload_that_is_answered_early_and_goes_on_has_its_length_and_nothing_wrong_behind_it() {
    let right = [("/upload", 201), ("/1", 200), ("/2", 201)].map(|(t, s)| (t.to_owned(), s));
    for chunk in [CHUNK_BYTES, 3000] {
        let conversation = hold(0x1301, 3, |client| {
            let body = vec![b'x'; BODY_BYTES];
            let mut seal = |bytes: &[u8]| bytes.chunks(chunk).flat_map(|chunk| client.data(chunk)).collect::<Vec<_>>();
            let first = [seal(&head_of_upload()), seal(&body[..200_000])].concat();
            vec![first, [seal(&body[200_000..]), seal(&request(1))].concat(), seal(&request(2))]
        });
        let played = play_skipping(&conversation, &cut(&conversation), &[0], 0);
        assert!(played.skipped > 50_000, "{} bytes skipped", played.skipped);
        let found = targets(&played);
        assert!(found.iter().all(|pair| right.contains(pair)) && found.contains(&right[0]), "{chunk} {found:?}");
        assert_eq!(played.exchanges[0].request.as_ref().unwrap().body_length, Some(BODY_BYTES as u64), "{chunk}");
    }
}

/// An upload in records of 1000 bytes, answered where it could end by chance, though `missing` bytes of it are to come.
fn answered_where_it_might_end(missing: usize, goes_on: bool) -> Played {
    let conversation = hold(0x1301, 1 + usize::from(goes_on), |client| {
        let body = vec![b'x'; BODY_BYTES];
        let mut seal = |bytes: &[u8]| bytes.chunks(1000).flat_map(|chunk| client.data(chunk)).collect::<Vec<_>>();
        let first = [seal(&head_of_upload()), seal(&body[missing..])].concat();
        let rest = [seal(&body[..missing]), seal(&request(1))].concat();
        if goes_on { vec![first, rest] } else { vec![first] }
    });
    play(&conversation)
}

#[test]
fn that_an_upload_is_answered_where_it_could_end_does_not_say_that_it_has_ended() {
    for (missing, goes_on) in [(22 * 100, false), (22 * 100, true), (22 * 7, false), (22 * 7, true)] {
        let played = answered_where_it_might_end(missing, goes_on);
        assert_eq!(targets(&played)[0].0, "/upload");
        let length = played.exchanges[0].request.as_ref().unwrap().body_length;
        let known = goes_on.then_some(BODY_BYTES as u64);
        assert!(length.is_none() || length == known, "{length:?} though {missing} are missing");
    }
    // All of it, and its last record tells.
    let whole = answered_where_it_might_end(0, false);
    assert_eq!(whole.exchanges[0].request.as_ref().unwrap().body_length, Some(BODY_BYTES as u64));
}

#[test]
fn a_client_that_pads_is_read_whole() {
    let conversation = hold(0x1301, 2, |client| {
        let mut upload = client.seal(APPLICATION_DATA, &head_of_upload(), 200);
        upload.extend(client.data(&vec![b'x'; BODY_BYTES]));
        vec![upload, client.data(&request(1))]
    });
    let played = play_skipping(&conversation, &record_conversation(&conversation, &[1448], usize::MAX), &[0], 0);
    assert_eq!(played.skipped, 0);
    assert!(played.exchanges.iter().all(|exchange| exchange.pairing() == Pairing::Order));
    assert_eq!(played.exchanges.len(), 2);
}

#[test]
fn an_upload_that_ends_within_what_was_skipped_has_no_length() {
    let conversation = hold(0x1301, 1, |client| {
        vec![[client.data(&head_of_upload()), client.data(&vec![b'x'; BODY_BYTES - 60_000])].concat()]
    });
    let played = play_skipping(&conversation, &record_conversation(&conversation, &[1448], usize::MAX), &[0], 0);
    assert!(played.skipped > 0);
    let request = played.exchanges[0].request.as_ref().unwrap();
    assert_eq!((request.body_length, request.body_truncated), (None, true));
    assert_eq!(played.exchanges[0].timing.as_ref().unwrap().request_duration_ns, None);
}

#[test]
fn of_the_end_of_a_long_upload_in_small_records_no_more_is_held_than_its_last_ones() {
    const LONG_BYTES: usize = 20 << 20;
    let conversation = hold(0x1301, 2, |client| {
        let head = format!("POST /upload HTTP/1.1\r\nContent-Length: {LONG_BYTES}\r\n\r\n").into_bytes();
        let mut upload = client.data(&head);
        vec![b'x'; LONG_BYTES].chunks(300).for_each(|chunk| upload.extend(client.data(chunk)));
        vec![upload, client.data(&request(1))]
    });
    let played = play(&conversation);
    // What is not surely body is more than a connection may hold.
    assert!(LONG_BYTES / 300 * 22 - LONG_BYTES.div_ceil(CHUNK_BYTES) * 22 > MAX_FLOW_BYTES);
    assert_eq!(played.state, Some(State::Open));
    assert_eq!(targets(&played), [("/upload".to_owned(), 201), ("/1".to_owned(), 200)]);
    assert_eq!(played.exchanges[0].request.as_ref().unwrap().body_length, Some(LONG_BYTES as u64));
}

#[test]
fn of_an_upload_whose_last_record_was_lost_the_answer_tells_no_length_and_what_is_behind_it_is_found() {
    let conversation = hold(0x1301, 2, |client| {
        vec![[client.data(&head_of_upload()), client.data(&vec![b'x'; BODY_BYTES])].concat(), client.data(&request(1))]
    });
    let mut segments = cut(&conversation);
    let upload = first_segment_of(&segments, writes_of_client(&conversation, BODY_BYTES)[0]);
    let answer = upload + segments[upload..].iter().position(Segment::is_out).unwrap();
    segments.remove(answer - 2);
    let played = play_skipping(&conversation, &segments, &[0], 0);
    assert_eq!(targets(&played), [("/upload".to_owned(), 201), ("/1".to_owned(), 200)]);
    assert_eq!(played.exchanges[0].request.as_ref().unwrap().body_length, None);
}

/// Of `segments` the first that holds bytes of `stream`, which one side has sent.
pub(super) fn first_segment_of(segments: &[Segment], stream: &[u8]) -> usize {
    segments.iter().position(|segment| segment.payload.len() > 100 && stream.starts_with(&segment.payload)).unwrap()
}

pub(super) fn writes_of_client(conversation: &Conversation, least: usize) -> Vec<&[u8]> {
    let of_client = conversation.records.iter().filter(|(side, _)| *side == Side::Client);
    of_client.map(|(_, bytes)| &bytes[..]).filter(|bytes| bytes.len() > least).collect()
}

pub(super) fn cut(conversation: &Conversation) -> Vec<Segment> {
    record_conversation(conversation, &[1448], usize::MAX)
}

#[test]
fn a_client_that_first_pipelines_right_behind_an_upload_gets_no_wrong_pair() {
    let right = [("/upload", 201), ("/1", 200), ("/2", 201), ("/3", 200)].map(|(t, s)| (t.to_owned(), s));
    for number in [0x1301, 0xc02b] {
        for own_record in [true, false] {
            // From here on one more request is under way than answers have come.
            let conversation = hold(number, 4, |client| {
                let body = vec![b'x'; BODY_BYTES];
                let upload = match own_record {
                    true => [client.data(&head_of_upload()), client.data(&body), client.data(&request(1))].concat(),
                    false => [client.data(&head_of_upload()), client.data(&[body, request(1)].concat())].concat(),
                };
                vec![upload, client.data(&request(2)), client.data(&request(3)), client.data(&request(4))]
            });
            let found = targets(&play(&conversation));
            assert!(found.iter().all(|pair| right.contains(pair)), "{number:x} {own_record} {found:?}");
        }
    }
}

/// Raw bytes up to the next place where the body of `upload` can end, and what begins a record there.
fn begin_at_place(sent: usize, sure_end: usize, overhead: usize) -> Vec<u8> {
    let past = (sent - sure_end) % overhead;
    let mut bytes = vec![0; (overhead - past) % overhead];
    bytes.push(APPLICATION_DATA);
    bytes
}

#[test]
fn what_seems_to_begin_a_record_before_each_answer_does_not_hide_what_follows_an_upload() {
    let conversation = hold(0x1301, 8, |client| {
        let head = client.data(&head_of_upload());
        let overhead = client.suite.overhead();
        let sure_end = head.len() + BODY_BYTES + BODY_BYTES.div_ceil(CHUNK_BYTES) * overhead;
        let half = vec![b'x'; BODY_BYTES / 2];
        let padding = |client: &mut Client| client.seal(APPLICATION_DATA, &[], 700);
        let upload = [head, client.data(&half), padding(client), client.data(&half)].concat();
        let (mut writes, mut sent) = (Vec::new(), 0);
        for n in 0..8 {
            let long = format!("GET /{n} HTTP/1.1\r\nX-Long: {}\r\n\r\n", "y".repeat(8000)).into_bytes();
            let mut bytes = if n == 0 { upload.clone() } else { client.data(&long) };
            bytes.extend(begin_at_place(sent + bytes.len(), sure_end, overhead));
            sent += bytes.len();
            writes.push(bytes);
        }
        writes
    });
    let played = play(&conversation);
    assert!(played.ledger.captured > 1, "{:?}", played.ledger.discarded());
}

#[test]
fn an_upload_with_an_alert_whose_answer_was_lost_hides_nothing_behind_it() {
    let right = [("/upload", 201), ("/1", 200), ("/2", 201), ("/3", 200)].map(|(t, s)| (t.to_owned(), s));
    let conversation = hold(0x1301, 4, |client| {
        let mut upload = client.data(&head_of_upload());
        upload.extend(client.data(&vec![b'x'; BODY_BYTES / 2]));
        upload.extend(client.seal(ALERT, &[1, 90], 0));
        upload.extend(client.data(&vec![b'x'; BODY_BYTES - BODY_BYTES / 2]));
        vec![upload, client.data(&request(1)), client.data(&request(2)), client.data(&request(3))]
    });
    let mut segments = cut(&conversation);
    let upload = first_segment_of(&segments, writes_of_client(&conversation, BODY_BYTES)[0]);
    let answer = upload + segments[upload..].iter().position(Segment::is_out).unwrap();
    segments.remove(answer);
    let played = play_skipping(&conversation, &segments, &[0], 0);
    let found = targets(&played);
    assert!(found.iter().all(|pair| right.contains(pair)) && found.contains(&right[3]), "{found:?}");
}

#[test]
fn of_an_upload_that_is_never_answered_it_is_told_that_its_end_was_not_found() {
    let conversation = hold(0x1301, 1, |client| {
        let mut upload = client.data(&head_of_upload());
        upload.extend(client.data(&vec![b'x'; BODY_BYTES / 2]));
        upload.extend(client.seal(APPLICATION_DATA, &[], 700));
        upload.extend(client.data(&vec![b'x'; BODY_BYTES / 2]));
        upload.extend(client.data(&vec![b'y'; 10_300_000]));
        vec![upload]
    });
    let mut segments = cut(&conversation);
    let answer = segments.iter().rposition(|s| s.is_out() && s.payload.len() > 40).unwrap();
    segments.truncate(answer);
    let (mut at, mut sent) = (first_segment_of(&segments, writes_of_client(&conversation, BODY_BYTES)[0]), 0);
    // The server's bare acknowledgements.
    let server = segments[at].ack;
    while at < segments.len() {
        sent += 1;
        if sent % 16 == 0 && !segments[at].is_out() {
            let ack = segments[at].seq;
            let (time, flags) = (segments[at].time, record::OUT);
            segments.insert(
                at,
                Segment { flags, seq: server, ack, base: server, records_before: 0, payload: Vec::new(), time },
            );
            at += 1;
        }
        at += 1;
    }
    let played = play_skipping(&conversation, &segments, &[0], 0);
    assert!(played.skipped > BODY_BYTES / 2, "{} bytes skipped", played.skipped);
    assert_eq!(played.state, Some(State::Dark(Why::PlaceLost)));
}

#[test]
fn uploads_just_over_the_threshold_in_small_packets_pay_for_themselves() {
    const UPLOADS: usize = 400;
    const LEN: usize = 147_400;
    let conversation = hold(0x1301, UPLOADS, |client| {
        let head = format!("POST /upload HTTP/1.1\r\nContent-Length: {LEN}\r\n\r\n").into_bytes();
        (0..UPLOADS).map(|_| [client.data(&head), client.data(&[b'x'; LEN])].concat()).collect()
    });
    let segments = record_conversation(&conversation, &[536], usize::MAX);
    let played = play_skipping(&conversation, &segments, &[0], 0);
    assert!(played.skipped > UPLOADS * 40_000, "{} bytes skipped", played.skipped);
    assert_eq!((played.state, played.exchanges.len()), (Some(State::Open), UPLOADS));
}

#[test]
fn looking_for_the_end_of_an_upload_again_and_again_is_paid_for() {
    let mut sure_end = 0;
    let conversation = hold(0x1301, 1, |client| {
        let mut upload = client.data(&head_of_upload());
        let overhead = client.suite.overhead();
        sure_end = upload.len() + BODY_BYTES + BODY_BYTES.div_ceil(CHUNK_BYTES) * overhead;
        upload.extend(client.data(&vec![b'x'; 20 * CHUNK_BYTES]));
        upload.resize(sure_end, 0);
        // At each place a record begins, and once all have, one ends with each byte, the last one first.
        let places = 9000 / overhead;
        for n in 0..places {
            let rest = (places - n) * (overhead + 1) - 5;
            upload.extend([APPLICATION_DATA, 3, 3, (rest >> 8) as u8, rest as u8]);
            upload.resize(upload.len() + overhead - 5, 0);
        }
        upload.resize(upload.len() + places, 0);
        vec![upload]
    });
    let segments = cut(&conversation);
    let upload = first_segment_of(&segments, writes_of_client(&conversation, BODY_BYTES)[0]);
    let tail = segments[upload].seq.wrapping_add(sure_end as u32);
    let mut bytewise = Vec::new();
    for segment in segments {
        if segment.is_out() || ahead(segment.seq, tail) < 0 {
            bytewise.push(segment);
            continue;
        }
        for (n, byte) in (0..).zip(&segment.payload) {
            let seq = segment.seq.wrapping_add(n);
            bytewise.push(Segment { seq, payload: vec![*byte], ..segment.clone() });
        }
    }
    let played = play_skipping(&conversation, &bytewise, &[0], 0);
    assert_eq!(played.state, Some(State::Dark(Why::PlaceLost)));
}

#[test]
fn behind_a_lost_record_of_a_body_of_more_than_1_gib_nothing_is_counted_down() {
    let conversation = hold(0x1301, 2, |client| {
        let length = (1 << 30) + 2 * CHUNK_BYTES;
        let head = format!("POST /upload HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        let body = client.data(&head).into_iter().chain(client.data(&vec![b'x'; 3 * CHUNK_BYTES])).collect();
        let phantom = client.data(b"GET /phantom HTTP/1.1\r\n\r\n");
        vec![[body, phantom].concat(), client.data(&[b'x'; 100])]
    });
    let mut segments = cut(&conversation);
    let upload = first_segment_of(&segments, writes_of_client(&conversation, 3 * CHUNK_BYTES)[0]);
    // Within the second record of the body.
    segments.remove(upload + 15);
    let played = play_skipping(&conversation, &segments, &[0], usize::MAX);
    let found = targets(&played);
    assert!(found.iter().all(|(target, _)| target != "/phantom"), "{found:?}");
}

#[test]
fn that_a_lost_body_was_over_the_cap_costs_the_next_one_nothing() {
    let head = format!("POST /next HTTP/1.1\r\nContent-Length: {BODY_BYTES}\r\n\r\n").into_bytes();
    let conversation = hold(0x1301, 2, |client| {
        let body = vec![b'x'; BODY_BYTES];
        let upload = [client.data(&head_of_upload()), client.data(&body)].concat();
        vec![upload, [client.data(&head), client.data(&body)].concat()]
    });
    let mut segments = cut(&conversation);
    let writes = writes_of_client(&conversation, BODY_BYTES);
    let (upload, next) = (first_segment_of(&segments, writes[0]), first_segment_of(&segments, writes[1]));
    let answer = upload + segments[upload..next].iter().position(Segment::is_out).unwrap();
    // The secrets come when more than the cap is there, and the rest is lost.
    segments.drain(upload + 80..answer);
    let played = play_skipping(&conversation, &segments, &[upload + 80], 0);
    let next = played.exchanges.iter().filter_map(|e| e.request.as_ref()).find(|r| r.target == "/next").unwrap();
    assert_eq!(next.body.len(), 1 << 16);
}

/// A client sends its body up to a place where that could end, and behind the answer the rest, in which it hides a request. It
/// sends copies beside the wire's as it likes: of what it sent last, and of the record with the request.
fn forged_copies_where_it_might_end(of_last: bool, of_request: bool) -> Played {
    let missing = 220;
    let conversation = hold(0x1301, 2, |client| {
        let body = vec![b'x'; BODY_BYTES];
        let (large, small) = (BODY_BYTES - missing - 12_000, 12_000);
        let mut first = [client.data(&head_of_upload()), client.data(&body[..large])].concat();
        body[..small].chunks(600).for_each(|chunk| first.extend(client.data(chunk)));
        let phantom = b"GET /phantom HTTP/1.1\r\nX: ";
        let hidden = client.data(&body[..missing - phantom.len()]);
        vec![first, [hidden, client.data(&[&phantom[..], &request(1)].concat())].concat()]
    });
    let mut segments = cut(&conversation);
    let upload = first_segment_of(&segments, writes_of_client(&conversation, 300_000)[0]);
    let answer = upload + segments[upload..].iter().position(Segment::is_out).unwrap();
    if of_request {
        let mut copy = segments[answer + 1].clone();
        copy.payload.truncate(100);
        copy.payload.iter_mut().skip(50).for_each(|byte| *byte ^= 1);
        segments.insert(answer + 2, copy);
    }
    if of_last {
        let mut copy = segments[answer - 1].clone();
        copy.payload.iter_mut().for_each(|byte| *byte ^= 1);
        segments.insert(answer, copy);
    }
    play_skipping(&conversation, &segments, &[0], 0)
}

#[test]
fn copies_beside_the_wire_hide_no_request_in_the_rest_of_a_body() {
    for (of_last, of_request) in [(false, false), (true, false), (true, true)] {
        let played = forged_copies_where_it_might_end(of_last, of_request);
        let told = targets(&played);
        assert!(told.iter().all(|(target, _)| target == "/upload"), "{of_last} {of_request}: {told:?}");
    }
}

#[test]
fn a_reset_where_the_part_that_is_left_out_begins_ends_nothing() {
    let conversation = hold(0x1301, 2, |client| {
        let upload = [client.data(&head_of_upload()), client.data(&vec![b'x'; BODY_BYTES])].concat();
        vec![upload, client.data(&request(1))]
    });
    let segments = cut(&conversation);
    let upload = first_segment_of(&segments, writes_of_client(&conversation, BODY_BYTES)[0]);
    for at in [100, 120] {
        for back in 0..80 {
            let mut segments = segments.clone();
            let mut reset = segments[upload + at].clone();
            reset.flags = record::RST;
            reset.seq = segments[upload + at - back].seq;
            reset.payload.clear();
            segments.insert(upload + at + 1, reset);
            assert!(!play_skipping(&conversation, &segments, &[0], 0).closed, "at {at}, {back} back");
        }
    }
}
