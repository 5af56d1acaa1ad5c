//! The rest of a client's body that stays in the kernel: where the first record behind it may begin.
//!
//! A record is longer than what it holds by a fixed overhead. So a body that has so many bytes left takes at least as many
//! of the stream, and one overhead more for each of its records, of which only the least number is known: the places where
//! it can end lie one overhead apart, and each goes with the number of the record that begins there, and of the one that
//! ends there.
use super::record::MAX_PLAINTEXT_BYTES;
use crate::seq::ahead;

/// Sequence comparisons hold for 2 GiB.
const MAX_BYTES: u64 = 3 << 29;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// End of the last record that was read.
    from: u32,
    /// Bytes of the body behind it.
    left: u64,
    overhead: u64,
    /// Of the body, once its end was told otherwise.
    records: Option<u64>,
}

/// What went by before a place, if a record verifies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub records: u64,
    /// Of the body.
    pub bytes: u64,
}

/// How far its end was looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// The first place that was not looked at, or where less than a header is.
    pub next: Option<u32>,
    pub begun: Option<Begun>,
    /// The server's acknowledgement and the number of second copies when these were tried.
    pub tried: Option<(u32, usize)>,
    /// What was there when the answer came and a record seemed to have begun.
    pub answered_at: Option<u32>,
}

/// Records that seem to have begun and are not all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The first of them begins here.
    pub from: u32,
    /// More is known of one of them, or it is all there, once this is.
    pub due: u32,
}

impl Scan {
    pub fn begin(&mut self, from: u32, due: u32) {
        let begun = self.begun.get_or_insert(Begun { from, due });
        if ahead(begun.due, due) > 0 {
            begun.due = due;
        }
    }

    /// Where to look, with what is there up to `end`. Places that were looked at are looked at again when a record that begins
    /// there may tell more; what is behind them decides nothing else.
    pub fn resume(&mut self, begin: u32, end: u32) -> u32 {
        let from = match self.begun {
            Some(begun) if ahead(end, begun.due) >= 0 => {
                self.begun = None;
                Some(begun.from)
            }
            _ => self.next,
        };
        self.next = None;
        from.filter(|from| ahead(*from, begin) > 0).unwrap_or(begin)
    }
}

impl Skip {
    pub fn new(from: u32, left: u64, overhead: usize) -> Self {
        Self { from, left, overhead: overhead as u64, records: None }
    }

    pub fn from(self) -> u32 {
        self.from
    }

    pub fn left(self) -> u64 {
        self.left
    }

    pub fn overhead(self) -> usize {
        self.overhead as usize
    }

    pub fn has_end(self) -> bool {
        self.records.is_some()
    }

    /// It ends behind exactly so many records.
    pub fn with_end(self, records: u64) -> Self {
        Self { records: Some(records), ..self }
    }

    pub fn least_records(self) -> u64 {
        self.left.div_ceil(MAX_PLAINTEXT_BYTES as u64)
    }

    /// Every byte before this is of the body.
    pub fn sure_end(self) -> u32 {
        self.place(self.least_records())
    }

    /// No record that ends the body begins before this.
    pub fn last_from(self) -> u32 {
        let end = self.sure_end();
        end.wrapping_sub(self.longest_record().min(self.len(end)) as u32)
    }

    fn longest_record(self) -> u64 {
        MAX_PLAINTEXT_BYTES as u64 + self.overhead
    }

    /// All of the record that ends at `end` is behind `from`, however long it is.
    pub fn is_last_within(self, from: u32, end: u32) -> bool {
        ahead(end, from) >= self.longest_record() as i32
    }

    /// What went before a record that begins at `at`, behind the body.
    pub fn before_next(self, at: u32) -> Option<Passed> {
        self.records_before(at).map(|records| Passed { records, bytes: self.left })
    }

    /// What went before the body's last record, if it is that of `len` bytes at `at`.
    pub fn before_last(self, at: u32, len: usize) -> Option<Passed> {
        let held = (len as u64).checked_sub(self.overhead)?;
        let bytes = self.left.checked_sub(held)?;
        let records = self.records_before(at.wrapping_add(len as u32))?.checked_sub(1)?;
        (ahead(at, self.from) >= 0).then_some(Passed { records, bytes })
    }

    /// The records of the body if it ends at `at`; `None`: it cannot.
    pub fn records_before(self, at: u32) -> Option<u64> {
        let overheads = self.len(at).checked_sub(self.left)?;
        let records = overheads / self.overhead;
        (overheads.is_multiple_of(self.overhead) && self.allows(records)).then_some(records)
    }

    /// The first place at or behind `at` where it can end.
    pub fn end_from(self, at: u32) -> Option<u32> {
        let overheads = self.len(at).saturating_sub(self.left);
        let records = overheads.div_ceil(self.overhead).max(self.records.unwrap_or(self.least_records()));
        self.allows(records).then(|| self.place(records))
    }

    /// More than records of usual sizes take.
    pub fn is_exceeded(self, at: u32) -> bool {
        const SPARE_BYTES: u64 = 1 << 20;
        let most = u64::from(self.sure_end().wrapping_sub(self.from)) + self.left / 8 + SPARE_BYTES;
        ahead(at, self.from) > 0 && self.len(at) > most
    }

    fn len(self, at: u32) -> u64 {
        at.wrapping_sub(self.from).into()
    }

    fn allows(self, records: u64) -> bool {
        let possible = records >= self.least_records() && records <= self.left;
        let is_near = self.left + records * self.overhead <= MAX_BYTES;
        possible && is_near && self.records.is_none_or(|known| known == records)
    }

    fn place(self, records: u64) -> u32 {
        self.from.wrapping_add((self.left + records * self.overhead) as u32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn property_however_a_body_is_cut_into_records_its_end_is_among_the_places_and_nothing_sure_is_behind_it(
            from in any::<u32>(),
            fragments in prop::collection::vec(1u64..=16384, 1..60),
            overhead in prop::sample::select(vec![21usize, 22, 29]),
        ) {
            let left = fragments.iter().sum();
            let skip = Skip::new(from, left, overhead);
            let records = fragments.len() as u64;
            let end = from.wrapping_add((left + records * overhead as u64) as u32);
            prop_assert_eq!(skip.records_before(end), Some(records));
            prop_assert!(end.wrapping_sub(skip.sure_end()) < 1 << 31);
            let (mut at, mut places) = (from, Vec::new());
            while places.last() != Some(&end) {
                let place = skip.end_from(at).unwrap();
                prop_assert_eq!(skip.end_from(place), Some(place));
                places.push(place);
                at = place.wrapping_add(1);
            }
            prop_assert_eq!(places[0], skip.sure_end());
            prop_assert_eq!(places.len() as u64, records - skip.least_records() + 1);
            prop_assert_eq!(skip.before_next(end), Some(Passed { records, bytes: left }));
            let last = fragments[fragments.len() - 1];
            let (len, bytes) = (last + overhead as u64, left - last);
            let last_at = end.wrapping_sub(len as u32);
            prop_assert_eq!(skip.before_last(last_at, len as usize), Some(Passed { records: records - 1, bytes }));
            prop_assert!(ahead(last_at, skip.last_from()) >= 0 && ahead(skip.last_from(), from) >= 0);
            prop_assert_eq!(skip.with_end(records).end_from(from), Some(end));
            prop_assert_eq!(skip.with_end(records).end_from(at), None);
        }
    }

    #[test]
    fn a_body_ends_at_no_place_that_needs_more_records_than_it_has_bytes_or_more_than_2_gib() {
        let skip = Skip::new(10, 3, 22);
        assert_eq!(skip.end_from(10 + 3 + 3 * 22), Some(10 + 3 + 3 * 22));
        assert_eq!((skip.end_from(11 + 3 + 3 * 22), skip.records_before(10 + 3 + 4 * 22)), (None, None));
        assert_eq!(skip.records_before(9), None);
        let long = Skip::new(0, 1 << 30, 29);
        assert!(long.end_from(1 << 30).is_some() && long.end_from(7 << 28).is_none());
    }
}
