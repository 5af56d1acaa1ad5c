//! The responses of one connection: only their heads are read, and as little else as finding the next one takes.
use std::sync::Arc;

use bytes::Bytes;

use super::MAX_HEAD_BYTES;
use super::chunked::{Chunked, Piece};
use super::head::{self, Framing};
use super::request::{Answer, Begin, Requests};
use crate::inbound::Origin;
use crate::ledger::{Discard, Ledger};
use crate::record::{self, Record};
use crate::seq::ahead;
use crate::wire::Header;

/// Lower-case names of the response headers that are kept.
pub type Allowlist = Arc<[String]>;

#[derive(Debug)]
enum State {
    Head(Vec<u8>),
    Length(u64),
    Chunked(Chunked),
    Close,
    /// Waiting for the kernel to say where a head begins.
    Lost,
}

#[derive(Debug)]
pub struct Responses {
    state: State,
    next: u32,
    /// First byte and acknowledgement of the response being read, its interim ones (1xx) included.
    head: Begin,
    head_ack: u32,
    /// Of the TLS record being read: its first byte of plaintext, and where it begins.
    record_at: Option<(u32, Begin)>,
    interim: bool,
    allowlist: Allowlist,
    /// 101, or 2xx to CONNECT: what follows is not HTTP.
    pub tunnel: bool,
}

impl Responses {
    pub fn new(next: u32, joined: bool, allowlist: Allowlist) -> Self {
        let state = if joined { State::Lost } else { State::Head(Vec::new()) };
        Self {
            state,
            next,
            head: Begin { from: next, at: next },
            head_ack: 0,
            record_at: None,
            interim: false,
            allowlist,
            tunnel: false,
        }
    }

    /// Where the next response begins, when that is known and worth telling the kernel.
    pub fn boundary(&self) -> Option<u32> {
        const WORTH_BYTES: u64 = 16 << 10;
        match &self.state {
            State::Head(bytes) if bytes.is_empty() => Some(self.next),
            // Sequence comparisons hold for 2 GiB.
            State::Length(left) if (WORTH_BYTES..1 << 30).contains(left) => Some(self.next.wrapping_add(*left as u32)),
            _ => None,
        }
    }

    /// What comes cannot be read before the kernel says where a head begins.
    pub fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// On the heap.
    pub fn memory(&self) -> usize {
        match &self.state {
            State::Head(partial) => partial.capacity(),
            State::Chunked(chunked) => chunked.memory(),
            _ => 0,
        }
    }

    /// Within no response, as far as is known.
    pub fn is_between(&self) -> bool {
        match &self.state {
            State::Head(bytes) => bytes.is_empty() && !self.interim,
            State::Lost => true,
            _ => false,
        }
    }

    /// Plaintext that the kernel copied.
    pub fn push(&mut self, record: &Record, requests: &mut Requests, ledger: &mut Ledger) {
        let mut bytes = record.payload;
        let mut seq = record.seq;
        if record.has(record::RESYNC) {
            self.break_off(requests, State::Head(Vec::new()));
        } else {
            let behind = ahead(self.next, seq);
            if behind > 0 && !record.has(record::HEAD) {
                let old = (behind.unsigned_abs() as usize).min(bytes.len());
                ledger.discard(Discard::Retransmission, old);
                bytes = &bytes[old..];
                seq = seq.wrapping_add(old as u32);
            } else {
                self.place(record, requests);
            }
        }
        let from = Origin { ktime_ns: record.ktime_ns, ack: record.ack };
        self.read(seq, bytes, from, requests, ledger);
    }

    /// What was in the TLS record that begins at `record`. `seq`: where its first byte counts as being.
    pub fn data(
        &mut self,
        record: Begin,
        seq: u32,
        bytes: &[u8],
        from: Origin,
        requests: &mut Requests,
        ledger: &mut Ledger,
    ) {
        self.record_at = Some((seq, record));
        if matches!(self.state, State::Lost) && bytes.starts_with(b"HTTP/1.") {
            self.break_off(requests, State::Head(Vec::new()));
        }
        self.read(seq, bytes, from, requests, ledger);
    }

    /// `len` bytes of TLS records were not read, on purpose: they are body as long as there is so much of it.
    pub fn passed(&mut self, len: u64, requests: &mut Requests) {
        match &mut self.state {
            State::Length(left) if len < *left => *left -= len,
            State::Length(left) if len == *left => self.state = State::Head(Vec::new()),
            // Where a body of unknown length ends is not known now, nor what follows.
            _ => self.lost(requests),
        }
    }

    /// What was being read is not followed by what comes, and where the next answer begins has to be seen.
    pub fn lost(&mut self, requests: &mut Requests) {
        self.break_off(requests, State::Lost);
    }

    fn read(&mut self, seq: u32, bytes: &[u8], from: Origin, requests: &mut Requests, ledger: &mut Ledger) {
        self.next = seq.wrapping_add(bytes.len() as u32);
        let mut rest = bytes;
        while !rest.is_empty() {
            if matches!(self.state, State::Lost) {
                return ledger.discard(Discard::Unsynchronised, rest.len());
            }
            if self.tunnel {
                return ledger.discard(Discard::Ignored, rest.len());
            }
            let at = self.next.wrapping_sub(rest.len() as u32);
            let n = self.step(at, rest, from, requests, ledger);
            ledger.parse(n);
            rest = &rest[n..];
        }
    }

    /// What was being read is not followed by what comes.
    fn break_off(&mut self, requests: &mut Requests, state: State) {
        requests.lose_answers();
        self.interim = false;
        self.state = state;
    }

    /// Fits what the kernel left out before this record to what was expected.
    fn place(&mut self, record: &Record, requests: &mut Requests) {
        let elided = record.seq.wrapping_sub(record.base);
        let at_end = matches!(self.state, State::Length(left) if record.seq.wrapping_sub(self.next) == left as u32);
        if record.has(record::HEAD) && at_end {
            // Whether left out or lost: it was body, and nothing else.
            self.state = State::Head(Vec::new());
            return;
        }
        if record.base != self.next {
            // A record was lost: responses in it are unknown.
            let state = if record.has(record::HEAD) { State::Head(Vec::new()) } else { State::Lost };
            return self.break_off(requests, state);
        }
        if !record.has(record::HEAD) {
            if elided != 0 {
                self.break_off(requests, State::Lost);
            }
            return;
        }
        if elided == 0
            && matches!(self.state, State::Length(_) | State::Chunked(_) | State::Close)
            && requests.in_order()
        {
            // Nothing is left out, and the method is known here for sure: the kernel took a GET for a HEAD.
            return;
        }
        let agrees = match &self.state {
            State::Head(bytes) => bytes.is_empty() && elided == 0,
            State::Length(left) => *left as u32 == elided,
            State::Chunked(_) | State::Close => true,
            State::Lost => false,
        };
        if !agrees {
            requests.lose_answers();
        }
        self.state = State::Head(Vec::new());
    }

    fn step(&mut self, seq: u32, bytes: &[u8], from: Origin, requests: &mut Requests, ledger: &mut Ledger) -> usize {
        match &mut self.state {
            State::Head(partial) => {
                let before = partial.len();
                if before == 0 {
                    if !self.interim {
                        // The client's acknowledgement stands between records.
                        let record = self.record_at.filter(|(first, _)| *first == seq);
                        self.head = record.map_or(Begin { from: seq, at: seq }, |(_, begin)| begin);
                    }
                    self.head_ack = from.ack;
                    if let Some(length) = head::head_length(bytes, 0) {
                        let head = Bytes::copy_from_slice(&bytes[..length]);
                        self.finish_head(&head, from.ktime_ns, requests, ledger);
                        return length;
                    }
                }
                partial.extend_from_slice(bytes);
                match head::head_length(partial, before) {
                    Some(length) => {
                        let head = Bytes::copy_from_slice(&partial[..length]);
                        self.finish_head(&head, from.ktime_ns, requests, ledger);
                        length - before
                    }
                    None => {
                        if partial.len() > MAX_HEAD_BYTES {
                            self.break_off(requests, State::Lost);
                        }
                        bytes.len()
                    }
                }
            }
            State::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= n as u64;
                if *left == 0 {
                    self.state = State::Head(Vec::new());
                }
                n
            }
            State::Chunked(chunked) => match chunked.next(bytes) {
                Ok(Piece::Framing(n)) => n,
                Ok(Piece::Data(data)) => data.len(),
                Ok(Piece::End(n)) => {
                    self.state = State::Head(Vec::new());
                    n
                }
                Err(_) => {
                    self.break_off(requests, State::Lost);
                    bytes.len()
                }
            },
            State::Close | State::Lost => bytes.len(),
        }
    }

    fn finish_head(&mut self, head: &Bytes, ktime_ns: u64, requests: &mut Requests, ledger: &mut Ledger) {
        let (line, rest) = head::split_line(head);
        let Ok((minor, status)) = head::status_line(&line) else {
            return self.break_off(requests, State::Lost);
        };
        self.interim = status < 200 && status != 101;
        if self.interim {
            self.state = State::Head(Vec::new());
            return;
        }
        let headers = head::headers(&rest);
        let answer = self.answer_of(&headers, status, minor, ktime_ns);
        let method = requests.answer(self.head, self.head_ack, answer, ledger);
        let method = method.as_deref().unwrap_or_default();
        self.tunnel = status == 101 || (method == b"CONNECT" && (200..300).contains(&status));
        self.state = match head::response_framing(&headers, status, method) {
            Ok(Framing::None) => State::Head(Vec::new()),
            Ok(Framing::Length(length)) => State::Length(length),
            Ok(Framing::Chunked) => State::Chunked(Chunked::new()),
            Ok(Framing::Close) => State::Close,
            Err(_) => {
                requests.lose_answers();
                State::Lost
            }
        };
    }

    fn answer_of(&self, headers: &[Header], status: u16, minor: u8, ktime_ns: u64) -> Answer {
        let value =
            |name: &str| headers.iter().find(|h| h.name.eq_ignore_ascii_case(name.as_bytes())).map(|h| &h.value);
        let kept =
            |header: &&Header| self.allowlist.iter().any(|name| header.name.eq_ignore_ascii_case(name.as_bytes()));
        Answer {
            status,
            minor,
            // Copied, not sliced: a slice would keep the whole head alive, Set-Cookie included.
            headers: headers
                .iter()
                .filter(kept)
                .map(|h| Header { name: Bytes::copy_from_slice(&h.name), value: Bytes::copy_from_slice(&h.value) })
                .collect(),
            content_type: value("content-type").map(|v| String::from_utf8_lossy(v).into_owned()),
            content_length: value("content-length").and_then(|v| head::decimal(v)),
            ktime_ns,
        }
    }
}
