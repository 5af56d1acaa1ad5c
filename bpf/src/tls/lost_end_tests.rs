//! Bodies whose end is lost, and forged copies in the place of records: what follows is right, or nothing.
use super::connection::State;
use super::conversation::Conversation;
use super::flow_properties::{Segment, play_skipping};
use super::record::APPLICATION_DATA;
use super::upload_tests::{
    BODY_BYTES, Client, cut, first_segment_of, head_of_upload, hold, request, targets, writes_of_client,
};
use crate::record;
use crate::wire::Pairing;

/// A body that is answered when 10,000 bytes of it have come, and in its rest, at the beginning of a record, what looks like a
/// request. The server takes it for body, and answers the two requests behind it.
fn with_phantom_behind_the_answer(is_chunked: bool, filler: usize) -> Conversation {
    hold(0x1301, 3, |client| {
        let next = String::from_utf8(request(1)).unwrap();
        let rest = if is_chunked { format!("\r\n0\r\n\r\n{next}") } else { next };
        let phantom = format!("GET /phantom HTTP/1.1\r\nContent-Length: {}\r\n\r\n", rest.len());
        let length = 10_000 + filler + phantom.len();
        let head = match is_chunked {
            true => format!("POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n"),
            false => format!("POST /upload HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"),
        };
        let first = [client.data(head.as_bytes()), client.data(&[b'x'; 10_000])].concat();
        let behind = [client.data(&vec![b'x'; filler]), client.data((phantom + &rest).as_bytes())].concat();
        vec![first, behind, client.data(&request(2))]
    })
}

#[test]
fn behind_a_body_that_was_answered_early_and_then_lost_nothing_is_taken_for_a_request() {
    for is_chunked in [false, true] {
        let conversation = with_phantom_behind_the_answer(is_chunked, 30_000);
        let mut segments = cut(&conversation);
        segments.remove(first_segment_of(&segments, writes_of_client(&conversation, 30_000)[0]) + 2);
        let played = play_skipping(&conversation, &segments, &[0], usize::MAX);
        assert_eq!(targets(&played), [("/upload".to_owned(), 201)], "{is_chunked}");
        assert_eq!(played.exchanges[0].request.as_ref().unwrap().body_length, None, "{is_chunked}");
    }
}

#[test]
fn behind_a_body_that_was_lost_and_then_answered_early_no_body_is_taken_for_a_request() {
    let right = [("/upload", 201), ("/2", 201)].map(|(t, s)| (t.to_owned(), s));
    for (is_chunked, filler) in [(false, 30_000), (true, 30_000), (false, 0)] {
        for (at, repeated) in [(2, false), (3, false), (3, true)] {
            let conversation = with_phantom_behind_the_answer(is_chunked, filler);
            let mut segments = cut(&conversation);
            let lost = first_segment_of(&segments, writes_of_client(&conversation, 10_000)[0]) + at;
            segments.remove(lost);
            if repeated {
                // Bytes that come one by one ahead of the hole are more than are held.
                let behind = segments.remove(lost);
                let bytewise = behind.payload.iter().enumerate().map(|(n, byte)| Segment {
                    seq: behind.seq.wrapping_add(n as u32),
                    payload: vec![*byte],
                    ..behind.clone()
                });
                segments.splice(lost..lost, bytewise);
            }
            let played = play_skipping(&conversation, &segments, &[0], usize::MAX);
            let told = targets(&played);
            assert!(told.iter().all(|pair| right.contains(pair)) && told.contains(&right[0]), "{is_chunked} {told:?}");
            assert!(is_chunked || told.len() == 1, "its answer did not wait for its end: {told:?}");
            assert!(played.exchanges.iter().all(|e| e.pairing() == Pairing::Acknowledgement || !e.gap), "{is_chunked}");
            assert_eq!(played.exchanges[0].request.as_ref().unwrap().body_length, None, "{is_chunked}");
        }
    }
}

#[test]
fn behind_a_body_that_was_lost_and_answered_at_its_end_the_next_request_is_found() {
    for is_chunked in [false, true] {
        let conversation = hold(0x1301, 3, |client| {
            let (head, end) = match is_chunked {
                true => ("POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7530\r\n", "\r\n0\r\n\r\n"),
                false => ("POST /upload HTTP/1.1\r\nContent-Length: 30000\r\n\r\n", ""),
            };
            let body = [&[b'x'; 30_000], end.as_bytes()].concat();
            vec![
                [client.data(head.as_bytes()), client.data(&body)].concat(),
                client.data(&request(1)),
                client.data(&request(2)),
            ]
        });
        for at in [1, 5, 15] {
            let mut segments = cut(&conversation);
            segments.remove(first_segment_of(&segments, writes_of_client(&conversation, 30_000)[0]) + at);
            let played = play_skipping(&conversation, &segments, &[0], usize::MAX);
            let right = [("/upload", 201), ("/1", 200), ("/2", 201)].map(|(t, s)| (t.to_owned(), s));
            assert_eq!(targets(&played), right, "{is_chunked} {at}");
            assert!(played.exchanges[0].gap && !played.exchanges[1].gap);
        }
    }
}

/// What a client hides in the rest of a body, as long as what the server then takes for a request.
fn hiding(rest: &str) -> String {
    format!("GET /phantom HTTP/1.1\r\nContent-Length: {}\r\n\r\n{rest}", rest.len())
}

#[test]
fn a_body_that_is_known_to_go_on_hides_no_request_where_its_answer_stands() {
    let request_behind = "GET /1 HTTP/1.1\r\n\r\n";
    let chunk_behind = format!("\r\n0\r\n\r\n{request_behind}");
    for (framing, rest) in [
        ("Content-Length: 10000000\r\n\r\n", request_behind),
        ("Transfer-Encoding: chunked\r\n\r\n989680\r\n", &chunk_behind),
        ("Transfer-Encoding: chunked\r\n\r\n50000000\r\n", &chunk_behind),
    ] {
        // Its client chooses what it acknowledges, and so whether the answer finds it.
        for stale in [0, 1] {
            let conversation = hold(0x1301, 4, |client| {
                let zero = client.data(&request(0));
                let head = format!("POST /upload HTTP/1.1\r\n{framing}");
                let first = [client.data(head.as_bytes()), client.data(&[b'x'; 10_000])].concat();
                vec![zero, first, client.data(hiding(rest).as_bytes()), client.data(&request(2))]
            });
            let mut segments = cut(&conversation);
            let from = first_segment_of(&segments, writes_of_client(&conversation, 10_000)[0]);
            for segment in segments[from..].iter_mut().take_while(|segment| !segment.is_out()) {
                segment.ack = segment.ack.wrapping_sub(stale);
            }
            segments.remove(from + 2);
            let told = targets(&play_skipping(&conversation, &segments, &[0], usize::MAX));
            assert!(
                told.iter().all(|(target, _)| target == "/0" || target == "/upload"),
                "{framing} {stale}: {told:?}"
            );
        }
    }
}

#[test]
fn an_upload_whose_early_answer_does_not_find_it_hides_no_request_either() {
    for stale in [0, 1] {
        let conversation = hold(0x1301, 4, |client| {
            let phantom = b"GET /phantom HTTP/1.1\r\nX: ";
            let whole = [client.data(&head_of_upload()), client.data(&vec![b'x'; BODY_BYTES])].concat();
            let head = format!("POST /second HTTP/1.1\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
            let mut first = [client.data(head.as_bytes()), client.data(&vec![b'x'; 100_000])].concat();
            first.extend(client.seal(APPLICATION_DATA, &[], phantom.len()));
            first.extend(client.data(&vec![b'x'; 100_000]));
            let rest = client.data(&vec![b'x'; BODY_BYTES - 200_000 - phantom.len()]);
            let next = client.data(&[phantom, &request(1)[..]].concat());
            vec![whole, first, [rest, next].concat(), client.data(&request(2))]
        });
        let mut segments = cut(&conversation);
        let from = first_segment_of(&segments, writes_of_client(&conversation, 16_000)[1]);
        for segment in segments[from..].iter_mut().take_while(|segment| !segment.is_out()) {
            segment.ack = segment.ack.wrapping_sub(stale);
        }
        let told = targets(&play_skipping(&conversation, &segments, &[0], 0));
        assert!(told.iter().all(|(target, _)| target == "/upload" || target == "/second"), "{stale}: {told:?}");
    }
}

#[test]
fn records_without_data_between_a_lost_bodys_answer_and_the_next_request_cost_nothing() {
    let new_keys: fn(&mut Client) -> Vec<u8> = Client::update_key;
    let empty: fn(&mut Client) -> Vec<u8> = |client| client.seal(APPLICATION_DATA, &[], 0);
    for without_data in [new_keys, empty] {
        let conversation = hold(0x1301, 3, |client| {
            let head = "POST /upload HTTP/1.1\r\nContent-Length: 30000\r\n\r\n";
            let upload = [client.data(head.as_bytes()), client.data(&[b'x'; 30_000])].concat();
            let mut next = |n| [without_data(client), client.data(&request(n))].concat();
            vec![upload, next(1), next(2)]
        });
        let mut segments = cut(&conversation);
        segments.remove(first_segment_of(&segments, writes_of_client(&conversation, 16_000)[0]) + 1);
        let told = targets(&play_skipping(&conversation, &segments, &[0], usize::MAX));
        assert_eq!(told, [("/upload", 201), ("/1", 200), ("/2", 201)].map(|(t, s)| (t.to_owned(), s)));
    }
}

#[test]
fn the_body_of_a_first_request_whose_head_was_lost_is_no_request() {
    // With it, records of the handshake.
    for (number, overhead) in [(0x1301, 22), (0xc02b, 29)] {
        for lost in 1..4 {
            let phantom = "GET /phantom HTTP/1.1\r\n\r\n";
            let conversation = hold(number, 3, |client| {
                let head = format!("POST /real HTTP/1.1\r\nContent-Length: {}\r\n\r\n", phantom.len() + 800);
                let first =
                    [head.as_bytes(), &[b'x'; 800], phantom.as_bytes()].map(|bytes| client.data(bytes)).concat();
                vec![first, client.data(&request(1)), client.data(&request(2))]
            });
            let write = writes_of_client(&conversation, 800)[0];
            let mut segments = cut(&conversation);
            let is_it = |segment: &Segment| !segment.is_out() && segment.payload.ends_with(write);
            let at = segments.iter().position(is_it).unwrap();
            let left_out = segments[at].payload.len() - phantom.len() - overhead;
            segments[at].payload.drain(..left_out);
            segments[at].seq = segments[at].seq.wrapping_add(left_out as u32);
            let client: Vec<_> = (0..at).rev().filter(|n| !segments[*n].is_out()).take(lost - 1).collect();
            for n in client {
                segments.remove(n);
            }
            let told = targets(&play_skipping(&conversation, &segments, &[0], usize::MAX));
            assert!(told.iter().all(|(target, _)| target != "/phantom"), "{number:x} {lost}: {told:?}");
        }
    }
}

#[test]
fn behind_a_lost_body_that_is_too_long_to_compare_nothing_is_told() {
    for quarters in [19u64, 23] {
        let left = quarters << 28;
        let conversation = hold(0x1301, 3, |client| {
            let head = format!("POST /upload HTTP/1.1\r\nContent-Length: {}\r\n\r\n", left + 100_000);
            let upload = [client.data(head.as_bytes()), client.data(&vec![b'x'; 100_000])].concat();
            vec![upload, client.data(&request(1)), client.data(&request(2))]
        });
        let mut segments = cut(&conversation);
        let from = first_segment_of(&segments, writes_of_client(&conversation, 16_000)[0]);
        let answer = from + segments[from..].iter().position(Segment::is_out).unwrap();
        let gone = left + left.div_ceil(16384) * 22;
        let (ack, server) = (segments[answer].ack, segments[answer].seq);
        for segment in &mut segments[answer..] {
            let moved = if segment.is_out() { &mut segment.ack } else { &mut segment.seq };
            *moved = moved.wrapping_add(gone as u32);
        }
        // All of that is lost, and acknowledged bit by bit.
        let acks = (1..=gone.div_ceil(8 << 20)).map(|n| Segment {
            flags: record::OUT,
            seq: server,
            ack: ack.wrapping_add((n * (8 << 20)).min(gone) as u32),
            base: server,
            records_before: 0,
            payload: Vec::new(),
            time: 0,
        });
        segments.splice(answer..answer, acks);
        let told = targets(&play_skipping(&conversation, &segments, &[0], usize::MAX));
        assert_eq!(told, [("/upload".to_owned(), 201)], "{quarters}/4 GiB");
    }
}

fn forged(segment: &Segment, from: u32, len: usize, byte: u8) -> Segment {
    Segment { seq: segment.seq.wrapping_add(from), payload: vec![byte; len], ..segment.clone() }
}

#[test]
fn forged_copies_that_overlap_hide_no_record() {
    for body in (4000..16_000).step_by(1448) {
        let conversation = hold(0x1301, 3, |client| {
            let zero = client.data(&request(0));
            let head = format!("POST /1 HTTP/1.1\r\nContent-Length: {body}\r\n\r\n");
            let post = client.data(&[head.as_bytes(), &vec![b'x'; body]].concat());
            vec![zero, post, client.data(&request(2))]
        });
        let mut segments = cut(&conversation);
        let at = first_segment_of(&segments, writes_of_client(&conversation, 3000)[0]);
        let copies = [forged(&segments[at], 100, 1000, 0xaa), forged(&segments[at], 600, 1400, 0xbb)];
        segments.splice(at + 2..at + 2, copies);
        let told = targets(&play_skipping(&conversation, &segments, &[0], usize::MAX));
        assert_eq!(told.len(), 3, "{body}: {told:?}");
    }
}

#[test]
fn behind_a_record_whose_true_copy_was_lost_the_next_ones_are_found() {
    for number in [0x1301, 0xc02b] {
        for body in [500, 1200, 1500, 3000, 12_000] {
            let conversation = hold(number, 6, |client| {
                let zero = client.data(&request(0));
                let head = format!("POST /1 HTTP/1.1\r\nContent-Length: {body}\r\n\r\n");
                let post = client.data(&[head.as_bytes(), &vec![b'x'; body]].concat());
                [vec![zero, post], [2, 3, 4, 5].map(|n| client.data(&request(n))).to_vec()].concat()
            });
            let mut segments = cut(&conversation);
            let at = first_segment_of(&segments, writes_of_client(&conversation, 400)[0]);
            segments[at].payload[50] ^= 1;
            let told = targets(&play_skipping(&conversation, &segments, &[0], usize::MAX));
            assert_eq!(told.len(), 5, "{number:x} {body}: {told:?}");
        }
    }
}

#[test]
fn five_forged_copies_before_each_record_do_not_end_the_reading_of_a_connection() {
    const POSTS: usize = 100;
    let conversation = hold(0x1301, POSTS, |client| {
        let head = "POST / HTTP/1.1\r\nContent-Length: 16000\r\n\r\n".as_bytes();
        (0..POSTS).map(|_| client.data(&[head, &[b'x'; 16_000]].concat())).collect()
    });
    let mut segments = Vec::new();
    for segment in cut(&conversation) {
        if !segment.is_out() && segment.payload.len() == 1448 && segment.payload[..3] == [APPLICATION_DATA, 3, 3] {
            segments.extend((1..=5).map(|change| {
                let payload = segment.payload.iter().enumerate();
                let payload = payload.map(|(n, byte)| if n < 100 { *byte } else { byte ^ change }).collect();
                Segment { payload, ..segment.clone() }
            }));
        }
        segments.push(segment);
    }
    let played = play_skipping(&conversation, &segments, &[0], usize::MAX);
    assert_eq!((played.exchanges.len(), played.state), (POSTS, Some(State::Open)));
}
