//! Clients that put something else among the records of a body that stays in the kernel: padding, new keys, alerts. Their
//! records are sealed here, by hand; the server is a real one.
use super::conversation::{Conversation, Plan, Step};
use super::flow_properties::{Played, play_skipping, record_conversation};
use super::keys::{Key, Traffic};
use super::record::{ALERT, APPLICATION_DATA, HANDSHAKE};
use super::session::Side;
use super::suite::{Suite, Version};
use crate::wire::{Exchange, Pairing};

/// Stands for what the client writes, in the conversation that is held.
const PLACEHOLDER_BYTES: usize = 777;

/// The body, in the records that it is written in up to where they are odd.
const BODY_BYTES: usize = 400_000;
const CHUNK_BYTES: usize = 16384;

struct Client {
    suite: Suite,
    traffic: Box<Traffic>,
    number: u64,
}

impl Client {
    fn seal(&mut self, content: u8, bytes: &[u8], padding: usize) -> Vec<u8> {
        self.number += 1;
        self.traffic.key.seal(self.number - 1, content, bytes, padding)
    }

    fn data(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.chunks(CHUNK_BYTES).flat_map(|chunk| self.seal(APPLICATION_DATA, chunk, 0)).collect()
    }

    fn update_key(&mut self) -> Vec<u8> {
        let record = self.seal(HANDSHAKE, &[24, 0, 0, 1, 0], 0);
        self.traffic = self.traffic.next_generation().unwrap();
        self.number = 0;
        record
    }
}

/// What the client writes before each answer; the answers are 201 and 200, by turns.
fn hold(number: u16, turns: usize, write: impl FnOnce(&mut Client) -> Vec<Vec<u8>>) -> Conversation {
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

fn head_of_upload() -> Vec<u8> {
    format!("POST /upload HTTP/1.1\r\nContent-Length: {BODY_BYTES}\r\n\r\n").into_bytes()
}

fn request(n: usize) -> Vec<u8> {
    format!("GET /{n} HTTP/1.1\r\n\r\n").into_bytes()
}

fn targets(played: &Played) -> Vec<(String, u32)> {
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
            // An empty record is one more: that is allowed for. An alert is not: the place is found by searching.
            assert_eq!(played.exchanges[0].gap, name == "alert", "{number:x} {name}");
            assert_eq!(found, right, "{number:x} {name}: {:?}", played.ledger.dropped());
        }
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
