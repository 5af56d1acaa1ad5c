//! The reading side of the two rings, one per direction (BPF ring buffers, Documentation/bpf/ringbuf.rst).
//!
//! Not libbpf's: it tells the kernel its position after every record, which the server's processor then fetches anew
//! for every packet; and the two directions have to be merged.
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use libbpf_rs::MapCore;

use crate::clock::monotonic_ns;
use crate::error::CaptureError;

#[cfg(test)]
mod writer;
#[cfg(test)]
pub use writer::{Writer, tag_of};

/// Of a record's length: still being written, and thrown away.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// The kernel's own header of a record: the length, and the page.
const HEADER: usize = 8;
/// Where `struct record` has `order_ns`.
const ORDER: usize = 88;
/// A copy takes a microsecond, and an interrupt on top of it some more.
const STALL_NS: u64 = 50_000_000;
/// The kernel gets room back when this much was read.
const PUBLISH_BYTES: usize = 64 << 10;

pub struct Rings {
    inward: Ring,
    outward: Ring,
    stalls: Stalls,
}

/// A place in both rings.
#[derive(Clone, Copy)]
pub struct Mark {
    inward: usize,
    outward: usize,
}

impl Rings {
    pub fn map(inward: &impl MapCore, outward: &impl MapCore) -> Result<Self, CaptureError> {
        Ok(Self {
            inward: Ring::map(inward.as_fd(), inward.max_entries() as usize)?,
            outward: Ring::map(outward.as_fd(), outward.max_entries() as usize)?,
            stalls: Stalls::default(),
        })
    }

    /// Behind everything that was reserved up to now.
    pub fn mark(&self) -> Mark {
        Mark { inward: self.inward.end(), outward: self.outward.end() }
    }

    /// Everything before it was handed out.
    pub fn has_passed(&self, mark: Mark) -> bool {
        self.inward.at >= mark.inward && self.outward.at >= mark.outward
    }

    /// Records that were not finished for long, while all behind them waited.
    pub fn stalls(&self) -> u64 {
        self.stalls.count
    }

    /// Hands out at most `most` records of each direction, in the order in which they came to be, as far as one may
    /// have caused another. True: there may be more.
    ///
    /// By `order_ns`: that of an inward record is its own time, read behind its reservation, and that of an outward one
    /// the time of its flow's last inward record (or its own, read before its reservation). So an inward record has
    /// at most the order of what it causes, and an outward one less than what it causes. A processor may be held up
    /// between the two steps, and then the records of a ring are not in this order. Moving inward ones down to the
    /// lowest behind them, and outward ones up to the highest before them, breaks neither rule: what stands behind an
    /// inward record has a time after its reservation, and what stands before an outward one has one from before its.
    ///
    /// What causes a record stands in its own or in the other ring before it does. So with the end of `inward` read
    /// before and after that of `outward`, no outward record misses its cause, and no inward one that stands before
    /// the first of the two ends.
    pub fn drain(&mut self, most: usize, mut hand: impl FnMut(Drained)) -> bool {
        let first_end = self.inward.end();
        let outward_end = self.outward.end();
        self.inward.collect(self.inward.end(), most);
        self.inward.lower();
        self.outward.collect(outward_end, most);
        self.outward.raise();
        hand(Drained::Settled);
        let mut each = |bytes: &[u8]| hand(Drained::Record(bytes));
        loop {
            let take_in = match (self.inward.next(), self.outward.next()) {
                (Some(inward), Some(outward)) => inward.order <= outward.order,
                (Some(inward), None) => {
                    if !self.outward.complete || inward.at >= first_end {
                        break;
                    }
                    true
                }
                (None, Some(_)) => {
                    if !self.inward.complete {
                        break;
                    }
                    false
                }
                (None, None) => break,
            };
            if take_in { self.inward.take(&mut each) } else { self.outward.take(&mut each) }
        }
        self.inward.publish();
        self.outward.publish();
        let unfinished = (self.inward.unfinished, self.outward.unfinished);
        self.stalls.note(unfinished, monotonic_ns);
        // Where all wait for an unfinished one there is more, and nothing to be done.
        let handed = self.inward.given > 0 || self.outward.given > 0;
        handed && (self.inward.found.len() >= most || self.outward.found.len() >= most)
    }
}

/// A program may be held up between reserving a record and finishing it: its thread was preempted, or used up its quota. What
/// comes meanwhile waits in the rings, whose size bounds it.
#[derive(Default)]
struct Stalls {
    unfinished: (Option<usize>, Option<usize>),
    since_ns: u64,
    counted: bool,
    count: u64,
}

impl Stalls {
    /// The places of the first unfinished records. `now_ns` is asked where there is one.
    fn note(&mut self, unfinished: (Option<usize>, Option<usize>), now_ns: impl FnOnce() -> u64) {
        if unfinished == (None, None) {
            self.unfinished = unfinished;
            return;
        }
        let now_ns = now_ns();
        if unfinished != self.unfinished {
            *self = Self { unfinished, since_ns: now_ns, counted: false, count: self.count };
        } else if !self.counted && now_ns.saturating_sub(self.since_ns) >= STALL_NS {
            self.counted = true;
            self.count += 1;
        }
    }
}

/// What a drain hands over.
pub enum Drained<'a> {
    /// First of all, once: which records follow. What caused them has happened by now.
    Settled,
    Record(&'a [u8]),
}

/// A record that was found whole.
#[derive(Clone, Copy)]
struct Found {
    /// Of its first byte, and of the first behind it, since the ring began.
    at: usize,
    after: usize,
    len: usize,
    order: u64,
}

struct Ring {
    consumer: Mapping,
    producer: Mapping,
    page: usize,
    mask: usize,
    /// Read up to here, and told the kernel.
    at: usize,
    published: usize,
    found: Vec<Found>,
    /// The lowest order of the records before the end that are whole and not in `found`.
    lowest_behind: u64,
    given: usize,
    /// Nothing before the end that was asked for is missing in `found`.
    complete: bool,
    /// The first record that is not whole.
    unfinished: Option<usize>,
}

impl Ring {
    fn map(map: impl AsFd, size: usize) -> Result<Self, CaptureError> {
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        // The consumer's page; then the producer's, and the data twice, so that no record is in two pieces.
        let consumer = Mapping::new(&map, 0, page, libc::PROT_READ | libc::PROT_WRITE)?;
        let producer = Mapping::new(&map, page, page + 2 * size, libc::PROT_READ)?;
        Ok(Self {
            consumer,
            producer,
            page,
            mask: size - 1,
            at: 0,
            published: 0,
            found: Vec::new(),
            lowest_behind: u64::MAX,
            given: 0,
            complete: true,
            unfinished: None,
        })
    }

    /// Everything before was reserved.
    fn end(&self) -> usize {
        // SAFETY: the producer's page begins with its position, an unsigned long that the kernel stores with release.
        unsafe { self.producer.base.cast::<AtomicUsize>().as_ref() }.load(Ordering::SeqCst)
    }

    /// Looks for at most `most` whole records before `end`, up to the first that is not whole.
    fn collect(&mut self, end: usize, most: usize) {
        self.found.clear();
        self.given = 0;
        self.complete = true;
        self.unfinished = None;
        self.lowest_behind = u64::MAX;
        let mut at = self.at;
        while at < end {
            let length = self.length(at);
            let len = (length & !(BUSY | DISCARDED)) as usize;
            let after = at + (HEADER + len).next_multiple_of(8);
            if length & BUSY != 0 {
                self.unfinished.get_or_insert(at);
            }
            self.complete &= length & BUSY == 0 && self.found.len() < most;
            if self.complete {
                // A discarded record is handed out as one of no length.
                let len = if length & DISCARDED != 0 { 0 } else { len };
                self.found.push(Found { at, after, len, order: self.order(at, len) });
            } else if length & (BUSY | DISCARDED) == 0 {
                self.lowest_behind = self.lowest_behind.min(self.order(at, len));
            }
            at = after;
        }
    }

    /// Gives each record the lowest order of itself and all behind it.
    fn lower(&mut self) {
        let mut lowest = self.lowest_behind;
        for found in self.found.iter_mut().rev().filter(|found| found.len > 0) {
            lowest = lowest.min(found.order);
            found.order = lowest;
        }
    }

    /// Gives each record the highest order of itself and those before it.
    fn raise(&mut self) {
        let mut highest = 0;
        for found in self.found.iter_mut().filter(|found| found.len > 0) {
            highest = highest.max(found.order);
            found.order = highest;
        }
    }

    fn next(&self) -> Option<Found> {
        self.found.get(self.given).copied()
    }

    fn take(&mut self, each: &mut impl FnMut(&[u8])) {
        let Some(found) = self.next() else {
            return;
        };
        if found.len > 0 {
            each(self.bytes(found.at, found.len));
        }
        self.given += 1;
        self.at = found.after;
        if self.at - self.published >= PUBLISH_BYTES {
            self.publish();
        }
    }

    fn publish(&mut self) {
        if self.at == self.published {
            return;
        }
        // SAFETY: the consumer's page begins with our position, which only we write.
        unsafe { self.consumer.base.cast::<AtomicUsize>().as_ref() }.store(self.at, Ordering::Release);
        self.published = self.at;
    }

    fn length(&self, at: usize) -> u32 {
        // SAFETY: records are aligned to 8 bytes and begin below the size of the ring; their first field is written
        // with release when they are done.
        unsafe { self.data(at).cast::<AtomicU32>().as_ref() }.load(Ordering::Acquire)
    }

    /// 0 for a record of no length: nothing has to wait for it.
    fn order(&self, at: usize, len: usize) -> u64 {
        let bytes = self.bytes(at, len);
        bytes.get(ORDER..ORDER + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
    }

    fn bytes(&self, at: usize, len: usize) -> &[u8] {
        // SAFETY: a record is whole before the producer's position and at most as long as the ring, which is mapped
        // twice in a row; the kernel does not write to it again before `publish`.
        unsafe { std::slice::from_raw_parts(self.data(at).add(HEADER).as_ptr(), len) }
    }

    fn data(&self, at: usize) -> NonNull<u8> {
        // SAFETY: `page + (at & mask)` is inside of the mapping.
        unsafe { self.producer.base.add(self.page + (at & self.mask)) }
    }
}

struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(map: &impl AsFd, offset: usize, len: usize, protection: i32) -> Result<Self, CaptureError> {
        let failed = |why: std::io::Error| CaptureError::internal("map a ring", why);
        let offset = libc::off_t::try_from(offset).map_err(|e| failed(std::io::Error::other(e)))?;
        let fd = map.as_fd().as_raw_fd();
        // SAFETY: a new shared mapping of a ring, of the length that the kernel gives it; the result is checked.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, offset) };
        if base == libc::MAP_FAILED {
            return Err(failed(std::io::Error::last_os_error()));
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| failed(std::io::Error::other("null")))?;
        Ok(Self { base, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`; no reference outlives self.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> (Writer, Writer, Rings) {
        let (inward, outward) = (Writer::new(), Writer::new());
        let rings = Rings::of(&inward, &outward);
        (inward, outward, rings)
    }

    fn drain(rings: &mut Rings, most: usize) -> (String, bool) {
        let mut tags = String::new();
        let more = rings.drain(most, |drained| {
            if let Drained::Record(bytes) = drained {
                tags.push(tag_of(bytes));
            }
        });
        (tags, more)
    }

    #[test]
    fn the_rings_are_merged_by_order_and_the_kernel_gets_its_room_back() {
        let (mut inward, mut outward, mut rings) = both();
        inward.put(10, b'a', 0);
        outward.put(20, b'b', 0);
        inward.put(30, b'c', 0);
        inward.put(31, b'd', Writer::DISCARDED);
        outward.put(40, b'e', 0);
        assert_eq!(drain(&mut rings, 100), ("abce".to_owned(), false));
        assert_eq!((inward.told(), outward.told()), (inward.end, outward.end));
        assert_eq!(drain(&mut rings, 100), (String::new(), false));
    }

    #[test]
    fn a_record_whose_clock_was_read_late_hides_none_behind_it() {
        let (mut inward, mut outward, mut rings) = both();
        inward.put(50, b'a', 0);
        inward.put(10, b'b', 0);
        outward.put(20, b'c', 0);
        assert_eq!(drain(&mut rings, 100).0, "abc");
    }

    #[test]
    fn an_outward_record_has_the_order_of_what_caused_it_or_less_and_comes_behind_it() {
        let (mut inward, mut outward, mut rings) = both();
        inward.put(10, b'a', 0);
        outward.put(10, b'b', 0);
        outward.put(5, b'c', 0);
        inward.put(11, b'd', 0);
        outward.put(11, b'e', 0);
        assert_eq!(drain(&mut rings, 100).0, "abcde");
    }

    #[test]
    fn one_whose_clock_was_read_late_does_not_hide_one_behind_an_unfinished_record() {
        let (mut inward, mut outward, mut rings) = both();
        inward.put(50, b'a', 0);
        let unfinished = inward.put(0, b'b', Writer::BUSY);
        inward.put(20, b'c', 0);
        outward.put(20, b'd', 0);
        assert_eq!(drain(&mut rings, 100).0, "a");
        inward.finish(unfinished);
        assert_eq!(drain(&mut rings, 100).0, "bcd");
    }

    #[test]
    fn what_may_be_caused_by_an_unfinished_record_waits_for_it() {
        let (mut inward, mut outward, mut rings) = both();
        inward.put(10, b'a', 0);
        let unfinished = inward.put(20, b'b', Writer::BUSY);
        inward.put(25, b'c', 0);
        outward.put(5, b'd', 0);
        outward.put(30, b'e', 0);
        assert_eq!(drain(&mut rings, 100), ("da".to_owned(), false));
        inward.finish(unfinished);
        assert_eq!(drain(&mut rings, 100).0, "bce");
    }

    #[test]
    fn a_record_that_is_not_finished_for_long_is_told_once() {
        let mut stalls = Stalls::default();
        let here = (Some(64), None);
        for (unfinished, now_ns, count) in [
            (here, 0, 0),
            (here, STALL_NS - 1, 0),
            (here, STALL_NS, 1),
            (here, 3 * STALL_NS, 1),
            ((Some(128), None), 3 * STALL_NS, 1),
            ((None, None), 5 * STALL_NS, 1),
            ((Some(128), None), 6 * STALL_NS, 1),
            ((Some(128), None), 7 * STALL_NS, 2),
        ] {
            stalls.note(unfinished, || now_ns);
            assert_eq!(stalls.count, count, "{unfinished:?} at {now_ns}");
        }
    }

    #[test]
    fn the_place_of_an_unfinished_record_is_noted_until_it_is_finished() {
        let (mut inward, mut outward, mut rings) = both();
        inward.put(1, b'a', 0);
        let unfinished = inward.put(2, b'b', Writer::BUSY);
        outward.put(3, b'c', 0);
        drain(&mut rings, 100);
        assert!(rings.stalls.unfinished.0.is_some() && rings.stalls.unfinished.1.is_none());
        inward.finish(unfinished);
        drain(&mut rings, 100);
        assert_eq!(rings.stalls.unfinished, (None, None));
    }

    #[test]
    fn one_drain_is_bounded_and_keeps_the_order() {
        let (mut inward, mut outward, mut rings) = both();
        for i in 0..4 {
            inward.put(10 * i, b'a' + i as u8, 0);
            outward.put(10 * i + 5, b'A' + i as u8, 0);
        }
        let (mut all, mut more) = (String::new(), true);
        while more {
            let (tags, again) = drain(&mut rings, 2);
            all += &tags;
            more = again;
        }
        assert_eq!(all, "aAbBcCdD");
    }
}
