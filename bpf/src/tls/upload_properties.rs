//! The sceptic's check of bodies that stay in the kernel: whatever the client's records are like and whatever happens to
//! its segments, every exchange is the right one, or missing, or it says what is not known.
use std::collections::HashMap;

use proptest::prelude::*;

use super::conversation::{Conversation, Plan, Step};
use super::flow_properties::{Segment, moves, plan, play_skipping, record_conversation, shuffle};
use super::session::Side;
use crate::flow_properties::{Call, call, check, index_of, request_bytes, response_bytes};
use crate::wire::Pairing;

/// What the capture of the tests keeps of a body.
const CAP_BYTES: usize = 1 << 16;

/// A body that looks like requests, for whoever loses his place in it.
fn upload(index: usize, len: usize) -> Call {
    let tempting = format!("GET /{index}?s=200 HTTP/1.1\r\nX-Id: {index}\r\n\r\n").into_bytes();
    Call {
        method: 1,
        body: tempting.iter().copied().cycle().take(len).collect(),
        chunked: false,
        status: 201,
        response_body: 20,
        response_chunked: false,
        pipelined: false,
        interim: index.is_multiple_of(2),
    }
}

#[derive(Clone, Debug)]
struct Scene {
    plan: Plan,
    calls: Vec<Call>,
    /// Sizes in which the client writes, over and over.
    writes: Vec<usize>,
    cuts: Vec<usize>,
    lag: usize,
}

impl Scene {
    fn hold(&self) -> Conversation {
        let mut plan = self.plan.clone();
        plan.steps.clear();
        let mut writes = self.writes.iter().copied().cycle();
        let mut at = 0;
        while at < self.calls.len() {
            let burst = 1 + self.calls[at..].iter().take_while(|c| c.pipelined).count().min(self.calls.len() - at - 1);
            let requests: Vec<u8> = (at..at + burst).flat_map(|i| request_bytes(i, &self.calls[i])).collect();
            let mut rest = &requests[..];
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(writes.next().unwrap_or(16384).min(rest.len()));
                plan.steps.push(Step::Send(Side::Client, part.to_vec()));
                rest = behind;
            }
            for call in &self.calls[at..at + burst] {
                let (mut bytes, body) = response_bytes(call);
                bytes.extend(body);
                plan.steps.push(Step::Send(Side::Server, bytes));
            }
            at += burst;
        }
        Conversation::hold(&plan)
    }

    /// From the upload on the client is one request ahead of the answers. `joined`: it writes the first one with the upload.
    fn hold_ahead(&self, upload: usize, joined: bool) -> Conversation {
        let mut plan = self.plan.clone();
        plan.steps.clear();
        let mut writes = self.writes.iter().copied().cycle();
        let mut unsent = Vec::new();
        for i in 0..self.calls.len() {
            unsent.extend(request_bytes(i, &self.calls[i]));
            if joined && i == upload && i + 1 < self.calls.len() {
                continue;
            }
            let mut rest = &unsent[..];
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(writes.next().unwrap_or(16384).min(rest.len()));
                plan.steps.push(Step::Send(Side::Client, part.to_vec()));
                rest = behind;
            }
            unsent.clear();
            let is_last = i + 1 == self.calls.len();
            let answered =
                if i < upload { i..i + 1 } else { i.saturating_sub(1).max(upload)..i + usize::from(is_last) };
            for call in &self.calls[answered] {
                let (mut bytes, body) = response_bytes(call);
                bytes.extend(body);
                plan.steps.push(Step::Send(Side::Server, bytes));
            }
        }
        Conversation::hold(&plan)
    }

    /// The upload is answered when so many bytes of its request are sent; `goes_on`: then the client sends the rest, and the
    /// calls behind it.
    fn hold_answered_early(&self, upload: usize, sent: usize, goes_on: bool) -> Conversation {
        let mut plan = self.plan.clone();
        plan.steps.clear();
        let mut writes = self.writes.iter().copied().cycle();
        let mut send = |steps: &mut Vec<Step>, mut rest: &[u8]| {
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(writes.next().unwrap_or(16384).min(rest.len()));
                steps.push(Step::Send(Side::Client, part.to_vec()));
                rest = behind;
            }
        };
        for (i, call) in self.calls.iter().enumerate().take(if goes_on { self.calls.len() } else { upload + 1 }) {
            let request = request_bytes(i, call);
            let (before, behind) = request.split_at(if i == upload { sent.min(request.len()) } else { request.len() });
            send(&mut plan.steps, before);
            let (mut answer, body) = response_bytes(call);
            answer.extend(body);
            plan.steps.push(Step::Send(Side::Server, answer));
            send(&mut plan.steps, if goes_on { behind } else { &[] });
        }
        Conversation::hold(&plan)
    }

    /// Segments that know nothing of records.
    fn segments(&self, conversation: &Conversation) -> Vec<Segment> {
        let mut streams: Vec<Segment> = Vec::new();
        for segment in record_conversation(conversation, &[usize::MAX], usize::MAX) {
            match streams.last_mut().filter(|last| !last.is_out() && !segment.is_out()) {
                Some(last) => last.payload.extend(segment.payload),
                None => streams.push(segment),
            }
        }
        let mut cuts = self.cuts.iter().copied().cycle();
        let mut segments = Vec::new();
        for mut stream in streams {
            while !stream.is_out() && !stream.payload.is_empty() {
                let len = cuts.next().unwrap_or(1448).clamp(1, stream.payload.len());
                let behind = stream.payload.split_off(len);
                segments.push(Segment { payload: std::mem::take(&mut stream.payload), ..stream.clone() });
                stream.payload = behind;
                stream.seq = stream.seq.wrapping_add(len as u32);
            }
            if stream.is_out() {
                segments.push(stream);
            }
        }
        for (time, segment) in (0..).zip(&mut segments) {
            segment.time = time;
        }
        segments
    }
}

/// Some calls, and among them an upload.
fn scene(pipelined: bool) -> impl Strategy<Value = Scene> {
    let writes = prop_oneof![
        2 => Just(vec![16384]),
        1 => prop::collection::vec(300usize..3000, 1..5),
        2 => prop::collection::vec(1000usize..30_000, 1..5),
    ];
    let cuts = prop_oneof![
        prop::collection::vec(1000usize..3000, 1..6),
        prop::collection::vec(10_000usize..60_000, 1..6),
        Just(vec![1448]),
    ];
    let calls = || prop::collection::vec(call(), 0..4);
    let len = prop_oneof![200_000usize..400_000, 1_000_000usize..1_500_000];
    (plan(), calls(), len, calls(), writes, cuts, prop_oneof![Just(0usize), 0usize..40]).prop_map(
        move |(mut plan, mut calls, len, behind, writes, cuts, lag)| {
            plan.max_fragment = None;
            calls.push(upload(calls.len(), len));
            calls.extend(behind);
            for call in &mut calls {
                call.pipelined &= pipelined;
            }
            Scene { plan, calls, writes, cuts, lag }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_upload_stays_in_the_kernel_and_costs_no_exchange_of_a_client_that_waits(scene in scene(false), moves in moves()) {
        let conversation = scene.hold();
        let mut segments = scene.segments(&conversation);
        shuffle(&mut segments, &moves);
        let played = play_skipping(&conversation, &segments, &[0], scene.lag);
        let calls = &scene.calls;
        prop_assert_eq!(played.exchanges.len(), calls.len(), "{:?} {:?}", played.ledger.dropped(), played.ledger.discarded());
        let mut is_behind = false;
        for (i, exchange) in played.exchanges.iter().enumerate() {
            prop_assert_eq!(index_of(exchange), i);
            check(exchange, calls, true);
            prop_assert!(!exchange.gap && !exchange.conflicting);
            // What is behind it may be either: the kernel may have been late, or have left out what came twice.
            prop_assert!(is_behind || exchange.pairing() == Pairing::Order);
            let request = exchange.request.as_ref().unwrap();
            let (len, kept) = (calls[i].body.len(), calls[i].body.len().min(CAP_BYTES));
            if calls[i].method == 1 || calls[i].method == 2 {
                prop_assert_eq!((request.body_length, request.body.len()), (Some(len as u64), kept));
            }
            is_behind |= len > kept;
            if len > kept {
                let most = CAP_BYTES + (scene.lag + 12) * 60_000;
                prop_assert!(played.skipped + most >= len, "{} of {} skipped", played.skipped, len);
            }
        }
    }

    #[test]
    fn a_client_that_pipelines_behind_an_upload_gets_the_right_answers_or_none(scene in scene(false), joined in any::<bool>()) {
        let upload = scene.calls.iter().position(|c| c.body.len() > CAP_BYTES).unwrap_or(0);
        let conversation = scene.hold_ahead(upload, joined);
        let played = play_skipping(&conversation, &scene.segments(&conversation), &[0], scene.lag);
        for exchange in &played.exchanges {
            check(exchange, &scene.calls, true);
        }
    }

    #[test]
    fn an_upload_that_is_answered_early_has_the_right_length_or_none_and_nothing_wrong_behind_it(
        scene in scene(false),
        // At least all of its head is sent before.
        missing in prop_oneof![1usize..3000, 1usize..190_000],
        goes_on in any::<bool>(),
    ) {
        let upload = scene.calls.iter().position(|c| c.body.len() > CAP_BYTES).unwrap_or(0);
        let len = request_bytes(upload, &scene.calls[upload]).len();
        let conversation = scene.hold_answered_early(upload, len.saturating_sub(missing), goes_on);
        let played = play_skipping(&conversation, &scene.segments(&conversation), &[0], scene.lag);
        for exchange in &played.exchanges {
            check(exchange, &scene.calls, true);
            let length = exchange.request.as_ref().unwrap().body_length;
            prop_assert!(goes_on || index_of(exchange) != upload || length.is_none());
        }
        prop_assert!(played.exchanges.len() > upload, "{:?}", played.ledger.dropped());
    }

    #[test]
    fn around_an_upload_that_stays_in_the_kernel_no_lost_segment_gives_a_wrong_exchange(
        scene in scene(true),
        lost in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..6),
        moves in moves(),
    ) {
        let conversation = scene.hold();
        let mut segments = scene.segments(&conversation);
        shuffle(&mut segments, &moves);
        let last = segments.iter().rposition(|segment| segment.payload.len() > 1000).unwrap_or(0);
        for (index, near_end) in lost {
            // Most of the segments are within the body; its end is what matters.
            let at = if near_end { last.saturating_sub(index.index(8)) } else { index.index(segments.len()) };
            segments.remove(at.min(segments.len() - 1));
        }
        let played = play_skipping(&conversation, &segments, &[0], scene.lag);
        let pipelines = scene.calls.iter().any(|c| c.pipelined);
        let mut seen = HashMap::new();
        for exchange in &played.exchanges {
            check(exchange, &scene.calls, exchange.pairing() == Pairing::Order || !pipelines);
            prop_assert!(seen.insert(index_of(exchange), ()).is_none(), "twice");
        }
    }

    #[test]
    fn behind_an_upload_that_stays_in_the_kernel_a_forged_copy_gives_no_wrong_exchange(
        mut scene in scene(false),
        forged in prop::collection::vec((0usize..12, any::<bool>(), 0usize..1000, any::<u8>()), 1..4),
    ) {
        for cut in &mut scene.cuts {
            // Four copies of a segment are kept, no more than 64 KiB.
            *cut = (*cut).min(15_000);
        }
        let conversation = scene.hold();
        let mut segments = scene.segments(&conversation);
        let last = segments.iter().rposition(|segment| !segment.is_out() && segment.payload.len() > 1000).unwrap_or(0);
        for (back, before, from, change) in forged {
            let at = (last + 4).saturating_sub(back).min(segments.len() - 1);
            let mut copy = segments[at].clone();
            if copy.is_out() {
                continue;
            }
            let from = from.min(copy.payload.len() - 1);
            for byte in &mut copy.payload[from..] {
                *byte ^= change | 1;
            }
            segments.insert(if before { at } else { at + 1 }, copy);
        }
        let played = play_skipping(&conversation, &segments, &[0], scene.lag);
        for exchange in &played.exchanges {
            check(exchange, &scene.calls, true);
        }
        prop_assert!(played.exchanges.len() + 1 >= scene.calls.len(), "{:?} {:?}", played.ledger.dropped(), played.ledger.discarded());
    }
}
