//! The requests of one connection: parsed in order, waiting for their responses.
use std::collections::VecDeque;

use bytes::Bytes;

use super::MAX_HEAD_BYTES;
use super::chunked::{Chunked, Piece};
use super::head::{self, Framing, HeadError};
use super::resume::{Came, Resume};
use crate::inbound::{Origin, Sink};
use crate::ledger::{Discard, Drop, Ledger};
use crate::seq::ahead;
use crate::wire::Header;

/// Requests outstanding on one connection; nginx and Node answer far fewer at once.
const MAX_PENDING: usize = 1024;

/// Memory that one connection's outstanding requests may take, heads and kept bodies.
const MAX_PENDING_BYTES: usize = 1 << 20;

/// Header lines of one request; nginx and Node take 100 to 2000 by default.
const MAX_HEADERS: usize = 1000;

/// Headers with what they say, on the heap.
fn bytes_of(headers: &[Header]) -> usize {
    headers.iter().map(|header| size_of::<Header>() + header.name.len() + header.value.len()).sum()
}

/// What is kept of a final response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub minor: u8,
    pub headers: Vec<Header>,
    pub content_type: Option<String>,
    pub content_length: Option<u64>,
    pub ktime_ns: u64,
}

/// How responses find their requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// Both directions were seen whole: the n-th response answers the n-th request.
    Order,
    /// Something is missing: a response must begin where the client's acknowledgement stood
    /// when it sent the request, and acknowledge the request.
    Anchor,
}

/// Where a response begins, as the client's acknowledgement may have stood before it: at its first byte, or before records
/// that carry no HTTP (TLS tickets, new keys).
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    pub from: u32,
    pub at: u32,
}

impl Begin {
    fn holds(self, ack: u32) -> bool {
        ahead(ack, self.from) >= 0 && ahead(self.at, ack) >= 0
    }
}

/// One request and what is known of its answer.
#[derive(Debug)]
pub struct Pending {
    pub method: Bytes,
    pub target: Bytes,
    pub minor: u8,
    pub headers: Vec<Header>,
    pub trailers: Vec<Header>,
    pub head_length: u32,
    head_end: u32,
    /// Behind its last byte, once complete. `None`: too far for sequence numbers to be compared.
    end: Option<u32>,
    /// Where its body ends was lost: `end` is the least that it can be.
    end_lost: bool,
    /// The client's acknowledgement when it sent the first byte: where its answer begins, unless pipelined.
    anchor: u32,
    pub body: Vec<u8>,
    /// Bytes of it that were let go to make room.
    stripped: usize,
    pub body_length: u64,
    pub body_truncated: bool,
    /// All of it was sent.
    pub complete: bool,
    /// False: it is not, and was not declared.
    pub length_known: bool,
    /// Its length is the declared one, and nothing tells that all of that was sent.
    pub unproven: bool,
    /// Some of its body went by encrypted: see `Requests::pass_sealed`.
    sealed: bool,
    pub gap: bool,
    pub conflicting: bool,
    pub start_ns: u64,
    /// Of the packet with its last byte, if that was seen.
    pub end_ns: Option<u64>,
    pub sequence: u32,
    pub proven: bool,
    pub answer: Option<Answer>,
    /// What the server had received as it sent that, or what may be that.
    answer_ack: Option<u32>,
    /// `Requests::breaks` when it was taken.
    breaks: u64,
    /// Calls were lost before it.
    pub restarted: bool,
}

impl Pending {
    /// Its answer did not wait for the end of its body, as far as that is known.
    fn is_answered_early(&self) -> bool {
        let is_before_end = |ack| self.end.is_none_or(|end| ahead(ack, end) < 0);
        self.complete && self.answer_ack.is_some_and(is_before_end)
    }

    /// ... and what follows may be body, and look like requests.
    fn hides_requests(&self) -> bool {
        (self.sealed || self.end_lost) && self.is_answered_early()
    }

    /// The server had received more than this when it sent `ack`.
    fn is_behind(&self, ack: u32) -> bool {
        self.complete && self.length_known && !self.end_lost && self.end.is_some_and(|end| ahead(ack, end) > 0)
    }

    /// On the heap.
    fn memory(&self) -> usize {
        let lines = self.headers.capacity() * size_of::<Header>();
        let content_type = |answer: &Answer| answer.content_type.as_ref().map_or(0, String::len);
        let answer = self.answer.as_ref().map_or(0, |answer| bytes_of(&answer.headers) + content_type(answer));
        self.head_length as usize + lines + bytes_of(&self.trailers) + self.body.capacity() + answer
    }
}

#[derive(Debug)]
enum State {
    /// Between messages.
    Start,
    Head(PartialHead),
    Length(u64),
    Chunked(Chunked),
    /// Waiting for a packet that begins with a request.
    Resync,
    /// Not HTTP from here on.
    Dead,
}

#[derive(Debug)]
struct PartialHead {
    bytes: Vec<u8>,
    origin: Origin,
}

impl PartialHead {
    /// False once the first line is there and is none; a protocol of other lines never sends an empty one.
    fn may_be_request(&self, before: usize) -> bool {
        match memchr::memchr(b'\n', &self.bytes) {
            Some(lf) if lf >= before => {
                let (line, _) = head::split_line(&Bytes::copy_from_slice(&self.bytes[..=lf]));
                head::request_line(&line).is_ok()
            }
            _ => true,
        }
    }
}

#[derive(Debug)]
pub struct Requests {
    state: State,
    pub pending: VecDeque<Pending>,
    /// What those take on the heap, added up as they change: there may be many of them, and a client that sends a byte at a time.
    pending_bytes: usize,
    regime: Regime,
    /// Both directions were seen whole from the start; else exchanges say that they rest on acknowledgements.
    proven: bool,
    /// The client sends requests before earlier ones are answered: after a gap their answers cannot be told apart.
    pipelined: bool,
    /// The same, from what may not have been requests.
    doubted: bool,
    /// The client's acknowledgement in the latest bytes, and where it stood when message boundaries were lost.
    last_ack: Option<u32>,
    /// Two copies of some bytes differed. Which one the server took is unknown, and so is every message boundary since.
    conflicting: bool,
    ack_at_gap: Option<u32>,
    /// In `Resync`.
    resume: Resume,
    /// How often answers may have been lost.
    breaks: u64,
    /// See `restart`.
    restarted: bool,
    /// Behind the latest bytes.
    next: u32,
    max_body_bytes: usize,
    next_sequence: u32,
    /// Where the last body ends is known by its length only: see `pass_sealed`.
    end_by_length: bool,
    /// What follows the present message is not HTTP: see `Responses::tunnel`.
    pub tunnel: bool,
    /// Request bytes before this need not be captured.
    pub wanted_from: Option<u32>,
}

impl Requests {
    pub fn new(max_body_bytes: usize, joined: bool) -> Self {
        Self {
            state: if joined { State::Resync } else { State::Start },
            pending: VecDeque::new(),
            pending_bytes: 0,
            regime: if joined { Regime::Anchor } else { Regime::Order },
            proven: !joined,
            pipelined: false,
            doubted: false,
            last_ack: None,
            conflicting: false,
            ack_at_gap: None,
            resume: Resume::Anywhere,
            breaks: 0,
            restarted: false,
            next: 0,
            max_body_bytes,
            next_sequence: 0,
            end_by_length: false,
            tunnel: false,
            wanted_from: None,
        }
    }

    pub fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead)
    }

    fn why_dead(&self) -> Discard {
        if self.next_sequence == 0 { Discard::NotHttp } else { Discard::Ignored }
    }

    /// Answers are matched by their order, so the method that each answers is known.
    pub fn in_order(&self) -> bool {
        self.regime == Regime::Order
    }

    /// From here on responses are matched by acknowledgement.
    pub fn lose_order(&mut self) {
        self.regime = Regime::Anchor;
        self.proven = false;
    }

    /// What the server says is not followed: answers may be lost.
    pub fn lose_answers(&mut self) {
        self.breaks += 1;
        self.lose_order();
    }

    /// Requests that were begun and are not answered, as far as is known.
    pub fn unanswered(&self) -> usize {
        let begun = usize::from(matches!(self.state, State::Head(_)));
        self.pending.iter().filter(|p| p.answer.is_none()).count() + begun
    }

    /// Of the present body, when its length was declared.
    pub fn body_left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Of the present body, at least.
    pub fn least_left(&self) -> u64 {
        match &self.state {
            State::Length(left) => *left,
            State::Chunked(chunked) => chunked.least_left(),
            _ => 0,
        }
    }

    /// Where the present body ends at least, whose next byte stands at `from`. `None`: sequence comparisons hold for 2 GiB.
    fn end_behind(&self, from: u32) -> Option<u32> {
        let left = self.least_left();
        (left < 1 << 30).then(|| from.wrapping_add(left as u32))
    }

    /// The latest request is.
    pub fn is_answered(&self) -> bool {
        self.pending.back().is_some_and(|pending| pending.answer.is_some())
    }

    /// The client was seen to send requests before earlier ones were answered.
    pub fn is_pipelining(&self) -> bool {
        self.pipelined || self.doubted
    }

    /// `len` bytes of the present body went by encrypted and end at `end`, by its length. A client may have put something else
    /// among them, and what follows is body yet: so the next requests are paired by acknowledgement, and say so. If the server
    /// had answered before it had received all of the body, not even that tells them from body: then nothing more is paired.
    pub fn pass_sealed(&mut self, end: u32, len: u64, ledger: &mut Ledger) {
        if let Some(pending) = self.pending.back_mut() {
            pending.sealed = true;
        }
        self.end_by_length = true;
        self.gap(end, len as u32, true, ledger);
    }

    /// The same, when only the server's acknowledgement says that the body is over.
    pub fn pass_unproven(&mut self, end: u32, len: u64, ledger: &mut Ledger) {
        self.pass_sealed(end, len, ledger);
        if let Some(pending) = self.pending.back_mut() {
            pending.unproven = true;
        }
    }

    /// Bytes went by unseen, nobody knows how many: nothing is assumed of what follows. `least_end`: where the present body
    /// ends, or behind it; `None`: too far to compare.
    pub fn lose(&mut self, least_end: Option<u32>, ledger: &mut Ledger) {
        self.lose_place(least_end, true, ledger);
    }

    /// What comes is the first that the client says: no request was lost before.
    pub fn begin(&mut self) {
        if self.next_sequence == 0 {
            self.resume = Resume::Anywhere;
        }
    }

    /// A TLS record without data stands there.
    pub fn pass_record(&mut self, from: u32, to: u32) {
        self.resume.takes(Came { from, to, bytes: &[], begins: true });
    }

    /// What was in the TLS record that begins at `from`. `seq`: where its first byte counts as being.
    pub fn record(&mut self, from: u32, seq: u32, bytes: &[u8], origin: Origin, ledger: &mut Ledger) {
        self.take(from, seq, bytes, origin, true, ledger);
    }

    /// More came before an answer than the message that it answers.
    pub fn suspect_more(&mut self) {
        self.pipelined = true;
    }

    /// What comes next, if anything of a request, begins one.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Start | State::Resync)
    }

    /// What was begun has no certain end and no certain answer any more: what is answered is given out, the rest dropped for
    /// `why`. The next request is one that begins with a packet or call, once an answer came.
    pub fn restart(&mut self, why: Drop, ledger: &mut Ledger) -> Vec<Pending> {
        let dead = self.is_dead();
        self.restarted = true;
        self.resume.lose(1, None);
        let answered = self.finish(why, ledger);
        if !dead {
            self.state = State::Resync;
        }
        self.ack_at_gap = None;
        self.doubted = false;
        self.lose_order();
        answered
    }

    /// Nothing is known of what went before.
    pub fn join(&mut self) {
        debug_assert!(self.in_flight() == 0);
        *self = Self::new(self.max_body_bytes, true);
    }

    /// Requests recognised and not delivered or dropped yet.
    pub fn in_flight(&self) -> u64 {
        self.pending.len() as u64 + u64::from(matches!(self.state, State::Head(_)))
    }

    /// On the heap.
    pub fn memory(&self) -> usize {
        let partial = match &self.state {
            State::Head(partial) => partial.bytes.capacity(),
            State::Chunked(chunked) => chunked.memory(),
            _ => 0,
        };
        debug_assert_eq!(self.pending_bytes, self.pending.iter().map(Pending::memory).sum::<usize>());
        partial + self.pending.capacity() * size_of::<Pending>() + self.pending_bytes
    }

    fn add_up(&mut self) {
        self.pending_bytes = self.pending.iter().map(Pending::memory).sum();
    }

    /// Lets the bodies go; the requests stay.
    pub fn strip_bodies(&mut self, ledger: &mut Ledger) {
        for pending in self.pending.iter_mut().filter(|p| !p.body.is_empty()) {
            pending.stripped += std::mem::take(&mut pending.body).len();
            pending.body_truncated = true;
            ledger.bodies_stripped += 1;
        }
        self.add_up();
    }

    /// Takes the response whose first byte is at the end of `begin`, sent with `ack`; nothing of HTTP is in `begin` before
    /// that. Gives the method of the request that it answers, or `None` when that cannot be known.
    pub fn answer(&mut self, begin: Begin, ack: u32, answer: Answer, ledger: &mut Ledger) -> Option<Bytes> {
        self.pipelined |= self.resume.answered(ack);
        let method = self.pair(begin, ack, answer, ledger);
        if method.is_none() {
            self.note_unpaired(begin, ack);
        }
        method
    }

    /// An answer that finds no request may be that of a body all the same: its client chooses what it acknowledges.
    fn note_unpaired(&mut self, begin: Begin, ack: u32) {
        let is_open = |p: &&mut Pending| p.answer.is_none() && (!p.complete || p.end_lost);
        for pending in self.pending.iter_mut().filter(is_open) {
            if ahead(begin.at, pending.anchor) >= 0 && ahead(ack, pending.head_end) >= 0 {
                pending.answer_ack.get_or_insert(ack);
                self.pipelined |= pending.hides_requests();
            }
        }
    }

    fn pair(&mut self, begin: Begin, ack: u32, answer: Answer, ledger: &mut Ledger) -> Option<Bytes> {
        let at = match self.regime {
            Regime::Order => {
                let at = self.pending.iter().position(|p| p.answer.is_none())?;
                let pending = &self.pending[at];
                if ahead(ack, pending.head_end) < 0 {
                    // The server had not received this request yet: an earlier one is missing.
                    self.lose_order();
                    return None;
                }
                self.pipelined |= pending.is_behind(ack);
                at
            }
            Regime::Anchor => {
                let fits = |p: &Pending| p.answer.is_none() && begin.holds(p.anchor) && ahead(ack, p.head_end) >= 0;
                let at = self.pending.iter().position(fits)?;
                let pending = &self.pending[at];
                // What stands before it and lost no answer has one to come.
                let is_passed = |p: &Pending| p.answer.is_none() && p.breaks == self.breaks;
                let is_pipelined = self.pending.iter().take(at).any(is_passed);
                if self.pipelined || self.doubted || is_pipelined || pending.is_behind(ack) {
                    // The server had more than this request: it is no request, or the client does not wait. Of one that was
                    // sure, with a sure end, only the latter can be, and then no later answer can be told apart either.
                    self.pipelined |= pending.proven && !pending.gap;
                    self.start_over(ledger);
                    return None;
                }
                // What stands before it got an answer that was not captured, or an unknown one.
                let dropped = self.pending.iter().take(at).filter(|p| p.answer.is_none()).count();
                ledger.drop_exchanges(Drop::Unpaired, dropped as u64);
                let mut index = 0;
                self.pending.retain(|p| {
                    index += 1;
                    index > at || p.answer.is_some()
                });
                self.add_up();
                if !self.pending.iter().any(|p| p.end_lost) {
                    // One certain pair, and nothing missing since: the next ones follow in order.
                    self.regime = Regime::Order;
                }
                at - dropped
            }
        };
        let proven = self.proven;
        let pending = self.pending.get_mut(at)?;
        pending.proven = proven;
        self.pending_bytes -= pending.memory();
        pending.answer = Some(answer);
        self.pending_bytes += pending.memory();
        pending.answer_ack = Some(ack);
        self.pipelined |= pending.hides_requests();
        Some(pending.method.clone())
    }

    /// Forgets what was taken for requests since order was lost, and waits for the next packet that begins with one.
    fn start_over(&mut self, ledger: &mut Ledger) {
        let waiting = self.pending.iter().filter(|p| p.answer.is_none()).count();
        let partial = usize::from(matches!(self.state, State::Head(_)));
        ledger.drop_exchanges(Drop::Unpaired, (waiting + partial) as u64);
        if partial > 0 || self.pending.iter().any(|p| !p.complete || (p.end_lost && p.answer.is_none())) {
            let lost_end = self.pending.back().filter(|p| p.end_lost).and_then(|p| p.end);
            let floor = if self.least_left() > 0 { self.end_behind(self.next) } else { lost_end };
            self.pipelined |= self.least_left() > 0 && floor.is_none();
            // This answer was one of theirs.
            self.resume.lose((waiting + partial).saturating_sub(1), floor);
        }
        self.pending.retain(|p| p.answer.is_some());
        self.add_up();
        for pending in self.pending.iter_mut().filter(|p| !p.complete) {
            // Answered, and its end will not be seen.
            pending.complete = true;
            pending.length_known = false;
            pending.body_truncated = true;
            pending.gap = true;
        }
        if !self.is_dead() {
            self.state = State::Resync;
        }
        self.doubted = false;
    }

    /// There are signs that the client does not wait for answers. What was taken for requests
    /// since order was lost may be none, so the signs are forgotten with them.
    fn suspect_pipelining(&mut self) {
        match self.regime {
            Regime::Order => self.pipelined = true,
            Regime::Anchor => self.doubted = true,
        }
    }

    /// The oldest request when it and its answer are complete.
    pub fn take_ready(&mut self) -> Option<Pending> {
        let ready = self.pending.pop_front_if(|p| p.answer.is_some() && p.complete);
        self.pending_bytes -= ready.as_ref().map_or(0, Pending::memory);
        if ready.is_some() && self.pending.is_empty() {
            // Most connections rest, for long.
            self.pending = VecDeque::new();
        }
        ready
    }

    /// The connection is over: what is answered is given out, the rest is dropped for `why`.
    pub fn finish(&mut self, why: Drop, ledger: &mut Ledger) -> Vec<Pending> {
        if let State::Head(_) = self.state {
            ledger.drop_exchange(if why == Drop::NoResponse { Drop::Incomplete } else { why });
        }
        self.state = State::Dead;
        self.pending_bytes = 0;
        let mut answered = Vec::new();
        for mut pending in self.pending.drain(..) {
            if pending.answer.is_none() {
                ledger.drop_exchange(why);
                continue;
            }
            if !pending.complete {
                pending.body_truncated = true;
                pending.length_known = false;
            }
            answered.push(pending);
        }
        answered
    }

    fn fail(&mut self, error: HeadError, ledger: &mut Ledger) {
        self.state = State::Dead;
        if error == HeadError::Malformed && self.next_sequence == 0 {
            // A connection that never spoke HTTP only began with a letter: no request was lost.
            ledger.captured -= 1;
            return;
        }
        ledger.drop_exchange(match error {
            HeadError::Malformed => Drop::Malformed,
            HeadError::Ambiguous => Drop::AmbiguousLength,
            HeadError::TooLarge => Drop::HeadTooLarge,
        });
    }

    /// `head_end`: behind its last byte, which may be in another TLS record than its first.
    fn open(&mut self, head: Bytes, start: PartialHead, head_end: u32, now: u64, ledger: &mut Ledger) {
        let parsed = (|| {
            let (line, rest) = head::split_line(&head);
            let line = head::request_line(&line)?;
            let headers = head::headers(&rest);
            if headers.len() > MAX_HEADERS {
                return Err(HeadError::TooLarge);
            }
            let framing = head::request_framing(&headers, line.minor)?;
            Ok((line, headers, framing))
        })();
        let (line, headers, framing) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return self.fail(error, ledger),
        };
        if self.pending.len() >= MAX_PENDING || self.memory() > MAX_PENDING_BYTES {
            ledger.drop_exchange(Drop::TooManyPending);
            self.state = State::Dead;
            return;
        }
        let mut pending = Pending {
            method: line.method,
            target: line.target,
            minor: line.minor,
            headers,
            trailers: Vec::new(),
            head_length: head.len() as u32,
            head_end,
            end: Some(head_end),
            end_lost: false,
            anchor: start.origin.ack,
            body: Vec::new(),
            stripped: 0,
            body_length: 0,
            body_truncated: false,
            complete: false,
            length_known: true,
            unproven: false,
            sealed: false,
            gap: false,
            conflicting: self.conflicting,
            start_ns: start.origin.ktime_ns,
            end_ns: None,
            sequence: self.next_sequence,
            proven: self.proven,
            answer: None,
            answer_ack: None,
            breaks: self.breaks,
            restarted: self.restarted,
        };
        self.next_sequence += 1;
        self.state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::None | Framing::Close => {
                pending.complete = true;
                pending.end_ns = Some(now);
                State::Start
            }
        };
        self.pending_bytes += pending.memory();
        self.pending.push_back(pending);
    }

    /// Once the cap is reached: where the next wanted byte stands, when that is worth telling the kernel.
    fn skip_rest(&mut self, next: u32, left: u64) {
        const WORTH_BYTES: u64 = 16 << 10;
        let full = self.pending.back().is_some_and(|p| p.stripped > 0 || p.body.len() >= self.max_body_bytes);
        // Sequence comparisons hold for 2 GiB; a longer body is captured and thrown away here.
        if full && left > WORTH_BYTES && left < 1 << 30 {
            self.wanted_from = Some(next.wrapping_add(left as u32));
        }
    }

    fn append(&mut self, data: &[u8]) {
        let max = self.max_body_bytes;
        let Some(pending) = self.pending.back_mut() else {
            return;
        };
        pending.body_length += data.len() as u64;
        if !pending.body_truncated {
            let room = max.saturating_sub(pending.body.len()).min(data.len());
            self.pending_bytes -= pending.body.capacity();
            pending.body.extend_from_slice(&data[..room]);
            self.pending_bytes += pending.body.capacity();
            pending.body_truncated = room < data.len();
        }
    }

    /// `end_ns`: of the packet with the last byte, if it was seen.
    fn complete(&mut self, end: u32, end_ns: Option<u64>) {
        if let Some(pending) = self.pending.back_mut() {
            pending.complete = true;
            pending.end = Some(end);
            pending.end_ns = end_ns;
            self.pipelined |= pending.hides_requests();
        }
        self.state = State::Start;
    }

    /// More is missing than the rest of the present message, and another one may begin in it. `end`: where its body ends by its
    /// length, or at least.
    fn lose_place(&mut self, end: Option<u32>, end_lost: bool, ledger: &mut Ledger) {
        match self.state {
            State::Dead | State::Resync => return,
            State::Head(_) => ledger.drop_exchange(Drop::Gap),
            State::Length(_) | State::Chunked(_) => {
                // Its head and so its place are sure; where it ends may not be.
                if let Some(pending) = self.pending.back_mut() {
                    match self.state {
                        State::Length(left) => pending.body_length += left,
                        _ => pending.length_known = false,
                    }
                    pending.end = end;
                    pending.end_lost = end_lost;
                    pending.unproven = end_lost;
                    pending.gap = true;
                    pending.body_truncated = true;
                    pending.complete = true;
                    // Of one that is answered already what follows may be body, and look like requests.
                    self.pipelined |= end_lost && pending.answer.is_some();
                    self.pipelined |= pending.hides_requests();
                }
            }
            State::Start => {}
        }
        let waiting = self.pending.iter().filter(|p| p.answer.is_none()).count();
        let lost = usize::from(matches!(self.state, State::Start | State::Head(_)));
        self.resume.lose(waiting + lost, None);
        self.state = State::Resync;
        self.ack_at_gap = self.last_ack;
        self.lose_order();
    }

    /// Feeds some of `bytes` to the present message and says how many.
    fn step(&mut self, seq: u32, bytes: &[u8], origin: Origin, ledger: &mut Ledger) -> usize {
        match &mut self.state {
            State::Start if self.tunnel => {
                self.state = State::Dead;
                0
            }
            State::Start => {
                if bytes[0] == b'\r' || bytes[0] == b'\n' {
                    return 1;
                }
                ledger.captured += 1;
                if std::mem::take(&mut self.end_by_length) {
                    self.lose_order();
                }
                // Not just unanswered: the answer may be lost. The client had received nothing since it sent the other.
                if self.pending.iter().any(|p| p.answer.is_none() && p.anchor == origin.ack) {
                    self.suspect_pipelining();
                }
                self.state = State::Head(PartialHead { bytes: Vec::new(), origin });
                0
            }
            State::Head(partial) => {
                let before = partial.bytes.len();
                if before == 0
                    && let Some(length) = head::head_length(bytes, 0)
                {
                    let start = PartialHead { bytes: Vec::new(), ..*partial };
                    let end = seq.wrapping_add(length as u32);
                    self.open(Bytes::copy_from_slice(&bytes[..length]), start, end, origin.ktime_ns, ledger);
                    return length;
                }
                partial.bytes.extend_from_slice(bytes);
                match head::head_length(&partial.bytes, before) {
                    Some(length) => {
                        let start = PartialHead { bytes: Vec::new(), ..*partial };
                        // Copied: what stands behind it in the buffer must not live as long as it does.
                        let head = Bytes::copy_from_slice(&partial.bytes[..length]);
                        let end = seq.wrapping_add((length - before) as u32);
                        self.open(head, start, end, origin.ktime_ns, ledger);
                        length - before
                    }
                    None => {
                        if partial.bytes.len() > MAX_HEAD_BYTES {
                            self.fail(HeadError::TooLarge, ledger);
                        } else if !partial.may_be_request(before) {
                            self.fail(HeadError::Malformed, ledger);
                        }
                        bytes.len()
                    }
                }
            }
            State::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= n as u64;
                let (left, next) = (*left, seq.wrapping_add(n as u32));
                self.append(&bytes[..n]);
                if left == 0 {
                    self.complete(next, Some(origin.ktime_ns));
                } else {
                    self.skip_rest(next, left);
                }
                n
            }
            State::Chunked(chunked) => match chunked.next(bytes) {
                Ok(Piece::Framing(n)) => n,
                Ok(Piece::Data(data)) => {
                    let n = data.len();
                    self.append(data);
                    n
                }
                Ok(Piece::End(n)) => {
                    let trailers = head::headers(&Bytes::copy_from_slice(chunked.trailers()));
                    if let Some(pending) = self.pending.back_mut() {
                        self.pending_bytes -= pending.memory();
                        pending.trailers = trailers;
                        self.pending_bytes += pending.memory();
                    }
                    self.complete(seq.wrapping_add(n as u32), Some(origin.ktime_ns));
                    n
                }
                Err(error) => {
                    self.pending_bytes -= self.pending.pop_back().as_ref().map_or(0, Pending::memory);
                    self.fail(error, ledger);
                    bytes.len()
                }
            },
            State::Resync | State::Dead => bytes.len(),
        }
    }

    /// Bytes at `seq` that came in a packet or TLS record which begins at `from`; `begins`: they are the first ones of it.
    fn take(&mut self, from: u32, seq: u32, bytes: &[u8], origin: Origin, begins: bool, ledger: &mut Ledger) {
        if matches!(self.state, State::Resync) {
            let came = Came { from, to: seq.wrapping_add(bytes.len() as u32), bytes, begins };
            // Nothing came from the server since the lost bytes: what was asked in them is not answered yet.
            if begins && came.looks_like_request() && self.ack_at_gap == Some(origin.ack) {
                self.suspect_pipelining();
            }
            if self.resume.takes(came) {
                self.state = State::Start;
            }
        }
        self.last_ack = Some(origin.ack);
        self.next = seq.wrapping_add(bytes.len() as u32);
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.state {
                State::Resync => return ledger.discard(Discard::Unsynchronised, rest.len()),
                State::Dead => return ledger.discard(self.why_dead(), rest.len()),
                _ => {}
            }
            let at = seq.wrapping_add((bytes.len() - rest.len()) as u32);
            let n = self.step(at, rest, origin, ledger);
            match self.why_dead() {
                Discard::NotHttp if self.is_dead() => ledger.discard(Discard::NotHttp, n),
                _ => ledger.parse(n),
            }
            rest = &rest[n..];
        }
    }
}

impl Sink for Requests {
    fn data(&mut self, seq: u32, bytes: &[u8], origin: Origin, packet_start: bool, ledger: &mut Ledger) {
        self.take(seq, seq, bytes, origin, packet_start, ledger);
    }
    fn gap(&mut self, seq: u32, len: u32, skipped: bool, ledger: &mut Ledger) {
        self.next = seq;
        let len = u64::from(len);
        let passed = match &mut self.state {
            State::Length(left) if *left >= len => {
                *left -= len;
                Some(*left == 0)
            }
            State::Chunked(chunked) => chunked.skip(len).then_some(false),
            _ => None,
        };
        if let Some(over) = passed {
            if let Some(pending) = self.pending.back_mut() {
                pending.body_length += len;
                pending.body_truncated = true;
                pending.gap |= !skipped;
                if over {
                    self.complete(seq, None);
                }
            }
            return;
        }
        let end = self.end_behind(seq.wrapping_sub(len as u32));
        let end_lost = !matches!(self.state, State::Length(_));
        self.lose_place(end, end_lost, ledger);
    }

    fn is_wanted(&self, seq: u32) -> bool {
        self.pending.iter().any(|p| {
            let start = p.head_end.wrapping_sub(p.head_length);
            let kept = p.head_length as usize + p.stripped + p.body.len();
            let at = ahead(seq, start);
            at >= 0 && (at.unsigned_abs() as usize) < kept
        })
    }

    fn conflict(&mut self, _seq: u32, _second: &[u8]) {
        self.conflicting = true;
        for pending in &mut self.pending {
            pending.conflicting = true;
        }
    }
}
