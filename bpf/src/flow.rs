//! One connection of a mirrored server: its client's bytes, its server's heads, and their pairing.
use std::sync::Arc;

use bytes::Bytes;

use crate::http1::request::{Pending, Requests};
use crate::http1::response::{Allowlist, Responses};
use crate::inbound::{Inbound, Origin, Sink};
use crate::ledger::{Discard, Drop, Ledger};
use crate::record::{self, Record, Tuple};
use crate::seq::ahead;
use crate::tls::{self, ClientBytes, Connection, Store, World};
use crate::tls_calls::{Call, CallKind, Stream};
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
    /// Of TLS: its library's calls are read, and its packets are not; or the other way round.
    pub called: bool,
    pub by_packets: bool,
}

#[derive(Debug)]
pub struct Flow {
    id: u64,
    pub target: u64,
    tuple: Tuple,
    joined: bool,
    inbound: Inbound,
    /// Where the streams of a connection begin that was seen from its start.
    starts: Option<(u32, u32)>,
    tls: Option<Box<Connection>>,
    /// Of TLS that is read by its library's calls; nothing of its packets then is.
    called: Option<Stream>,
    /// Where packets are of no use, calls may be.
    may_be_called: bool,
    told: Told,
    requests: Requests,
    responses: Responses,
    max_flow_bytes: usize,
    began_ns: u64,
    pub last_ns: u64,
    pub closed: bool,
    /// The latest response bytes were handed over whole.
    raw: bool,
    /// `memory` when it was last added up.
    pub counted: usize,
}

/// What `take_tls_changes` has told.
#[derive(Debug, Default)]
struct Told {
    state: Option<tls::State>,
    waits: bool,
    unlogged: bool,
    proven: bool,
    called: bool,
    /// It speaks again, and that is not told yet.
    speaks: bool,
}

/// A client that said nothing for so long is not waited for, as in tls_calls/older.rs.
const SILENT_NS: u64 = 120_000_000_000;
/// Who looks after it may have given it up by then; as OLDER_SILENT_NS of the kernel side.
const LONG_SILENT_NS: u64 = SILENT_NS / 2;

impl Flow {
    pub fn new(record: &Record, limits: &Limits) -> Self {
        let mut in_next = record.in_isn.wrapping_add(1);
        let out = record.has(record::OUT);
        let far = if out { record.ack } else { record.seq };
        // An outward record of TLS has no `in_isn`: the flow was known, and is not any more.
        let joined = record.has(record::JOINED | record::TLS)
            || ahead(far, in_next).unsigned_abs() > REORDER_BYTES.unsigned_abs();
        if joined {
            in_next = far;
        }
        Self {
            id: record.flow_id,
            target: record.target,
            tuple: record.tuple,
            joined,
            inbound: Inbound::new(in_next, limits.max_flow_bytes),
            starts: (!joined).then(|| (in_next, record.out_isn.wrapping_add(1))),
            tls: None,
            called: None,
            may_be_called: false,
            told: Told::default(),
            max_flow_bytes: limits.max_flow_bytes,
            requests: Requests::new(limits.max_body_bytes, joined),
            responses: Responses::new(record.out_isn.wrapping_add(1), joined, limits.response_headers.clone()),
            began_ns: record.ktime_ns,
            last_ns: record.ktime_ns,
            closed: false,
            raw: false,
            counted: 0,
        }
    }

    /// A connection of which only calls are known.
    pub fn of_calls(call: &Call, limits: &Limits) -> Self {
        Self {
            id: call.flow_id,
            target: call.target,
            tuple: call.tuple,
            joined: true,
            inbound: Inbound::new(0, limits.max_flow_bytes),
            starts: None,
            tls: None,
            called: Some(Stream::default()),
            may_be_called: true,
            told: Told::default(),
            max_flow_bytes: limits.max_flow_bytes,
            requests: Requests::new(limits.max_body_bytes, true),
            responses: Responses::new(0, true, limits.response_headers.clone()),
            began_ns: call.ktime_ns,
            last_ns: call.ktime_ns,
            closed: false,
            raw: false,
            counted: 0,
        }
    }

    /// Its library's calls may be read where its packets are of no use.
    pub fn with_calls(mut self, may_be_called: bool) -> Self {
        self.may_be_called = may_be_called;
        self
    }

    /// Calls of it were read.
    pub fn has_calls(&self) -> bool {
        self.called.as_ref().is_some_and(Stream::has_begun)
    }

    /// It is read by calls, or will be once there is one.
    pub fn is_or_may_be_called(&self, store: &Store) -> bool {
        let undecided = || self.tls.as_ref().is_some_and(|tls| tls.is_without_secrets(store));
        self.called.is_some() || (self.may_be_called && undecided())
    }

    /// Somebody has to read its library's calls, for it cannot be read otherwise. `keyless`: targets with a library that hands
    /// out no secrets.
    pub fn wants_calls(&self, now_ns: u64, keyless: impl Fn(u64) -> bool) -> bool {
        let is_there = !self.closed && now_ns.saturating_sub(self.last_ns) < SILENT_NS;
        is_there && self.tls.is_some() && self.has_use_for_calls(keyless)
    }

    /// The same, should it speak again.
    pub fn has_use_for_calls(&self, keyless: impl Fn(u64) -> bool) -> bool {
        match (&self.called, self.tls.as_ref().map(|tls| tls.state())) {
            (Some(stream), _) if stream.is_silent() => false,
            (Some(_), None) => true,
            (Some(stream), Some(tls::State::Dark(why))) => {
                stream.has_begun() || why.is_of_kind() || keyless(self.target)
            }
            _ => {
                let waits = self.tls.as_ref().is_some_and(|tls| tls.waits_for_secret());
                self.may_be_called && waits && keyless(self.target)
            }
        }
    }

    /// From here on its library's calls are read. As with a connection that is older than the capture it is not known what went
    /// before the first of them.
    fn hand_over(&mut self, ledger: &mut Ledger) {
        self.inbound.finish(Discard::Undecrypted, ledger);
        // There is nothing in them: no byte of the connection was read.
        self.requests.join();
        self.responses.lost(&mut self.requests);
        self.called = Some(Stream::default());
    }

    /// Where nothing came of its packets, nor can: calls, if there are any.
    fn settle(&mut self, ledger: &mut Ledger) {
        let unreadable = || self.tls.as_ref().is_some_and(|tls| tls.is_unreadable());
        if self.called.is_none() && self.may_be_called && unreadable() {
            self.hand_over(ledger);
        }
    }

    /// Takes a read or a write of its server's; finished exchanges go to `done`. All packets and secrets that went before it
    /// have been taken. `stood_ns`: since when all probes on calls stand.
    pub fn call(
        &mut self,
        call: &Call,
        stood_ns: u64,
        store: &Store,
        ledger: &mut Ledger,
        done: &mut impl FnMut(wire::Exchange),
    ) -> Wish {
        if self.called.is_none()
            && self.may_be_called
            && call.kind != CallKind::End
            && let Some(tls) = &mut self.tls
            && tls.is_without_secrets(store)
        {
            // Its library has read application data, and logged nothing in the handshake before that.
            tls.go_dark(tls::Why::SecretMissing, ledger);
            self.hand_over(ledger);
        }
        let Some(stream) = &mut self.called else {
            ledger.discard(Discard::ByPackets, call.payload.len());
            return Wish { by_packets: call.kind != CallKind::End, ..Wish::default() };
        };
        self.last_ns = call.ktime_ns;
        if call.kind == CallKind::End {
            self.closed = true;
            return Wish { ignore: self.tls.is_some(), ..Wish::default() };
        }
        self.target = call.target;
        let first = !stream.has_begun();
        if first {
            // The handle's calls are numbered from its binding on.
            self.joined |= self.began_ns < stood_ns || call.sequence != 0;
        }
        let given = stream.take(call, &mut self.requests, &mut self.responses, ledger);
        let ignore = stream.is_silent();
        for pending in given {
            done(self.exchange(pending));
        }
        self.give_ready(done);
        Wish { ignore, called: first && self.tls.is_some(), ..Wish::default() }
    }

    pub fn in_flight(&self) -> u64 {
        self.requests.in_flight()
    }

    pub fn held_bytes(&self) -> usize {
        self.inbound.held_bytes() + self.tls.as_ref().map_or(0, |tls| tls.held_bytes())
    }

    /// What it holds on the heap. Itself and its keys take up to 5 KiB.
    pub fn memory(&self) -> usize {
        let tls = self.tls.as_ref().map_or(0, |tls| tls.memory());
        self.inbound.memory() + self.requests.memory() + self.responses.memory() + tls
    }

    /// Lets the bodies of its outstanding requests go, and what further copies of bytes would be compared with; the requests stay.
    pub fn strip_bodies(&mut self, ledger: &mut Ledger) {
        self.inbound.forget_recent();
        self.requests.strip_bodies(ledger);
    }

    /// Tells how its TLS stands, as far as that has changed since the last call.
    pub fn take_tls_changes(&mut self, tell: &mut impl FnMut(tls::Change)) {
        let Some(tls) = &self.tls else { return };
        if std::mem::take(&mut self.told.speaks) {
            tell(tls::Change::Speaks);
        }
        let state = tls.state();
        let before = self.told.state.replace(state);
        if before.is_none() && state != tls::State::Opening {
            // All in one step; a handshake it was.
            tell(tls::Change::State(tls::State::Opening));
        }
        // One that is not given up yet may be waited for.
        if tls.is_dark() && tls.goes_unlogged() && !std::mem::replace(&mut self.told.unlogged, true) {
            tell(tls::Change::Unlogged { began_ns: tls.since_ns() });
        }
        if !self.told.proven {
            for by in tls.proven_by().into_iter().flatten() {
                self.told.proven = true;
                tell(tls::Change::Proven(by));
            }
        }
        // HTTP/2 by calls is not read either.
        let is_called = || self.called.as_ref().is_some_and(|stream| stream.has_begun() && !stream.is_silent());
        if let tls::State::Dark(why) = state
            && (self.told.called || is_called())
        {
            if !std::mem::replace(&mut self.told.called, true) {
                let was_dark = matches!(before, Some(tls::State::Dark(_)));
                tell(tls::Change::Called { why, was_dark, late: self.joined });
            }
            return;
        }
        if before != Some(state) {
            tell(tls::Change::State(state));
        }
        if tls.waits_for_secret() && !std::mem::replace(&mut self.told.waits, true) {
            tell(tls::Change::Waits);
        }
    }

    /// It is not waited for any more: tells that no secret of it was logged, if so.
    pub fn tell_if_unlogged(&mut self, tell: &mut impl FnMut(tls::Change)) {
        if let Some(tls) = &self.tls
            && tls.goes_unlogged()
            && !std::mem::replace(&mut self.told.unlogged, true)
        {
            tell(tls::Change::Unlogged { began_ns: tls.since_ns() });
        }
    }

    /// Takes one record; finished exchanges go to `done`.
    pub fn push(
        &mut self,
        record: &Record,
        store: &mut Store,
        ledger: &mut Ledger,
        done: &mut impl FnMut(wire::Exchange),
    ) -> Wish {
        if let Some(stream) = &self.called {
            let is_client = !record.has(record::OUT) && !record.payload.is_empty();
            // The kernel says so of those of which it knows that they are called. Of this one it does not (any more): it was handed
            // over in silence, or another one took its slot of `Controls`.
            self.told.speaks |=
                is_client && !stream.is_silent() && record.ktime_ns.saturating_sub(self.last_ns) > LONG_SILENT_NS;
            self.last_ns = record.ktime_ns;
            ledger.discard(Discard::Undecrypted, record.payload.len());
            self.closed |= record.has(record::OUT) && record.has(record::FIN | record::RST);
            return Wish { ignore: stream.is_silent(), called: true, ..Wish::default() };
        }
        self.last_ns = record.ktime_ns;
        self.target = record.target;
        let mut wish = Wish::default();
        let was_open = self.is_open();
        let was_skipping = self.inbound.is_skipping();
        let (mut client, inbound) = self.client(store);
        if record.has(record::OUT) {
            let ack = inbound.acknowledged(record.ack, &mut client, ledger);
            if client.tls.is_none() && record.has(record::TLS) {
                // The kernel saw it begin with a handshake, and all that the server has answered to should have come.
                inbound.finish(Discard::Undecrypted, ledger);
                let mut tls = Connection::new(client.id, record.ack, record.seq, 0, record.ktime_ns);
                tls.go_dark(tls::Why::BeginningLost, ledger);
                *client.tls = Some(Box::new(tls));
            }
            if let Some(tls) = client.tls {
                tls.acknowledged(ack, &mut client.world, ledger);
            }
            if !record.payload.is_empty() {
                match client.tls {
                    Some(tls) => tls.server_data(record, &mut client.world, ledger),
                    None => client.world.responses.push(record, client.world.requests, ledger),
                }
                // What the client sends from here on may look like requests: the kernel may not know yet.
                self.requests.tunnel = self.responses.tunnel;
                wish.out_done = self.raw && !record.has(record::RAW);
                self.raw = record.has(record::RAW);
                if self.raw {
                    wish.raw_seen = Some(record.seq.wrapping_add(record.payload.len() as u32));
                    if let Some(tls) = &self.tls {
                        wish.out_head = tls.boundary();
                    } else {
                        wish.out_head = self.responses.boundary();
                        wish.out_resync = self.responses.is_lost();
                    }
                }
            }
        } else if !record.payload.is_empty() {
            let origin = Origin { ktime_ns: record.ktime_ns, ack: record.ack };
            let packet_start = record.has(record::PACKET);
            if record.has(record::URGENT) {
                // The server may take the urgent byte out of the stream (RFC 9293 section 3.8.5).
                client.conflict(record.seq, record.payload);
            }
            inbound.push(record.seq, record.payload, origin, packet_start, &mut client, ledger);
            if let Some(to) = self.requests.wanted_from.take() {
                self.inbound.skip_to(to);
                wish.in_skip = Some((self.inbound.next(), to));
            }
        }
        wish.in_skip_done = was_skipping && !self.inbound.is_skipping();
        self.give_ready(done);
        if record.has(record::FIN | record::RST) {
            self.end(record);
        }
        self.settle(ledger);
        if self.called.is_some() {
            wish.called = true;
            return wish;
        }
        wish.by_packets = self.may_be_called && !was_open && self.is_open();
        let dark = self.tls.as_ref().is_some_and(|tls| tls.is_dark());
        wish.ignore = self.responses.tunnel || dark || (self.requests.is_dead() && self.requests.pending.is_empty());
        wish
    }

    fn is_open(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.state() == tls::State::Open)
    }

    /// A secret of this connection's has come.
    pub fn advance(&mut self, store: &mut Store, ledger: &mut Ledger, done: &mut impl FnMut(wire::Exchange)) {
        let (mut client, _) = self.client(store);
        if let Some(tls) = client.tls {
            tls.advance(&mut client.world, ledger);
        }
        self.requests.tunnel = self.responses.tunnel;
        self.give_ready(done);
        self.settle(ledger);
    }

    /// Does not wait any longer for secrets that should have come by `now_ns`.
    pub fn expire_tls(&mut self, now_ns: u64, ledger: &mut Ledger) {
        if let Some(tls) = &mut self.tls {
            tls.expire(now_ns, ledger);
        }
        self.settle(ledger);
    }

    fn give_ready(&mut self, done: &mut impl FnMut(wire::Exchange)) {
        while let Some(pending) = self.requests.take_ready() {
            done(self.exchange(pending));
        }
    }

    fn client<'a>(&'a mut self, store: &'a mut Store) -> (Client<'a>, &'a mut Inbound) {
        let client = Client {
            id: self.id,
            starts: self.starts,
            tls: &mut self.tls,
            world: World { store, requests: &mut self.requests, responses: &mut self.responses },
            max_held_bytes: self.max_flow_bytes,
        };
        (client, &mut self.inbound)
    }

    /// Ends the connection in the ledger: answered requests are given out, others dropped for `why`.
    pub fn finish(&mut self, why: Drop, store: &mut Store, ledger: &mut Ledger, done: &mut impl FnMut(wire::Exchange)) {
        let discard = match why {
            Drop::Released | Drop::Excluded => Discard::Released,
            _ => Discard::FlowClosed,
        };
        self.inbound.finish(discard, ledger);
        if let Some(tls) = &mut self.tls {
            tls.finish(discard, store, ledger);
        }
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
            // Only at the exact place, or anybody could end a stream (RFC 5961 section 3.2). Within what is left out that place
            // is not known: where that begins the server ignores it.
            self.closed |= !self.inbound.is_skipping() && record.seq == self.inbound.next();
        } else {
            self.inbound.fin(record.seq);
        }
    }

    fn wire_tls(&self) -> Option<wire::Tls> {
        let seen = self.tls.as_ref().map(|tls| tls.wire());
        match self.called {
            // Of an older one nobody saw the handshake.
            Some(_) => Some(wire::Tls { bound_by: "call".to_owned(), ..seen.unwrap_or_default() }),
            None => seen,
        }
    }

    fn exchange(&self, pending: Pending) -> wire::Exchange {
        let version = |minor: u8| if minor == 0 { "HTTP/1.0" } else { "HTTP/1.1" }.to_owned();
        let timing = wire::Timing {
            request_start_ns: pending.start_ns,
            request_duration_ns: pending.end_ns.map(|end| end.saturating_sub(pending.start_ns)),
            response_delay_ns: pending.answer.as_ref().map(|a| a.ktime_ns.saturating_sub(pending.start_ns)),
        };
        let pairing = match (&self.called, pending.proven) {
            (Some(_), _) if pending.restarted => wire::Pairing::Acknowledgement,
            (Some(_), _) => wire::Pairing::Call,
            (None, true) => wire::Pairing::Order,
            (None, false) => wire::Pairing::Acknowledgement,
        };
        wire::Exchange {
            target: 0,
            connection: Some(wire::Connection {
                client_address: Bytes::copy_from_slice(self.tuple.remote_bytes()),
                client_port: self.tuple.remote_port.into(),
                server_address: Bytes::copy_from_slice(self.tuple.local_bytes()),
                server_port: self.tuple.local_port.into(),
                flow_id: self.id,
                tls: self.wire_tls(),
            }),
            protocol: wire::Protocol::Http1.into(),
            stream_id: None,
            request: Some(wire::Request {
                method: pending.method,
                target: pending.target,
                version: version(pending.minor),
                headers: pending.headers,
                body: pending.body.into(),
                body_length: (pending.length_known && !pending.unproven).then_some(pending.body_length),
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

/// Where the client's bytes go: to HTTP, or, when the first is that of a TLS handshake, by way of its connection.
struct Client<'a> {
    id: u64,
    starts: Option<(u32, u32)>,
    tls: &'a mut Option<Box<Connection>>,
    world: World<'a>,
    max_held_bytes: usize,
}

impl Sink for Client<'_> {
    fn data(&mut self, seq: u32, bytes: &[u8], origin: Origin, packet_start: bool, ledger: &mut Ledger) {
        if let Some((client_at, server_at)) = self.starts
            && self.tls.is_none()
            && seq == client_at
            && bytes.first() == Some(&tls::HANDSHAKE)
        {
            let connection = Connection::new(self.id, client_at, server_at, self.max_held_bytes, origin.ktime_ns);
            *self.tls = Some(Box::new(connection));
        }
        match self.tls {
            Some(connection) => {
                let mut bytes_of = ClientBytes { connection, world: &mut self.world };
                bytes_of.data(seq, bytes, origin, packet_start, ledger);
            }
            None => self.world.requests.data(seq, bytes, origin, packet_start, ledger),
        }
    }

    fn gap(&mut self, seq: u32, len: u32, skipped: bool, ledger: &mut Ledger) {
        match self.tls {
            Some(connection) => {
                ClientBytes { connection, world: &mut self.world }.gap(seq, len, skipped, ledger);
            }
            None => self.world.requests.gap(seq, len, skipped, ledger),
        }
    }

    fn conflict(&mut self, seq: u32, second: &[u8]) {
        match self.tls {
            Some(connection) => ClientBytes { connection, world: &mut self.world }.conflict(seq, second),
            None => self.world.requests.conflict(seq, second),
        }
    }

    fn is_wanted(&self, seq: u32) -> bool {
        self.tls.is_some() || self.world.requests.is_wanted(seq)
    }
}

/// The names kept when nobody says otherwise: what an inventory needs and nobody minds.
pub fn default_response_headers() -> Allowlist {
    let names =
        ["content-type", "content-length", "content-encoding", "location", "server", "www-authenticate", "allow"];
    Arc::from(names.map(str::to_owned))
}
