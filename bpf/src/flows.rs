//! All connections, bounded: of too many the one idle longest leaves first, and where they hold too much, one that holds most.
use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use hashbrown::HashMap;

use crate::flow::{Flow, Limits, Wish};
use crate::ledger::{Discard, Drop, Ledger};
use crate::memory::{Giver, Ids, Taken, givers};
use crate::record::Record;
use crate::tls::{self, Store};
use crate::tls_calls::{Call, CallKind};
use crate::wire;

/// A connection without packets for this long is forgotten; the kernel's entry goes by LRU.
const IDLE_NS: u64 = 3_600_000_000_000;
/// A secret is logged before its library sends what it encrypts with it; this allows for a slow agent.
const UNLOGGED_NS: u64 = 2_000_000_000;
/// Connections that wait for a secret and are looked at again; more of them would tell nothing new.
const MAX_WAITING: usize = 1024;

pub struct Flows {
    flows: HashMap<u64, Flow>,
    max: usize,
    /// What all hold, and may.
    bytes: usize,
    max_bytes: usize,
    /// Ended to make room.
    given_up: Ids,
    limits: Limits,
    store: Store,
    /// Connections of a target whose TLS stands otherwise than before.
    tls_changes: Vec<(u64, tls::Change)>,
    /// Connections that began to wait for their secrets, and when.
    waiting: VecDeque<(u64, u64)>,
    /// Calls are read where packets are of no use.
    with_calls: bool,
    /// Connections that ended by their packets, and of which calls from before may still come: in this round and before. At
    /// most twice `max`.
    ending: [Vec<u64>; 2],
}

impl Flows {
    pub fn new(max: usize, limits: Limits) -> Self {
        Self {
            flows: HashMap::new(),
            max,
            bytes: 0,
            max_bytes: usize::MAX,
            given_up: Ids::default(),
            limits,
            store: Store::default(),
            tls_changes: Vec::new(),
            waiting: VecDeque::new(),
            with_calls: false,
            ending: Default::default(),
        }
    }

    /// Calls are read where packets are of no use: `end_round` has to be called.
    pub fn with_calls(mut self, with_calls: bool) -> Self {
        self.with_calls = with_calls;
        self
    }

    /// What all connections together may hold.
    pub fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// What all connections hold.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        self.bytes
    }

    pub fn knows(&self, id: u64) -> bool {
        self.flows.contains_key(&id)
    }

    pub fn in_flight(&self) -> u64 {
        self.flows.values().map(Flow::in_flight).sum()
    }

    pub fn held_bytes(&self) -> u64 {
        self.flows.values().map(|flow| flow.held_bytes() as u64).sum()
    }

    pub fn push(&mut self, record: &Record, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) -> Wish {
        if !self.flows.contains_key(&record.flow_id) {
            if record.payload.is_empty() {
                return Wish::default();
            }
            if self.given_up.has(record.flow_id) {
                ledger.discard(Discard::ConnectionsFull, record.payload.len());
                return Wish { ignore: true, ..Wish::default() };
            }
            if self.flows.len() >= self.max {
                self.evict(ledger, done);
            }
        }
        let (limits, with_calls) = (&self.limits, self.with_calls);
        let new = || Flow::new(record, limits).with_calls(with_calls);
        let flow = self.flows.entry(record.flow_id).or_insert_with(new);
        let target = record.target;
        let was_closed = flow.closed;
        let wish = flow.push(record, &mut self.store, ledger, &mut |exchange| done(target, exchange));
        // Calls from before its end may not have been taken yet.
        let ends = flow.closed && !flow.is_or_may_be_called(&self.store);
        if ends {
            flow.finish(Drop::NoResponse, &mut self.store, ledger, &mut |exchange| done(target, exchange));
        }
        flow.take_tls_changes(&mut |change| {
            if change == tls::Change::Waits && self.waiting.len() < MAX_WAITING {
                self.waiting.push_back((record.flow_id, record.ktime_ns));
            }
            self.tls_changes.push((target, change));
        });
        self.bytes = add_up(self.bytes, flow);
        if ends {
            self.remove(record.flow_id);
        } else if flow.closed && !was_closed {
            self.wait_for_calls(record.flow_id, ledger, done);
        }
        self.make_room(ledger, done);
        wish
    }

    /// Takes what a TLS library read or wrote of a connection, or that it ended; `stood_ns` as in `Flow::call`.
    pub fn call(
        &mut self,
        call: &Call,
        stood_ns: u64,
        ledger: &mut Ledger,
        done: &mut impl FnMut(u64, wire::Exchange),
    ) -> Wish {
        if !self.flows.contains_key(&call.flow_id) {
            if call.kind == CallKind::End {
                return Wish::default();
            }
            if self.given_up.has(call.flow_id) {
                ledger.discard(Discard::ConnectionsFull, call.payload.len());
                return Wish { ignore: true, ..Wish::default() };
            }
            if call.of_packets {
                // What has left was read by its packets. Not to be told twice.
                ledger.discard(Discard::ByPackets, call.payload.len());
                return Wish { by_packets: true, ..Wish::default() };
            }
            if self.flows.len() >= self.max {
                self.evict(ledger, done);
            }
        }
        let limits = &self.limits;
        let flow = self.flows.entry(call.flow_id).or_insert_with(|| Flow::of_calls(call, limits));
        let wish = flow.call(call, stood_ns, &self.store, ledger, &mut |exchange| done(call.target, exchange));
        let target = flow.target;
        let ends = flow.closed && call.kind == CallKind::End && flow.is_or_may_be_called(&self.store);
        if ends {
            flow.finish(Drop::NoResponse, &mut self.store, ledger, &mut |exchange| done(target, exchange));
        }
        flow.take_tls_changes(&mut |change| self.tls_changes.push((target, change)));
        self.bytes = add_up(self.bytes, flow);
        if ends {
            self.remove(call.flow_id);
        }
        self.make_room(ledger, done);
        wish
    }

    /// No calls are read any more.
    pub fn end_calls(&mut self, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        self.drop_where(Drop::Gap, ledger, done, Flow::has_calls);
    }

    /// All calls have been taken that had been made when the round began, so those from before the packets that were taken up to
    /// then. What ended with these packets is over.
    pub fn end_round(&mut self, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        let over = self.next_ending();
        self.finish_all(&over, Drop::NoResponse, ledger, done);
    }

    /// This connection ended by its packets. Where calls come faster than they can be taken, no round ends: then those that have
    /// waited longest are given up.
    fn wait_for_calls(&mut self, id: u64, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        if self.ending[0].len() >= self.max {
            let given_up = self.next_ending();
            self.finish_all(&given_up, Drop::FlowEvicted, ledger, done);
        }
        self.ending[0].push(id);
    }

    fn next_ending(&mut self) -> Vec<u64> {
        let [now, before] = &mut self.ending;
        std::mem::swap(now, before);
        std::mem::take(now)
    }

    /// Whether probes are of use to this connection, which the kernel says speaks again. One that is not known any more was read
    /// by calls before.
    pub fn has_use_for_calls(&self, id: u64, keyless: impl Fn(u64) -> bool) -> bool {
        self.flows.get(&id).is_none_or(|flow| flow.has_use_for_calls(keyless))
    }

    /// Targets with connections that nobody can read but by calls. Looks at all connections.
    pub fn wanting_calls(&self, now_ns: u64, keyless: impl Fn(u64) -> bool) -> BTreeSet<u64> {
        self.flows.values().filter(|flow| flow.wants_calls(now_ns, &keyless)).map(|flow| flow.target).collect()
    }

    /// Takes a secret as a TLS library logged it. `now_ns`: CLOCK_MONOTONIC.
    pub fn secret(
        &mut self,
        logged: &tls::Logged,
        now_ns: u64,
        ledger: &mut Ledger,
        done: &mut impl FnMut(u64, wire::Exchange),
    ) {
        for id in self.store.add(logged, now_ns) {
            if let Some(flow) = self.flows.get_mut(&id) {
                let target = flow.target;
                flow.advance(&mut self.store, ledger, &mut |exchange| done(target, exchange));
                flow.take_tls_changes(&mut |change| self.tls_changes.push((target, change)));
                self.bytes = add_up(self.bytes, flow);
            }
        }
        self.make_room(ledger, done);
    }

    /// `now_ns`: CLOCK_MONOTONIC.
    pub fn take_tls_changes(&mut self, now_ns: u64) -> Vec<(u64, tls::Change)> {
        while let Some((id, _)) =
            self.waiting.pop_front_if(|(_, since_ns)| now_ns.saturating_sub(*since_ns) >= UNLOGGED_NS)
        {
            if let Some(flow) = self.flows.get_mut(&id) {
                let target = flow.target;
                flow.tell_if_unlogged(&mut |change| self.tls_changes.push((target, change)));
            }
        }
        std::mem::take(&mut self.tls_changes)
    }

    /// Secrets that no connection asked for.
    pub fn unclaimed_secrets(&self) -> u64 {
        self.store.unclaimed
    }

    /// These connections ended, and the record that said so was lost.
    pub fn end(&mut self, ids: &[u64], ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        for id in ids {
            match self.flows.get_mut(id) {
                Some(flow) if flow.is_or_may_be_called(&self.store) => {
                    flow.closed = true;
                    self.wait_for_calls(*id, ledger, done);
                }
                _ => self.finish_all(&[*id], Drop::NoResponse, ledger, done),
            }
        }
    }

    fn finish_all(&mut self, ids: &[u64], why: Drop, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        for id in ids {
            if let Some(mut flow) = self.remove(*id) {
                let target = flow.target;
                flow.finish(why, &mut self.store, ledger, &mut |exchange| done(target, exchange));
                flow.take_tls_changes(&mut |change| self.tls_changes.push((target, change)));
            }
        }
    }

    /// Forgets what was silent too long. `now_ns`: CLOCK_MONOTONIC.
    pub fn expire(&mut self, now_ns: u64, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        self.drop_where(Drop::IdleTimeout, ledger, done, |flow| now_ns.saturating_sub(flow.last_ns) > IDLE_NS);
        self.store.expire(now_ns);
        for flow in self.flows.values_mut() {
            flow.expire_tls(now_ns, ledger);
            self.bytes = add_up(self.bytes, flow);
            let target = flow.target;
            flow.take_tls_changes(&mut |change| self.tls_changes.push((target, change)));
        }
    }

    /// The target is not to be mirrored any more, from this moment on.
    pub fn release(&mut self, target: u64, why: Drop, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        self.drop_where(why, ledger, done, |flow| flow.target == target);
    }

    pub fn close(&mut self, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        self.drop_where(Drop::Shutdown, ledger, done, |_| true);
    }

    /// Makes room for an eighth more at once, so that the search is paid rarely.
    fn evict(&mut self, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        let mut ages: Vec<u64> = self.flows.values().map(|flow| flow.last_ns).collect();
        let nth = (ages.len() / 8).min(ages.len().saturating_sub(1));
        let limit = *ages.select_nth_unstable(nth).1;
        self.drop_where(Drop::FlowEvicted, ledger, done, |flow| flow.last_ns <= limit);
    }

    fn remove(&mut self, id: u64) -> Option<Flow> {
        let flow = self.flows.remove(&id)?;
        self.bytes -= flow.counted;
        Some(flow)
    }

    /// When all hold too much, an eighth is given up at once, so that the search is paid rarely: bodies first, and then the
    /// connections that hold most even then. Those are not read any more: a client may bring this about when he likes, and
    /// what follows may look like requests.
    fn make_room(&mut self, ledger: &mut Ledger, done: &mut impl FnMut(u64, wire::Exchange)) {
        if self.bytes <= self.max_bytes {
            return;
        }
        let each = self.flows.iter().map(|(id, flow)| Taken { id: *id, target: flow.target, bytes: flow.counted });
        for Giver { bytes, mut ids } in givers(each.collect(), self.max_bytes / 8 * 7) {
            let goal = self.bytes.saturating_sub(bytes);
            for id in &ids {
                if self.bytes > goal
                    && let Some(flow) = self.flows.get_mut(id)
                {
                    flow.strip_bodies(ledger);
                    self.bytes = add_up(self.bytes, flow);
                }
            }
            ids.sort_by_cached_key(|id| Reverse(self.flows.get(id).map_or(0, |flow| flow.counted)));
            for id in ids {
                if self.bytes > goal {
                    self.finish_all(&[id], Drop::ConnectionsFull, ledger, done);
                    self.given_up.add(id);
                }
            }
        }
    }

    fn drop_where(
        &mut self,
        why: Drop,
        ledger: &mut Ledger,
        done: &mut impl FnMut(u64, wire::Exchange),
        which: impl Fn(&Flow) -> bool,
    ) {
        for (_, mut flow) in self.flows.extract_if(|_, flow| which(flow)) {
            self.bytes -= flow.counted;
            let target = flow.target;
            flow.finish(why, &mut self.store, ledger, &mut |exchange| done(target, exchange));
            flow.take_tls_changes(&mut |change| self.tls_changes.push((target, change)));
        }
    }
}

/// `bytes` with what this connection takes now.
fn add_up(bytes: usize, flow: &mut Flow) -> usize {
    let now = flow.memory();
    let before = std::mem::replace(&mut flow.counted, now);
    bytes - before + now
}

/// Books a record that belongs to no target any more.
pub fn discard_released(record: &Record, ledger: &mut Ledger) {
    ledger.discard(Discard::Released, record.payload.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::default_response_headers;
    use crate::record::{self, Tuple};

    const TUPLE: Tuple = Tuple { remote: [1; 16], local: [2; 16], remote_port: 40000, local_port: 443, family: 6 };
    const MAX: usize = 8;

    /// Its library reads a request, and it ends by its packets; no round ends.
    fn open_and_end(flows: &mut Flows, id: u64, ledger: &mut Ledger) {
        let payload = b"GET / HTTP/1.1\r\n\r\n";
        let call = Call {
            flow_id: id,
            target: 3,
            ktime_ns: id,
            binding: 1,
            tuple: TUPLE,
            kind: CallKind::Read,
            of_packets: false,
            sequence: 0,
            length: payload.len() as u64,
            payload,
        };
        let end = Record {
            flow_id: id,
            ktime_ns: id,
            target: 3,
            tuple: TUPLE,
            flags: record::OUT | record::FIN,
            seq: 1,
            ack: 1,
            base: 1,
            in_isn: 0,
            out_isn: 0,
            payload: b"",
        };
        flows.call(&call, 0, ledger, &mut |_, _| {});
        flows.push(&end, ledger, &mut |_, _| {});
    }

    #[test]
    fn connections_that_wait_for_calls_are_bounded_and_those_given_up_are_counted() {
        let limits =
            Limits { max_flow_bytes: 1 << 16, max_body_bytes: 1 << 16, response_headers: default_response_headers() };
        let (mut flows, mut ledger) = (Flows::new(MAX, limits).with_calls(true), Ledger::default());
        for id in 0..1000 {
            open_and_end(&mut flows, id, &mut ledger);
        }
        assert!(flows.ending.iter().all(|ids| ids.len() <= MAX));
        let given_up = ledger.dropped_for(Drop::FlowEvicted);
        assert_eq!((ledger.captured, given_up + flows.in_flight()), (1000, 1000));
        for _ in 0..2 {
            flows.end_round(&mut ledger, &mut |_, _| {});
        }
        assert_eq!((flows.in_flight(), ledger.dropped_total()), (0, 1000));
    }

    #[test]
    fn a_reset_that_is_forged_does_not_open_again_what_has_ended() {
        let limits =
            Limits { max_flow_bytes: 1 << 16, max_body_bytes: 1 << 16, response_headers: default_response_headers() };
        let (mut flows, mut ledger) = (Flows::new(MAX, limits).with_calls(true), Ledger::default());
        let record = |flags, seq, payload| Record {
            flow_id: 1,
            ktime_ns: 1,
            target: 3,
            tuple: TUPLE,
            flags,
            seq,
            ack: 1,
            base: 1,
            in_isn: 0,
            out_isn: 0,
            payload,
        };
        let hello: &[u8] = &[22, 3, 1, 0, 200];
        for (record, is_closed) in [
            (record(record::PACKET, 1, hello), false),
            (record(record::RST, 3, b""), false),
            // Calls from before it may not have been taken yet.
            (record(record::OUT | record::FIN, 1, b""), true),
            (record(record::RST, 3, b""), true),
        ] {
            flows.push(&record, &mut ledger, &mut |_, _| {});
            assert_eq!(flows.flows[&1].closed, is_closed, "{:x}", record.flags);
        }
    }
}
