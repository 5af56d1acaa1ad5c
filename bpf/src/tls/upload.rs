//! A client's body over the cap stays in the kernel, and the place behind it is found again: see `skip.rs`.
//!
//! That the body's last record verifies, which is copied for that, or the one behind it, with the number that goes with the
//! place, proves that what went by held exactly as many bytes as the body lacked. It does not prove that all of them were
//! body: TLS 1.3 hides padding, and alerts count too. A client that pads is known by its records before; what one may make up
//! that begins to only now, behind the cap, is why requests behind such a body rest on acknowledgements, and are not told at
//! all when the answer did not wait for its end (`Requests::pass_sealed`).
use super::connection::{Connection, World};
use super::opened::{Opened, Side};
use super::record::APPLICATION_DATA;
use super::records::{self, HEADER_BYTES, MAX_RECORD_BYTES, Next};
use super::skip::{Passed, Scan, Skip};
use crate::http1::request::Requests;
use crate::ledger::{Discard, Ledger};
use crate::seq::ahead;

/// A shorter rest has mostly been copied by the time that the kernel hears of it.
const WORTH_BYTES: u64 = 64 << 10;
/// Kept of what may still be body: its last record is, and another copy of that may come.
const KEPT_BYTES: usize = 32 << 10;
/// What looking at a place again costs, as if so many bytes of a record had been opened.
const PLACE_BYTES: usize = 8;

impl Connection {
    /// Every byte of the client's before this is of the present body, over the cap, and enough to tell the kernel. Nor is any
    /// of the body's last record: that one tells where the body ends.
    pub(super) fn unwanted_until(&self, requests: &Requests) -> Option<u32> {
        let skip = self.rest_of_body(self.client.records.at(), requests)?;
        // What follows would be silent; nor does an answer that did not wait for the body tell where that ends.
        let is_alone = !requests.is_pipelining() && !requests.is_answered();
        (is_alone && skip.left() >= WORTH_BYTES).then(|| skip.last_from())
    }

    fn rest_of_body(&self, from: u32, requests: &Requests) -> Option<Skip> {
        let overhead = self.session.exact_overhead(Side::Client).filter(|_| !self.client.lost)?;
        Some(Skip::new(from, requests.body_left()?, overhead))
    }

    /// Bytes of the client's went by; what was read ends at `from`. False: they are lost.
    pub(super) fn pass_by(&mut self, from: u32, skipped: bool, world: &mut World, ledger: &mut Ledger) -> bool {
        match self.skip {
            Some(skip) if skip.has_end() => {
                self.lose_skip(skip, world, ledger);
                true
            }
            Some(_) => {
                // What was looked at is gone.
                self.scan = Scan { answered_at: self.scan.answered_at, ..Scan::default() };
                true
            }
            None => {
                self.skip = self.rest_of_body(from, world.requests).filter(|_| skipped);
                self.scan = Scan::default();
                self.skip.is_some()
            }
        }
    }

    /// Looks for the last record of the body, or the first behind it. True: it was found and read, or its place given up.
    pub(super) fn find_end(&mut self, skip: Skip, world: &mut World, ledger: &mut Ledger) -> bool {
        let records = &self.client.records;
        let useless = ahead(skip.last_from(), records.at()).max(0).unsigned_abs() as usize;
        self.drop_client(useless.min(records.len()), ledger);
        if self.try_next_ends(skip, world, ledger) || self.try_seconds(skip, world, ledger) {
            return true;
        }
        if self.is_dark() {
            return false;
        }
        let records = &self.client.records;
        if skip.has_end() {
            let len = match begins(records.bytes()) {
                Next::Whole(len) => len,
                Next::Other => HEADER_BYTES,
                Next::Part(_) => return false,
            };
            let is_taken = ahead(self.acknowledged, records.at().wrapping_add(len as u32)) >= 0;
            if is_taken {
                // By chance more than the body ended where it could: that may have been requests. Or its copies were forged.
                world.requests.suspect_more();
                self.lose_skip(skip, world, ledger);
            }
            return is_taken;
        }
        // A record that had begun when the answer came has not verified.
        let is_past = |at| ahead(records.end(), at) > MAX_RECORD_BYTES as i32;
        let is_late = self.scan.answered_at.is_some_and(is_past) || skip.is_exceeded(self.acknowledged);
        if is_late || skip.end_from(records.end()).is_none() {
            // Whatever its client has put there, the server may take what follows for body.
            world.requests.suspect_more();
            self.lose_skip(skip, world, ledger);
            return true;
        }
        let begun = self.scan.begun.map(|begun| ahead(begun.from, records.at()).max(0).unsigned_abs() as usize);
        let begun = begun.unwrap_or(records.len());
        self.drop_client(begun.min(records.len().saturating_sub(KEPT_BYTES)), ledger);
        false
    }

    /// The server has answered the request whose body went by, and its last record has not verified: either some of what came
    /// last was lost, and the body ends by what was received then, or it does not end there.
    pub(super) fn conclude(&mut self, world: &mut World, ledger: &mut Ledger) {
        let Some(skip) = self.skip.filter(|skip| !skip.has_end()) else { return };
        let is_over = world.requests.is_answered() || world.requests.body_left() != Some(skip.left());
        // Before that the answer did not wait for the body; and a record that has begun will tell itself.
        if !is_over || ahead(self.acknowledged, skip.sure_end()) < 0 {
            return;
        }
        if self.scan.begun.is_some() {
            self.scan.answered_at.get_or_insert(self.client.records.end());
            return;
        }
        let records = &self.client.records;
        let end = records.end();
        let is_seen = skip.is_last_within(records.at(), end) && self.client.seconds() == 0;
        match skip.records_before(end).filter(|_| end == self.acknowledged && !is_seen) {
            Some(records) => {
                self.drop_client(self.client.records.len(), ledger);
                if world.requests.body_left() == Some(skip.left()) {
                    world.requests.pass_unproven(end, skip.left(), ledger);
                }
                self.skip = Some(skip.with_end(records));
            }
            None => {
                if ahead(end, self.acknowledged) >= 0 {
                    // Nothing is missing, and it is not just the body: a request may have begun in the record of its end.
                    world.requests.suspect_more();
                }
                self.lose_skip(skip, world, ledger);
            }
        }
    }

    /// The answer that would tell that the body is over may be lost.
    pub(super) fn give_up_skip(&mut self, world: &mut World, ledger: &mut Ledger) {
        if let Some(skip) = self.skip.filter(|skip| !skip.has_end()) {
            self.lose_skip(skip, world, ledger);
        }
    }

    /// Looks at the places that were not decided yet.
    fn try_next_ends(&mut self, skip: Skip, world: &mut World, ledger: &mut Ledger) -> bool {
        let (begin, end) = (self.client.records.at(), self.client.records.end());
        let has_begun = self.scan.begun.is_some();
        let from = self.scan.resume(begin, end);
        if has_begun && !self.pay_places(from, end, skip, ledger) {
            return false;
        }
        if self.try_ends(skip, from, end, world, ledger) {
            return true;
        }
        // Never behind what is there: a place told later may be its end.
        self.scan.next.get_or_insert(if ahead(end, from) > 0 { end } else { from });
        false
    }

    /// Another copy of the client's bytes may be the one that the server took.
    fn try_seconds(&mut self, skip: Skip, world: &mut World, ledger: &mut Ledger) -> bool {
        let tried = Some((self.acknowledged, self.client.seconds()));
        let is_taken = ahead(self.acknowledged, self.client.records.end()) >= 0;
        if self.is_dark() || (self.scan.tried == tried && !is_taken) {
            return false;
        }
        self.scan.tried = tried;
        let scan = self.scan;
        let mut index = 0;
        while let Some((from, to)) = self.client.second(index) {
            let (begin, end) = (self.client.records.at(), self.client.records.end());
            // A record of which the copy holds a part.
            let from = from.wrapping_sub(MAX_RECORD_BYTES as u32);
            let from = if ahead(from, begin) > 0 { from } else { begin };
            let to = if ahead(end, to) > 0 { to } else { end };
            if !self.pay_places(from, to, skip, ledger) {
                return false;
            }
            self.client.swap_second(index);
            if self.try_ends(skip, from, to, world, ledger) {
                return true;
            }
            if self.is_dark() {
                return false;
            }
            self.client.swap_second(index);
            index += 1;
        }
        self.scan = scan;
        false
    }

    /// Whoever sends bytes one by one decides how often the same places are looked at.
    fn pay_places(&mut self, from: u32, to: u32, skip: Skip, ledger: &mut Ledger) -> bool {
        let bytes = ahead(to, from).max(0).unsigned_abs() as usize;
        self.pay(bytes / skip.overhead() * PLACE_BYTES, ledger)
    }

    /// Of the records that begin from `next` up to `end` reads the first that ends or begins where the body can end, and
    /// verifies as that one.
    fn try_ends(&mut self, skip: Skip, next: u32, end: u32, world: &mut World, ledger: &mut Ledger) -> bool {
        let begin = self.client.records.at();
        for n in 0..ahead(end, next).max(0).unsigned_abs() {
            let at = next.wrapping_add(n);
            let from = at.wrapping_sub(begin) as usize;
            let Some(bytes) = self.client.records.bytes().get(from..) else { return false };
            let begun = begins(bytes);
            let (last, len) = match begun {
                Next::Other => continue,
                Next::Part(None) => {
                    // How long it is decides whether it may be the last.
                    self.scan.next.get_or_insert(at);
                    (None, HEADER_BYTES)
                }
                Next::Part(Some(len)) | Next::Whole(len) => {
                    (skip.before_last(at, len).filter(|_| bytes[0] == APPLICATION_DATA), len)
                }
            };
            for passed in [last, skip.before_next(at)].into_iter().flatten() {
                if let Next::Part(_) = begun {
                    self.scan.begin(at, at.wrapping_add(len as u32));
                } else if !self.pay(len, ledger) {
                    return false;
                } else if self.try_behind(skip, passed, from, len, world, ledger) {
                    return true;
                } else if self.is_dark() {
                    return false;
                }
            }
        }
        false
    }

    /// Reads the record of `len` bytes that begins `from` bytes behind the present place, if it verifies as the one behind
    /// what has `passed`.
    fn try_behind(
        &mut self,
        skip: Skip,
        passed: Passed,
        from: usize,
        len: usize,
        world: &mut World,
        ledger: &mut Ledger,
    ) -> bool {
        let record = &self.client.records.bytes()[from..from + len];
        let opened = self.session.open_behind(Side::Client, passed.records, record, &mut self.plain);
        match opened {
            Opened::Data | Opened::Control | Opened::Closed => {}
            Opened::Dark(dark) => {
                self.go_dark(dark.into(), ledger);
                return false;
            }
            _ => return false,
        }
        self.drop_client(from, ledger);
        self.skip = None;
        // Opening what went by would have cost as much.
        self.repay(skip.left());
        if !skip.has_end() && world.requests.body_left() == Some(skip.left()) {
            world.requests.pass_sealed(self.client.records.at(), passed.bytes, ledger);
        }
        self.consume(Side::Client, len, &opened, world, ledger);
        true
    }

    /// Something else was among the records of the body, or a forged copy stands in the place of the one behind it.
    fn lose_skip(&mut self, skip: Skip, world: &mut World, ledger: &mut Ledger) {
        self.skip = None;
        self.session.pass_over(Side::Client, skip.least_records());
        let bytes = self.client.records.end().wrapping_sub(skip.from());
        self.lose_client(skip.from(), bytes, world, ledger);
    }

    fn drop_client(&mut self, len: usize, ledger: &mut Ledger) {
        self.client.take(len);
        ledger.discard(Discard::Undecrypted, len);
    }
}

/// What a body's last bytes may be taken for is tried in vain: so the version that all encrypted records have counts too.
fn begins(bytes: &[u8]) -> Next {
    match bytes {
        [_, 3, 3, ..] | [_, 3] | [_] => records::next(bytes),
        _ => Next::Other,
    }
}
