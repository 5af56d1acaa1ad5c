//! The sceptic's check over TLS: real conversations of two rustls peers, as HTTP speaks through them, their segments cut,
//! moved, repeated, lost and forged. No exchange is ever wrong, and with nothing lost none is missing.
use std::collections::HashMap;

use proptest::prelude::*;

use super::conversation::{Conversation, Plan, Step};
use super::session::Side;
use super::{Change, Logged, Logger, State, Store};
use crate::flow::{Flow, Limits, default_response_headers};
use crate::flow_properties::{Call, call, check, index_of, request_bytes, response_bytes};
use crate::ledger::{Drop, Ledger};
use crate::record::{self, Record, Tuple};
use crate::seq::ahead;
use crate::wire::{Exchange, Pairing};

pub(super) const CLIENT_ISN: u32 = u32::MAX - 900; // the streams wrap
pub(super) const SERVER_ISN: u32 = u32::MAX - 1500;
pub(super) const MAX_FLOW_BYTES: usize = 1 << 20;
const SUITES: [u16; 6] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9];

#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) flags: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) base: u32,
    pub(super) records_before: u32,
    pub(super) payload: Vec<u8>,
    pub(super) time: u64,
}

impl Segment {
    pub(super) fn is_out(&self) -> bool {
        self.flags & record::OUT != 0
    }
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let fragment = prop_oneof![Just(None), (64usize..400).prop_map(Some)];
    (prop::sample::select(SUITES.to_vec()), any::<bool>(), fragment).prop_map(|(suite, resumed, max_fragment)| Plan {
        resumed,
        max_fragment,
        ..Plan::new(suite)
    })
}

pub(super) fn hold(mut plan: Plan, calls: &[Call], update: bool) -> Conversation {
    plan.steps.clear();
    let mut at = 0;
    while at < calls.len() {
        let burst = 1 + calls[at..].iter().take_while(|c| c.pipelined).count().min(calls.len() - at - 1);
        let requests = (at..at + burst).flat_map(|i| request_bytes(i, &calls[i])).collect();
        plan.steps.push(Step::Send(Side::Client, requests));
        for call in &calls[at..at + burst] {
            let (mut head, body) = response_bytes(call);
            head.extend(body);
            plan.steps.push(Step::Send(Side::Server, head));
        }
        if update && at % 2 == 0 {
            plan.steps.push(Step::UpdateKey(if at % 4 == 0 { Side::Client } else { Side::Server }));
        }
        at += burst;
    }
    Conversation::hold(&plan)
}

/// What the ring gets. Of the server's records those that begin within `whole` bytes behind the client's data.
pub(super) fn record_conversation(conversation: &Conversation, cuts: &[usize], whole: usize) -> Vec<Segment> {
    let (mut client, mut server) = (CLIENT_ISN.wrapping_add(1), SERVER_ISN.wrapping_add(1));
    let mut base = server;
    let mut cuts = cuts.iter().copied().cycle();
    let (mut records, mut left) = (0, whole);
    let mut segments = Vec::new();
    for (side, bytes) in &conversation.records {
        let mut rest = &bytes[..];
        if *side == Side::Server {
            let elided = left == 0;
            left = left.saturating_sub(bytes.len() - 5);
            records += 1;
            if elided {
                server = server.wrapping_add(bytes.len() as u32);
                continue;
            }
        }
        let mut first = true;
        while !rest.is_empty() {
            let (payload, behind) = rest.split_at(cuts.next().unwrap_or(100).clamp(1, rest.len()));
            rest = behind;
            let time = segments.len() as u64;
            let (payload, len) = (payload.to_vec(), payload.len() as u32);
            if *side == Side::Client {
                let flags = record::PACKET;
                segments.push(Segment { flags, seq: client, ack: server, base: 0, records_before: 0, payload, time });
                client = client.wrapping_add(len);
                left = whole;
            } else {
                let flags = record::OUT | record::PACKET | record::TLS | if first { record::HEAD } else { 0 };
                let records_before = records - 1;
                segments.push(Segment { flags, seq: server, ack: client, base, records_before, payload, time });
                server = server.wrapping_add(len);
                base = server;
            }
            first = false;
        }
    }
    segments
}

#[derive(Debug)]
pub(super) struct Played {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) ledger: Ledger,
    pub(super) state: Option<State>,
    /// Bytes of the client's that the kernel was asked to leave out.
    pub(super) skipped: usize,
    /// Before the conversation was at its end.
    pub(super) closed: bool,
}

/// `late`: each secret is logged behind so many segments.
fn play(conversation: &Conversation, segments: &[Segment], late: &[usize]) -> Played {
    play_skipping(conversation, segments, late, usize::MAX)
}

/// The kernel hears of what is not wanted `lag` segments later.
pub(super) fn play_skipping(conversation: &Conversation, segments: &[Segment], late: &[usize], lag: usize) -> Played {
    let (mut wished, mut skipped) = (Vec::new(), 0);
    let limits = Limits {
        max_flow_bytes: MAX_FLOW_BYTES,
        max_body_bytes: 1 << 16,
        response_headers: default_response_headers(),
    };
    let (mut ledger, mut out, mut store) = (Ledger::default(), Vec::new(), Store::default());
    let mut flow: Option<Flow> = None;
    let mut state = None;
    for (n, segment) in segments.iter().enumerate() {
        for ((label, secret), late) in conversation.secrets.iter().zip(late.iter().cycle()) {
            if *late == n {
                let random = &conversation.client_random;
                let logged = Logged { random, label: label.as_bytes(), secret, by: Logger::default() };
                let waiting = store.add(&logged, 0);
                if let (Some(flow), false) = (&mut flow, waiting.is_empty()) {
                    flow.advance(&mut store, &mut ledger, &mut |e| out.push(e));
                }
            }
        }
        let mut passed = 0;
        if let Some((_, (from, to))) = wished.iter().rfind(|(at, _)| n > lag.saturating_add(*at))
            && !segment.is_out()
            && ahead(segment.seq, *from) >= 0
        {
            // As ingress does.
            passed = segment.payload.len().min(ahead(*to, segment.seq).max(0).unsigned_abs() as usize);
            skipped += passed;
            if passed == segment.payload.len() && passed > 0 {
                continue;
            }
        }
        let record = Record {
            flow_id: 1,
            ktime_ns: segment.time,
            target: 1,
            tuple: Tuple { remote: [1; 16], local: [2; 16], remote_port: 1, local_port: 2, family: 4 },
            flags: segment.flags,
            seq: segment.seq.wrapping_add(passed as u32),
            ack: segment.ack,
            base: segment.base,
            in_isn: if segment.is_out() { segment.records_before } else { CLIENT_ISN },
            out_isn: SERVER_ISN,
            payload: &segment.payload[passed..],
        };
        ledger.drained += record.payload.len() as u64;
        let flow = flow.get_or_insert_with(|| Flow::new(&record, &limits));
        let wish = flow.push(&record, &mut store, &mut ledger, &mut |e| out.push(e));
        wished.extend(wish.in_skip.map(|places| (n, places)));
        if wish.in_skip_done {
            wished.clear();
        }
        flow.take_tls_changes(&mut |change| {
            if let Change::State(new) = change {
                state = Some(new);
            }
        });
    }
    let closed = flow.as_ref().is_some_and(|flow| flow.closed);
    if let Some(mut flow) = flow {
        flow.finish(Drop::NoResponse, &mut store, &mut ledger, &mut |e| out.push(e));
    }
    assert_eq!(ledger.captured, out.len() as u64 + ledger.dropped_total(), "exchanges: the ledger closes");
    assert_eq!(ledger.drained, ledger.parsed + ledger.discarded_total(), "bytes: the ledger closes");
    // Of a connection whose ClientHello was lost nobody knows that it has ended.
    store.expire(u64::MAX);
    assert!(store.get(&conversation.client_random).is_none(), "secrets end with their connection");
    Played { exchanges: out, ledger, state, skipped, closed }
}

/// Moves and repeats client segments within what TCP allows: none moves behind an answer that acknowledges it.
pub(super) fn shuffle(segments: &mut Vec<Segment>, moves: &[(prop::sample::Index, usize, bool)]) {
    for (index, distance, repeat) in moves {
        let at = index.index(segments.len());
        // The first one shows whose connection it is.
        if segments[at].is_out() || at == 0 {
            continue;
        }
        let mut to = at;
        while to + 1 < segments.len() && to < at + distance && !segments[to + 1].is_out() {
            to += 1;
        }
        if *repeat {
            let again = segments[at].clone();
            segments.insert((at + distance + 1).min(segments.len()), again);
        } else {
            let moved = segments.remove(at);
            segments.insert(to, moved);
        }
    }
}

pub(super) fn moves() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, bool)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0usize..5, any::<bool>()), 0..20)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1usize..40, 40usize..2000], 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_cutting_reordering_and_repetition_and_secrets_that_come_late_give_the_clean_exchanges(
        plan in plan(),
        calls in prop::collection::vec(call(), 1..8),
        update in any::<bool>(),
        cuts in cuts(),
        moves in moves(),
        late in prop::collection::vec(0usize..30, 1..6),
    ) {
        let conversation = hold(plan, &calls, update);
        let mut segments = record_conversation(&conversation, &cuts, usize::MAX);
        shuffle(&mut segments, &moves);
        let late: Vec<usize> = late.iter().map(|n| n % segments.len()).collect();
        let played = play(&conversation, &segments, &late);
        prop_assert_eq!(played.state, Some(State::Open));
        prop_assert_eq!(played.exchanges.len(), calls.len(), "{:?} {:?}", played.ledger.dropped(), played.ledger.discarded());
        for (i, exchange) in played.exchanges.iter().enumerate() {
            prop_assert_eq!(index_of(exchange), i);
            check(exchange, &calls, true);
            prop_assert!(!exchange.gap && !exchange.conflicting && exchange.pairing() == Pairing::Order);
            prop_assert!(exchange.connection.as_ref().unwrap().tls.is_some());
        }
    }

    #[test]
    fn records_that_stay_in_the_kernel_cost_no_exchange_of_a_client_that_waits(
        mut plan in plan(),
        mut calls in prop::collection::vec(call(), 1..10),
        update in any::<bool>(),
        cuts in cuts(),
        whole in 2500usize..4000,
    ) {
        for call in &mut calls {
            call.pipelined = false;
            call.response_body *= 30;
        }
        if update {
            // New keys may come unseen, and only so many records behind them are tried.
            plan.max_fragment = None;
        }
        let conversation = hold(plan, &calls, update);
        let segments = record_conversation(&conversation, &cuts, whole);
        let played = play(&conversation, &segments, &[0]);
        prop_assert_eq!(played.exchanges.len(), calls.len(), "{:?} {:?}", played.ledger.dropped(), played.ledger.discarded());
        let known = calls.iter().all(|call| !call.response_chunked);
        for exchange in &played.exchanges {
            check(exchange, &calls, true);
            if known && !update {
                prop_assert_eq!(exchange.pairing(), Pairing::Order);
            }
        }
    }

    #[test]
    fn lost_segments_never_give_a_wrong_exchange(
        plan in plan(),
        calls in prop::collection::vec(call(), 1..12),
        update in any::<bool>(),
        cuts in cuts(),
        whole in prop_oneof![Just(usize::MAX), 0usize..900],
        lost in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        moves in moves(),
    ) {
        let conversation = hold(plan, &calls, update);
        let mut segments = record_conversation(&conversation, &cuts, whole);
        shuffle(&mut segments, &moves);
        for index in lost {
            let at = index.index(segments.len());
            segments.remove(at);
            if segments.is_empty() {
                return Ok(());
            }
        }
        let played = play(&conversation, &segments, &[0]);
        let pipelines = calls.iter().any(|c| c.pipelined);
        let mut seen = HashMap::new();
        for exchange in &played.exchanges {
            check(exchange, &calls, exchange.pairing() == Pairing::Order || !pipelines);
            prop_assert!(seen.insert(index_of(exchange), ()).is_none(), "twice");
        }
    }

    #[test]
    fn a_forged_copy_neither_gives_a_byte_nor_hides_one(
        plan in plan(),
        calls in prop::collection::vec(call(), 1..6),
        cuts in cuts(),
        forged in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0usize..40, any::<u8>()), 1..6),
    ) {
        let conversation = hold(plan, &calls, false);
        let mut segments = record_conversation(&conversation, &cuts, usize::MAX);
        // Behind the hellos: these are not encrypted, and have to be believed.
        let encrypted = segments.iter().position(Segment::is_out).unwrap_or(0);
        let hello = segments.iter().skip(encrypted).position(|s| !s.is_out()).unwrap_or(0) + encrypted;
        let first = segments.iter().skip(hello).position(Segment::is_out).unwrap_or(0) + hello;
        for (index, before, at_byte, change) in forged {
            let at = first + index.index(segments.len() - first);
            let mut copy = segments[at].clone();
            if copy.is_out() {
                continue;
            }
            let from = at_byte.min(copy.payload.len() - 1);
            for byte in &mut copy.payload[from..] {
                *byte ^= change | 1;
            }
            segments.insert(if before { at } else { at + 1 }, copy);
        }
        let played = play(&conversation, &segments, &[0]);
        for exchange in &played.exchanges {
            check(exchange, &calls, true);
        }
        prop_assert_eq!(played.exchanges.len(), calls.len(), "{:?} {:?}", played.ledger.dropped(), played.ledger.discarded());
    }
}
