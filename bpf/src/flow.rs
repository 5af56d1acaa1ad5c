//! One connection of a mirrored server: its client's bytes, its server's heads, and their pairing.
use std::sync::Arc;

use bytes::Bytes;

use crate::http1::request::{Pending, Requests};
use crate::http1::response::{Allowlist, Responses};
use crate::inbound::{Inbound, Origin, Sink};
use crate::ledger::{Discard, Drop, Ledger};
use crate::record::{self, Record, Tuple};
use crate::seq::ahead;
use crate::wire;

/// A new connection whose first captured segment lies further behind its start than this was joined late:
/// the kernel knows it, but its beginning was lost.
const REORDER_BYTES: i32 = 1 << 20;

#[derive(Clone, Debug)]
pub struct Limits {
    pub max_flow_bytes: usize,
    pub max_body_bytes: usize,
    pub response_headers: Allowlist,
}

/// What the connection asks of the kernel after a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub ignore: bool,
    /// Request bytes from the first up to the second place are not wanted.
    pub in_skip: Option<(u32, u32)>,
    pub in_skip_done: bool,
    pub out_head: Option<u32>,
    pub out_resync: bool,
    pub raw_seen: Option<u32>,
    /// The kernel frames again: what was asked of its raw mode has passed.
    pub out_done: bool,
}

#[derive(Debug)]
pub struct Flow {
    id: u64,
    pub target: u64,
    tuple: Tuple,
    joined: bool,
    inbound: Inbound,
    requests: Requests,
    responses: Responses,
    pub last_ns: u64,
    pub closed: bool,
    /// The latest response bytes were handed over whole.
    raw: bool,
}

impl Flow {
    pub fn new(record: &Record, limits: &Limits) -> Self {
        let mut in_next = record.in_isn.wrapping_add(1);
        let out = record.has(record::OUT);
        let far = if out { record.ack } else { record.seq };
        let joined = record.has(record::JOINED) || ahead(far, in_next).unsigned_abs() > REORDER_BYTES.unsigned_abs();
        if joined {
            in_next = far;
        }
        Self {
            id: record.flow_id,
            target: record.target,
            tuple: record.tuple,
            joined,
            inbound: Inbound::new(in_next, limits.max_flow_bytes),
            requests: Requests::new(limits.max_body_bytes, joined),
            responses: Responses::new(record.out_isn.wrapping_add(1), joined, limits.response_headers.clone()),
            last_ns: record.ktime_ns,
            closed: false,
            raw: false,
        }
    }

    pub fn in_flight(&self) -> u64 {
        self.requests.in_flight()
    }

    pub fn held_bytes(&self) -> usize {
        self.inbound.held_bytes()
    }

    /// Takes one record; finished exchanges go to `done`.
    pub fn push(&mut self, record: &Record, ledger: &mut Ledger, done: &mut impl FnMut(wire::Exchange)) -> Wish {
        self.last_ns = record.ktime_ns;
        self.target = record.target;
        let mut wish = Wish::default();
        let was_skipping = self.inbound.is_skipping();
        if record.has(record::OUT) {
            self.inbound.acknowledged(record.ack, &mut self.requests, ledger);
            if !record.payload.is_empty() {
                self.responses.push(record, &mut self.requests, ledger);
                // What the client sends from here on may look like requests: the kernel may not know yet.
                self.requests.tunnel = self.responses.tunnel;
                wish.out_done = self.raw && !record.has(record::RAW);
                self.raw = record.has(record::RAW);
                if self.raw {
                    wish.out_head = self.responses.boundary();
                    wish.raw_seen = Some(record.seq.wrapping_add(record.payload.len() as u32));
                    wish.out_resync = self.responses.is_lost();
                }
            }
        } else if !record.payload.is_empty() {
            let origin = Origin { ktime_ns: record.ktime_ns, ack: record.ack };
            let packet_start = record.has(record::PACKET);
            if record.has(record::URGENT) {
                // The server may take the urgent byte out of the stream (RFC 9293 section 3.8.5).
                self.requests.conflict(record.seq);
            }
            self.inbound.push(record.seq, record.payload, origin, packet_start, &mut self.requests, ledger);
            if let Some(to) = self.requests.wanted_from.take() {
                self.inbound.skip_to(to);
                wish.in_skip = Some((self.inbound.next(), to));
            }
        }
        wish.in_skip_done = was_skipping && !self.inbound.is_skipping();
        while let Some(pending) = self.requests.take_ready() {
            done(self.exchange(pending));
        }
        if record.has(record::FIN | record::RST) {
            self.end(record);
        }
        wish.ignore = self.responses.tunnel || (self.requests.is_dead() && self.requests.pending.is_empty());
        wish
    }

    /// Ends the connection in the ledger: answered requests are given out, others dropped for `why`.
    pub fn finish(&mut self, why: Drop, ledger: &mut Ledger, done: &mut impl FnMut(wire::Exchange)) {
        let discard = match why {
            Drop::Released | Drop::Excluded => Discard::Released,
            _ => Discard::FlowClosed,
        };
        self.inbound.finish(discard, ledger);
        for pending in self.requests.finish(why, ledger) {
            done(self.exchange(pending));
        }
        self.closed = true;
    }

    fn end(&mut self, record: &Record) {
        if record.has(record::OUT) {
            // The server's own FIN or RST: nothing more is answered.
            self.closed = true;
        } else if record.has(record::RST) {
            // Only at the exact place, or anybody could end a stream (RFC 5961 section 3.2).
            self.closed = record.seq == self.inbound.next();
        } else {
            self.inbound.fin(record.seq);
        }
    }

    fn exchange(&self, pending: Pending) -> wire::Exchange {
        let version = |minor: u8| if minor == 0 { "HTTP/1.0" } else { "HTTP/1.1" }.to_owned();
        let timing = wire::Timing {
            request_start_ns: pending.start_ns,
            request_duration_ns: pending.complete.then(|| pending.end_ns.saturating_sub(pending.start_ns)),
            response_delay_ns: pending.answer.as_ref().map(|a| a.ktime_ns.saturating_sub(pending.start_ns)),
        };
        let pairing = if pending.proven { wire::Pairing::Order } else { wire::Pairing::Acknowledgement };
        wire::Exchange {
            target: 0,
            connection: Some(wire::Connection {
                client_address: Bytes::copy_from_slice(self.tuple.remote_bytes()),
                client_port: self.tuple.remote_port.into(),
                server_address: Bytes::copy_from_slice(self.tuple.local_bytes()),
                server_port: self.tuple.local_port.into(),
                flow_id: self.id,
                tls: None,
            }),
            protocol: wire::Protocol::Http1.into(),
            stream_id: None,
            request: Some(wire::Request {
                method: pending.method,
                target: pending.target,
                version: version(pending.minor),
                headers: pending.headers,
                body: pending.body.into(),
                body_length: pending.length_known.then_some(pending.body_length),
                body_truncated: pending.body_truncated,
                trailers: pending.trailers,
                head_length: pending.head_length,
            }),
            response: pending.answer.map(|answer| wire::Response {
                status: answer.status.into(),
                version: version(answer.minor),
                headers: answer.headers,
                content_type: answer.content_type,
                content_length: answer.content_length,
            }),
            timing: Some(timing),
            pairing: pairing.into(),
            gap: pending.gap,
            joined_late: self.joined,
            sequence: pending.sequence,
            conflicting: pending.conflicting,
        }
    }
}

/// The names kept when nobody says otherwise: what an inventory needs and nobody minds.
pub fn default_response_headers() -> Allowlist {
    let names =
        ["content-type", "content-length", "content-encoding", "location", "server", "www-authenticate", "allow"];
    Arc::from(names.map(str::to_owned))
}
