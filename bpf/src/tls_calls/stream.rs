//! One connection as its server's TLS library read and wrote it: calls in, in their order, to the same parsers as packets.
//!
//! Both parsers count places in TCP's streams. Here a place is the number of bytes that calls have read, or written, and the
//! order of the calls says what was known when: a request was sent, at the latest, when as much was written as before it was
//! read; an answer knows what was read before it. So an answer finds its request by the same rules (`Regime::Anchor`): it is
//! the first that is written behind it.
//!
//! That is certain where no other request is under way. So a connection is given up for good once a request begins before
//! the last one is answered, or within its answer, or an answer comes that nobody asked for. What cannot be seen is a request
//! that was read before the first call that was, and not answered by then, of a client that goes on without waiting.
use crate::http1::head::begins_request;
use crate::http1::request::{Begin, Pending, Requests};
use crate::http1::response::Responses;
use crate::inbound::{Origin, Sink};
use crate::ledger::{Discard, Drop, Ledger};

use super::call::{Call, Kind};

/// Bytes without a request before a connection is given up: HTTP/2, or another protocol. An upload that was under way when
/// the probes came may be longer; then what follows it is not read.
const SEARCH_BYTES: u64 = 4 << 20;

#[derive(Debug, Default)]
pub struct Stream {
    /// Of the handle, and of its next call; None: nothing was seen yet.
    next: Option<(u64, u32)>,
    /// Read and written so far.
    read: u32,
    written: u32,
    /// Since the last request.
    searched: u64,
    silent: bool,
}

impl Stream {
    /// A call was seen.
    pub fn has_begun(&self) -> bool {
        self.next.is_some()
    }

    /// It is of no use to copy what comes.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Takes a read or a write. What became whole by a loss of calls is returned; what is answered waits in `requests`.
    pub fn take(
        &mut self,
        call: &Call,
        requests: &mut Requests,
        responses: &mut Responses,
        ledger: &mut Ledger,
    ) -> Vec<Pending> {
        let expected = self.next.replace((call.binding, call.sequence.wrapping_add(1)));
        if self.silent {
            ledger.discard(Discard::Ignored, call.payload.len());
            return Vec::new();
        }
        let mut given = Vec::new();
        if expected.is_some_and(|expected| expected != (call.binding, call.sequence)) {
            given = requests.restart(Drop::Gap, ledger);
            responses.lost(requests);
        }
        let sure = match call.kind {
            Kind::Read => self.read(call, requests, responses, ledger),
            Kind::Write => self.written(call, requests, responses, ledger),
            Kind::End => true,
        };
        requests.tunnel = responses.tunnel;
        if !sure {
            self.silent = true;
            given.extend(requests.restart(Drop::Unpaired, ledger));
        } else if responses.tunnel || requests.is_dead() {
            self.silent = true;
        }
        given
    }

    /// False: it is not known any more which answer is whose.
    fn read(&mut self, call: &Call, requests: &mut Requests, responses: &mut Responses, ledger: &mut Ledger) -> bool {
        let (at, bytes) = (self.read, call.payload);
        self.read = at.wrapping_add(call.length as u32);
        if requests.is_between() && !responses.is_between() {
            // With a known method it is known where the answer ends.
            if requests.in_order() {
                ledger.discard(Discard::Ignored, bytes.len());
                return false;
            }
            responses.lost(requests);
        }
        if requests.unanswered() == 0 && requests.is_between() {
            // Answers are what a client reads; HTTP/2 begins so (RFC 9113 section 3.4).
            let other = bytes.starts_with(b"HTTP/1.") || bytes.starts_with(b"PRI * HTTP/2.0");
            self.searched = if begins_request(bytes) { 0 } else { self.searched.saturating_add(call.length) };
            if other || self.searched > SEARCH_BYTES {
                ledger.discard(Discard::Ignored, bytes.len());
                return false;
            }
        }
        let origin = Origin { ktime_ns: call.ktime_ns, ack: self.written };
        requests.data(at, bytes, origin, true, ledger);
        let cut = call.length - bytes.len() as u64;
        if cut > 0 {
            // More than any body can have left is no body's.
            let cut = u32::try_from(cut).unwrap_or(u32::MAX);
            requests.gap(self.read, cut, true, ledger);
        }
        requests.unanswered() <= 1
    }

    fn written(
        &mut self,
        call: &Call,
        requests: &mut Requests,
        responses: &mut Responses,
        ledger: &mut Ledger,
    ) -> bool {
        let (at, bytes) = (self.written, call.payload);
        self.written = at.wrapping_add(call.length as u32);
        if requests.in_order() && responses.is_between() && requests.unanswered() == 0 {
            ledger.discard(Discard::Ignored, bytes.len());
            return false;
        }
        let origin = Origin { ktime_ns: call.ktime_ns, ack: self.read };
        responses.data(Begin { from: at, at }, at, bytes, origin, requests, ledger);
        let cut = call.length - bytes.len() as u64;
        if cut > 0 {
            responses.passed(cut, requests);
        }
        true
    }
}
