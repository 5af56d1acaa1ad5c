//! The client's half of a connection: segments in any order become one byte stream.
//!
//! `cgroup_skb` sees segments before TCP validates them, so the first copy of a byte wins
//! and a differing second one is reported, never taken. A hole is only called a gap once the
//! server has acknowledged bytes behind it: then they arrived, and were not captured.
use std::collections::VecDeque;

use crate::ledger::{Discard, Ledger};
use crate::memory;
use crate::seq::ahead;

/// Bytes ahead of the expected one that a segment may begin. Linux's largest receive buffer by default is 6 MiB.
const WINDOW_BYTES: i32 = 16 << 20;

/// Bytes kept to compare retransmissions with, until the server acknowledges them.
const RECENT_BYTES: usize = 64 << 10;

/// Segments held per connection: a hostile client sends them a byte long.
const MAX_HELD: usize = 512;

/// Where bytes came from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    pub ktime_ns: u64,
    /// The client's acknowledgement in the same packet.
    pub ack: u32,
}

#[derive(Debug)]
struct Held {
    seq: u32,
    bytes: Vec<u8>,
    origin: Origin,
    /// These are the first payload bytes of their packet.
    packet_start: bool,
}

/// What the stream hands on, in order.
pub trait Sink {
    fn data(&mut self, seq: u32, bytes: &[u8], origin: Origin, packet_start: bool, ledger: &mut Ledger);
    /// `len` bytes in front of `seq` are missing. `skipped`: nobody wanted them.
    fn gap(&mut self, seq: u32, len: u32, skipped: bool, ledger: &mut Ledger);
    /// Bytes at or after `seq` came twice, and not the same: these are the second copy.
    fn conflict(&mut self, seq: u32, second: &[u8]);
    /// Bytes at `seq` are part of what is reported: a head, or a kept body.
    fn is_wanted(&self, seq: u32) -> bool;
}

#[derive(Debug)]
pub struct Inbound {
    next: u32,
    /// By sequence number, not overlapping.
    held: VecDeque<Held>,
    held_bytes: usize,
    max_held_bytes: usize,
    /// The bytes just before `recent_end`, not acknowledged yet.
    recent: Vec<u8>,
    /// `next`, or where bytes that nobody wants began: those are not compared.
    recent_end: u32,
    /// What stands before this was forgotten, and cannot be compared.
    forgotten: Option<u32>,
    skip_to: Option<u32>,
    /// Where the client's FIN stands; it takes one sequence number itself.
    fin: Option<u32>,
    /// The server has received everything before this.
    acknowledged: Option<u32>,
}

impl Inbound {
    pub fn new(next: u32, max_held_bytes: usize) -> Self {
        Self {
            next,
            held: VecDeque::new(),
            held_bytes: 0,
            max_held_bytes,
            recent: Vec::new(),
            recent_end: next,
            forgotten: None,
            skip_to: None,
            fin: None,
            acknowledged: None,
        }
    }

    /// The next byte that is expected.
    pub fn next(&self) -> u32 {
        self.next
    }

    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// On the heap.
    pub fn memory(&self) -> usize {
        self.held.capacity() * size_of::<Held>() + self.held_bytes + self.recent.capacity()
    }

    /// Bytes up to a place asked for are still passing.
    pub fn is_skipping(&self) -> bool {
        self.skip_to.is_some()
    }

    /// Bytes before `seq` need not come any more.
    pub fn skip_to(&mut self, seq: u32) {
        self.skip_to = Some(seq);
    }

    pub fn push(
        &mut self,
        seq: u32,
        bytes: &[u8],
        origin: Origin,
        packet_start: bool,
        sink: &mut impl Sink,
        ledger: &mut Ledger,
    ) {
        let mut seq = seq;
        let mut bytes = bytes;
        let mut packet_start = packet_start;
        if ahead(seq, self.next) > self.window_bytes() || ahead(seq, self.next) < -WINDOW_BYTES {
            if self.is_unacknowledged(seq) && ahead(seq, self.next) < 0 {
                sink.conflict(seq, bytes);
            }
            ledger.discard(Discard::OutOfWindow, bytes.len());
            return;
        }
        self.skip(seq, sink, ledger);
        let behind = ahead(self.next, seq);
        if behind > 0 {
            let old = bytes.len().min(behind.unsigned_abs() as usize);
            self.compare_recent(seq, &bytes[..old], sink);
            ledger.discard(Discard::Retransmission, old);
            seq = seq.wrapping_add(behind.unsigned_abs());
            bytes = &bytes[old..];
            packet_start = false;
        }
        if bytes.is_empty() {
            return;
        }
        if seq == self.next {
            // In order, or it fills the hole: never to be refused for want of room.
            let free = free_bytes(self.held.front(), seq, bytes.len());
            self.deliver(&bytes[..free], origin, packet_start, sink, ledger);
            seq = seq.wrapping_add(free as u32);
            bytes = &bytes[free..];
            packet_start = false;
        }
        self.hold(seq, bytes, origin, packet_start, sink, ledger);
        self.drain(sink, ledger);
    }

    fn is_unacknowledged(&self, seq: u32) -> bool {
        self.acknowledged.is_none_or(|acknowledged| ahead(seq, acknowledged) >= 0)
    }

    /// The client sends nothing from `seq` on.
    pub fn fin(&mut self, seq: u32) {
        self.fin = Some(seq);
    }

    /// How far ahead of the expected byte a segment may begin: what is skipped does not count.
    fn window_bytes(&self) -> i32 {
        self.skip_to.map_or(0, |to| ahead(to, self.next).max(0)).saturating_add(WINDOW_BYTES)
    }

    /// The server has received everything before `ack`; gives that without the number of a FIN.
    pub fn acknowledged(&mut self, ack: u32, sink: &mut impl Sink, ledger: &mut Ledger) -> u32 {
        // The FIN takes one number. Only exactly behind it: a forged FIN elsewhere must not stop the clock.
        let ack = self.fin.filter(|fin| ack == fin.wrapping_add(1)).unwrap_or(ack);
        self.acknowledged = Some(ack);
        let mut jump = ahead(ack, self.next);
        while jump > 0 && jump <= self.window_bytes() {
            self.skip(ack, sink, ledger);
            let to = match self.held.front() {
                Some(held) if ahead(held.seq, ack) < 0 => held.seq,
                _ => ack,
            };
            self.pass_over(to, false, sink, ledger);
            self.drain(sink, ledger);
            jump = ahead(ack, self.next);
        }
        let keep = ahead(self.recent_end, ack).max(0).unsigned_abs() as usize;
        if keep < self.recent.len() {
            self.recent.drain(..self.recent.len() - keep);
            memory::give_back(&mut self.recent);
        }
        self.forgotten = self.forgotten.filter(|end| ahead(*end, ack) > 0);
        ack
    }

    /// Nothing more will come; what is held has no place.
    pub fn finish(&mut self, why: Discard, ledger: &mut Ledger) {
        for held in std::mem::take(&mut self.held) {
            ledger.discard(why, held.bytes.len());
        }
        self.held_bytes = 0;
    }

    /// What could be compared is not kept any more: further copies of it count as differing.
    pub fn forget_recent(&mut self) {
        if !self.recent.is_empty() {
            self.recent = Vec::new();
            self.forgotten = Some(self.recent_end);
        }
    }

    fn pass_over(&mut self, to: u32, skipped: bool, sink: &mut impl Sink, ledger: &mut Ledger) {
        let len = ahead(to, self.next);
        if len > 0 {
            self.next = to;
            if !skipped {
                self.recent.clear();
                self.recent_end = to;
            }
            sink.gap(to, len.unsigned_abs(), skipped, ledger);
        }
    }

    /// A hole up to the point that user space asked to be skipped is no loss.
    fn skip(&mut self, seq: u32, sink: &mut impl Sink, ledger: &mut Ledger) {
        let Some(skip_to) = self.skip_to else { return };
        if ahead(seq, self.next) > 0 && ahead(skip_to, self.next) > 0 {
            let to = if ahead(seq, skip_to) < 0 { seq } else { skip_to };
            self.pass_over(to, true, sink, ledger);
            self.drain(sink, ledger);
        }
        if ahead(skip_to, self.next) <= 0 {
            self.skip_to = None;
        }
    }

    fn deliver(&mut self, bytes: &[u8], origin: Origin, packet_start: bool, sink: &mut impl Sink, ledger: &mut Ledger) {
        let seq = self.next;
        self.next = seq.wrapping_add(bytes.len() as u32);
        // What was asked to be skipped may come all the same; it must not displace what is compared.
        if self.skip_to.is_none_or(|to| ahead(to, self.next) < 0) {
            if self.recent_end != seq {
                self.recent.clear();
            }
            self.recent.extend_from_slice(bytes);
            self.recent_end = self.next;
            if self.recent.len() > 2 * RECENT_BYTES {
                self.recent.drain(..self.recent.len() - RECENT_BYTES);
            }
        }
        sink.data(seq, bytes, origin, packet_start, ledger);
    }

    fn drain(&mut self, sink: &mut impl Sink, ledger: &mut Ledger) {
        while let Some(held) = self.held.pop_front_if(|held| ahead(held.seq, self.next) <= 0) {
            self.held_bytes -= held.bytes.len();
            let behind = (ahead(self.next, held.seq).unsigned_abs() as usize).min(held.bytes.len());
            ledger.discard(Discard::Retransmission, behind);
            if behind < held.bytes.len() {
                self.deliver(&held.bytes[behind..], held.origin, held.packet_start && behind == 0, sink, ledger);
            }
        }
    }

    /// Files a segment among the held ones; bytes that are there already stay.
    fn hold(
        &mut self,
        seq: u32,
        bytes: &[u8],
        origin: Origin,
        packet_start: bool,
        sink: &mut impl Sink,
        ledger: &mut Ledger,
    ) {
        let mut seq = seq;
        let mut bytes = bytes;
        let mut packet_start = packet_start;
        let mut at = self.held.partition_point(|held| ahead(end_of(held), seq) <= 0);
        while !bytes.is_empty() {
            // Skip the held ones that end before this one begins.
            while at < self.held.len() && ahead(end_of(&self.held[at]), seq) <= 0 {
                at += 1;
            }
            let free = free_bytes(self.held.get(at), seq, bytes.len());
            let taken = if free > 0 {
                if self.held.len() >= MAX_HELD || self.held_bytes + free > self.max_held_bytes {
                    ledger.discard(Discard::ReassemblyFull, bytes.len());
                    return;
                }
                self.held_bytes += free;
                self.held.insert(at, Held { seq, bytes: bytes[..free].to_vec(), origin, packet_start });
                at += 1;
                free
            } else {
                let held = &self.held[at];
                let from = ahead(seq, held.seq).unsigned_abs() as usize;
                let same = (held.bytes.len() - from).min(bytes.len());
                if held.bytes[from..from + same] != bytes[..same] {
                    sink.conflict(seq, &bytes[..same]);
                }
                ledger.discard(Discard::Retransmission, same);
                same
            };
            seq = seq.wrapping_add(taken as u32);
            bytes = &bytes[taken..];
            packet_start = false;
        }
    }

    /// Bytes that came before: the same ones, or a conflict. Unacknowledged ones that are not kept any more
    /// cannot be compared, and are one too, unless nobody wants them; where they were forgotten that is not known.
    fn compare_recent(&self, seq: u32, bytes: &[u8], sink: &mut impl Sink) {
        // recent covers [recent_end - len, recent_end).
        let start = self.recent_end.wrapping_sub(self.recent.len() as u32);
        let from = (ahead(start, seq).max(0).unsigned_abs() as usize).min(bytes.len());
        let is_forgotten = self.forgotten.is_some_and(|end| ahead(end, seq) > 0);
        let end = seq.wrapping_add(from as u32);
        // Only their first byte may be acknowledged.
        if from > 0
            && (self.is_unacknowledged(seq) && sink.is_wanted(seq)
                || is_forgotten && self.is_unacknowledged(end.wrapping_sub(1)))
        {
            sink.conflict(seq, &bytes[..from]);
        }
        let at = (ahead(seq, start).max(0).unsigned_abs() as usize).min(self.recent.len());
        let len = (bytes.len() - from).min(self.recent.len() - at);
        if self.recent[at..at + len] != bytes[from..from + len] {
            sink.conflict(seq.wrapping_add(from as u32), &bytes[from..from + len]);
        }
    }
}

/// How many of `len` bytes at `seq` fit in front of the held segment that follows.
fn free_bytes(following: Option<&Held>, seq: u32, len: usize) -> usize {
    following.map_or(len, |held| (ahead(held.seq, seq).max(0).unsigned_abs() as usize).min(len))
}

fn end_of(held: &Held) -> u32 {
    held.seq.wrapping_add(held.bytes.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down what it is handed.
    #[derive(Default)]
    struct Notes {
        bytes: Vec<u8>,
        gaps: Vec<(u32, bool)>,
        conflicts: usize,
    }

    impl Sink for Notes {
        fn data(&mut self, _: u32, bytes: &[u8], _: Origin, _: bool, _: &mut Ledger) {
            self.bytes.extend_from_slice(bytes);
        }
        fn gap(&mut self, _: u32, len: u32, skipped: bool, _: &mut Ledger) {
            self.gaps.push((len, skipped));
        }
        fn conflict(&mut self, _: u32, _: &[u8]) {
            self.conflicts += 1;
        }
        fn is_wanted(&self, _: u32) -> bool {
            true
        }
    }

    struct Stream {
        inbound: Inbound,
        notes: Notes,
        ledger: Ledger,
    }

    fn stream(max_held_bytes: usize) -> Stream {
        Stream { inbound: Inbound::new(100, max_held_bytes), notes: Notes::default(), ledger: Ledger::default() }
    }

    impl Stream {
        fn push(&mut self, seq: u32, bytes: &[u8]) {
            self.inbound.push(seq, bytes, Origin::default(), true, &mut self.notes, &mut self.ledger);
        }
        fn acknowledge(&mut self, ack: u32) {
            self.inbound.acknowledged(ack, &mut self.notes, &mut self.ledger);
        }
    }

    #[test]
    fn the_segment_that_fills_a_hole_is_taken_however_much_is_held() {
        let mut s = stream(10);
        s.push(103, b"0123456789");
        s.push(113, b"over the cap");
        s.push(100, b"abcXXX");
        assert_eq!(s.notes.bytes, b"abc0123456789");
        assert_eq!((s.notes.conflicts, s.inbound.held_bytes()), (1, 0));
    }

    #[test]
    fn a_hole_is_a_gap_once_the_server_acknowledges_bytes_behind_it() {
        let mut s = stream(100);
        s.push(110, b"later");
        assert!(s.notes.bytes.is_empty() && s.notes.gaps.is_empty());
        s.acknowledge(115);
        assert_eq!((&s.notes.bytes[..], &s.notes.gaps[..]), (&b"later"[..], &[(10, false)][..]));
    }

    #[test]
    fn the_number_of_a_fin_is_no_missing_byte_and_a_forged_fin_hides_none() {
        let mut s = stream(100);
        s.push(100, b"abc");
        s.inbound.fin(103);
        s.acknowledge(104);
        assert!(s.notes.gaps.is_empty());
        s.inbound.fin(101);
        s.acknowledge(120);
        assert_eq!(s.notes.gaps, [(17, false)]);
    }

    #[test]
    fn bytes_that_nobody_wants_are_skipped_and_not_lost() {
        let mut s = stream(100);
        s.push(100, b"abc");
        s.inbound.skip_to(150);
        s.acknowledge(150);
        assert_eq!((&s.notes.gaps[..], s.inbound.is_skipping()), (&[(47, true)][..], false));
    }

    #[test]
    fn what_follows_a_skipped_part_longer_than_any_window_is_taken() {
        for acknowledged in [false, true] {
            let mut s = stream(100);
            s.push(100, b"abc");
            s.inbound.skip_to(100_000_000);
            if acknowledged {
                s.acknowledge(100_000_000);
            }
            s.push(100_000_000, b"def");
            assert_eq!((&s.notes.bytes[..], &s.notes.gaps[..]), (&b"abcdef"[..], &[(99_999_897, true)][..]));
        }
    }

    #[test]
    fn a_second_copy_that_cannot_be_compared_any_more_is_a_conflict_until_acknowledged() {
        let mut s = stream(1 << 20);
        s.push(100, &vec![b'x'; 3 * RECENT_BYTES]);
        s.push(100, b"another beginning");
        assert_eq!(s.notes.conflicts, 1);
        s.acknowledge(s.inbound.next());
        s.push(100, b"another beginning");
        assert_eq!(s.notes.conflicts, 1);
    }

    #[test]
    fn bytes_are_compared_though_what_came_behind_them_was_skipped() {
        for skipped_by_kernel in [true, false] {
            let mut s = stream(1 << 20);
            s.push(100, b"abc");
            s.inbound.skip_to(1 << 20);
            if skipped_by_kernel {
                s.push(5000, b"x");
            } else {
                s.push(103, &vec![b'x'; 3 * RECENT_BYTES]);
            }
            s.push(100, b"abc");
            s.push(101, b"bcxx");
            s.push(104, b"yy");
            assert_eq!(s.notes.conflicts, 0);
            s.push(100, b"abX");
            assert_eq!(s.notes.conflicts, 1);
        }
    }

    #[test]
    fn segments_of_one_byte_cannot_fill_the_memory() {
        let mut s = stream(1 << 20);
        for i in 0..5000 {
            s.push(102 + 2 * i, b"x");
        }
        assert_eq!(s.inbound.held_bytes(), MAX_HELD);
        s.inbound.finish(Discard::FlowClosed, &mut s.ledger);
        assert_eq!(s.ledger.discarded_total(), 5000);
    }
}
