//! One direction of a TLS connection as it comes from TCP: bytes up to a whole record, and which packets they came in.
use std::collections::VecDeque;

use super::records::Records;
use crate::inbound::Origin;
use crate::seq::ahead;

/// Second copies of bytes that are kept until a record verifies, of one connection.
const MAX_SECOND_BYTES: usize = 64 << 10;
const MAX_SECONDS: usize = 32;
/// Copies in one record of which every choice is tried: 32 then.
const MAX_COMBINED: usize = 5;

#[derive(Debug)]
pub struct Half {
    pub records: Records,
    /// Where the bytes of a packet begin, and what it was; in order.
    origins: VecDeque<(u32, Origin)>,
    /// Copies that differ from what is in `records`, by where they begin: cgroup_skb runs before TCP validates, so either may
    /// be forged.
    seconds: Vec<(u32, Vec<u8>)>,
    /// The place of the next record is not known; only what verifies can tell.
    pub lost: bool,
}

impl Half {
    pub fn new(at: u32) -> Self {
        Self { records: Records::new(at), origins: VecDeque::new(), seconds: Vec::new(), lost: false }
    }

    pub fn push(&mut self, bytes: &[u8], origin: Origin) {
        self.origins.push_back((self.records.end(), origin));
        self.records.push(bytes);
    }

    /// Of the packet with the first byte of what is there.
    pub fn origin(&self) -> Origin {
        self.origins.front().map_or_else(Origin::default, |(_, origin)| *origin)
    }

    pub fn take(&mut self, len: usize) {
        self.records.take(len);
        let at = self.records.at();
        while self.origins.get(1).is_some_and(|(seq, _)| ahead(*seq, at) <= 0) {
            self.origins.pop_front();
        }
        if self.records.len() == 0 {
            self.origins = VecDeque::new();
        }
        self.seconds.retain(|(seq, bytes)| ahead(seq.wrapping_add(bytes.len() as u32), at) > 0);
    }

    /// Forgets what is there and goes on at `at`; says how many bytes that were.
    pub fn restart(&mut self, at: u32) -> usize {
        self.origins = VecDeque::new();
        self.seconds = Vec::new();
        self.records.restart(at)
    }

    /// Another copy of bytes at `seq`.
    pub fn keep_second(&mut self, seq: u32, bytes: &[u8]) {
        let kept: usize = self.seconds.iter().map(|(_, bytes)| bytes.len()).sum();
        let behind = ahead(seq.wrapping_add(bytes.len() as u32), self.records.at()) <= 0;
        if !behind && self.seconds.len() < MAX_SECONDS && kept + bytes.len() <= MAX_SECOND_BYTES {
            let place = self.seconds.partition_point(|(other, _)| ahead(*other, seq) <= 0);
            self.seconds.insert(place, (seq, bytes.to_vec()));
        }
    }

    /// Swaps one kept copy for what stands in its place; calling it again with the same index undoes that.
    pub fn swap_second(&mut self, index: usize) {
        let at = self.records.at();
        let end = self.records.end();
        let Some((seq, second)) = self.seconds.get_mut(index) else { return };
        // Only what is there of it: the rest may come yet.
        let from = ahead(at, *seq).max(0).unsigned_abs() as usize;
        let len = second.len().min(ahead(end, *seq).max(0).unsigned_abs() as usize);
        let Some(part) = second.get_mut(from..len) else { return };
        let place = ahead(*seq, at).max(0).unsigned_abs() as usize;
        self.records.swap(place, part);
    }

    pub fn seconds(&self) -> usize {
        self.seconds.len()
    }

    /// Those that begin before `end`, which are the first ones: the others do not matter to what ends there.
    pub fn seconds_before(&self, end: u32) -> usize {
        self.seconds.partition_point(|(seq, _)| ahead(end, *seq) > 0)
    }

    /// Where the kept copy with that index begins and ends.
    pub fn second(&self, index: usize) -> Option<(u32, u32)> {
        self.seconds.get(index).map(|(seq, bytes)| (*seq, seq.wrapping_add(bytes.len() as u32)))
    }

    pub fn held_bytes(&self) -> usize {
        self.records.len()
    }

    /// On the heap.
    pub fn memory(&self) -> usize {
        let seconds: usize = self.seconds.iter().map(|(_, bytes)| bytes.len()).sum();
        self.records.memory() + self.origins.capacity() * size_of::<(u32, Origin)>() + seconds
    }
}

/// Which of so many copies to swap one after the other so that every choice of them stands in place once, or, of many, all up
/// to each and each alone; `true`: this is one to try. At the end all is as it was: copies may overlap, so what was swapped last
/// is undone first.
pub fn swaps(copies: usize) -> impl Iterator<Item = (usize, bool)> {
    let (combined, many) = if copies <= MAX_COMBINED { (copies, 0) } else { (0, copies) };
    // One alone, and all, are likelier than some.
    let sizes = [1].into_iter().chain((2..=combined).rev());
    let choices = sizes.flat_map(move |size| (1usize..1 << combined).filter(move |n| n.count_ones() as usize == size));
    let choices = choices.flat_map(move |choice| {
        let chosen = move |n: &usize| choice >> n & 1 == 1;
        let last = choice.ilog2() as usize;
        let swap = (0..combined).filter(chosen).map(move |n| (n, n == last));
        swap.chain((0..combined).rev().filter(chosen).map(|n| (n, false)))
    });
    let stacked = (0..many).map(|n| (n, true)).chain((0..many).rev().map(|n| (n, false)));
    let alone = (0..many).flat_map(|n| [(n, true), (n, false)]);
    choices.chain(stacked).chain(alone)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn origin(ktime_ns: u64) -> Origin {
        Origin { ktime_ns, ack: 0 }
    }

    #[test]
    fn a_record_has_the_origin_of_the_packet_with_its_first_byte() {
        let mut half = Half::new(u32::MAX - 2);
        for (bytes, ktime_ns) in [(&b"abcd"[..], 1), (b"ef", 2), (b"g", 3)] {
            half.push(bytes, origin(ktime_ns));
        }
        for (len, ktime_ns) in [(0, 1), (3, 1), (1, 2), (1, 2), (1, 3), (1, 0)] {
            half.take(len);
            assert_eq!(half.origin().ktime_ns, ktime_ns, "{:?}", half.records);
        }
    }

    #[test]
    fn a_second_copy_takes_the_place_of_the_first_and_gives_it_back() {
        let mut half = Half::new(10);
        half.push(b"abcdef", origin(1));
        half.keep_second(14, b"56789");
        half.keep_second(8, b"1234");
        half.keep_second(5, b"old");
        assert_eq!([8, 9, 14, 15, 20].map(|end| half.seconds_before(end)), [0, 1, 1, 2, 2]);
        (0..3).for_each(|index| half.swap_second(index));
        assert_eq!(half.records.bytes(), b"34cd56");
        half.swap_second(0);
        assert_eq!(half.records.bytes(), b"abcd56");
        half.take(2);
        half.swap_second(0);
        assert_eq!(
            (half.records.bytes(), half.seconds()),
            (&b"cdef"[..], 1),
            "the copy before the present place is gone"
        );
    }

    #[test]
    fn every_choice_of_a_few_copies_is_tried_and_of_many_all_up_to_each_and_each_alone() {
        for copies in 0..=12 {
            let (mut swapped, mut tried) = (vec![false; copies], HashSet::new());
            for (index, is_tried) in swaps(copies) {
                swapped[index] ^= true;
                if is_tried {
                    tried.insert(swapped.clone());
                }
            }
            assert!(!swapped.contains(&true), "{copies}");
            // Copies that overlap, byte by byte.
            let mut half = Half::new(0);
            half.push(&[b'.'; 20], origin(1));
            (0..copies as u32).for_each(|n| half.keep_second(n, &[b'a' + n as u8; 5]));
            let before = half.seconds.clone();
            swaps(copies).for_each(|(index, _)| half.swap_second(index));
            assert_eq!((half.records.bytes(), &half.seconds), (&[b'.'; 20][..], &before), "{copies}");
            assert_eq!(
                tried.len(),
                if copies <= MAX_COMBINED { (1 << copies) - 1 } else { 2 * copies - 1 },
                "{copies}"
            );
        }
    }
}
