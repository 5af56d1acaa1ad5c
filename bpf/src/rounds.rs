//! In which order the owner thread takes what the kernel hands over: calls of TLS libraries behind all packets and secrets that
//! went before them, for those tell how a connection stands; and not for ever later, however many packets come.
use std::cell::RefCell;

use crate::kernel::{Mark, Rings};

#[derive(Default)]
pub struct Rounds {
    waiting: Option<Waiting>,
}

/// Calls that were made ready, or none.
struct Waiting {
    /// Everything that went before them stands before it.
    behind: Mark,
    what: Collected,
}

/// What there is of calls.
#[derive(Clone, Copy)]
pub struct Collected {
    /// Some were made ready just now.
    fresh: bool,
    /// With them, all are ready or taken that had been made when the round of calls began.
    all: bool,
}

impl Collected {
    pub fn new(fresh: bool, all: bool) -> Self {
        Self { fresh, all }
    }
}

impl Rounds {
    /// One round; true: there may be more at once. `collect` makes calls ready, where none wait; it is told whether a round of
    /// calls may begin: what is drained before the end of the last is taken belongs to that one. `drain` hands out packets, and
    /// all secrets that were logged before; true: there may be more. `take` takes the calls; it is told whether the
    /// round of calls is over with them.
    pub fn take(
        &mut self,
        rings: &RefCell<Rings>,
        collect: impl FnOnce(bool) -> Collected,
        drain: impl FnOnce() -> bool,
        take: impl FnOnce(bool),
    ) -> bool {
        let may_begin = self.waiting.as_ref().is_none_or(|waiting| !waiting.what.all);
        let collected = collect(may_begin);
        if collected.fresh || self.waiting.is_none() {
            self.waiting = Some(Waiting { behind: rings.borrow().mark(), what: collected });
        }
        let more = drain();
        // A packet that is still being written may keep it from being passed, and there is nothing to do but wait.
        match self.waiting.take_if(|waiting| rings.borrow().has_passed(waiting.behind)) {
            Some(Waiting { what, .. }) => {
                take(what.all);
                more || (what.fresh && !what.all)
            }
            None => more,
        }
    }

    /// Calls were made ready without a round.
    pub fn restart(&mut self) {
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::kernel::{Drained, Writer, tag_of};

    /// Packets are letters and calls are digits, in the order in which they are taken.
    struct Capture {
        inward: Writer,
        outward: Writer,
        rings: RefCell<Rings>,
        rounds: Rounds,
        ready: RefCell<String>,
        taken: RefCell<String>,
        /// As the last `collect` was told.
        may_begin: Cell<bool>,
        order: u64,
    }

    impl Capture {
        fn new() -> Self {
            let (inward, outward) = (Writer::new(), Writer::new());
            let rings = RefCell::new(Rings::of(&inward, &outward));
            let (ready, taken) = (RefCell::default(), RefCell::default());
            let may_begin = Cell::new(false);
            Self { inward, outward, rings, rounds: Rounds::default(), ready, taken, may_begin, order: 0 }
        }

        fn packet(&mut self, tag: char) {
            self.order += 1;
            let ring = if tag.is_lowercase() { &mut self.inward } else { &mut self.outward };
            ring.put(self.order, tag as u8, 0);
        }

        /// `calls`: what the kernel has of them. One record of each direction is drained at once.
        fn round(&mut self, calls: &mut String) -> bool {
            let Self { rings, rounds, ready, taken, may_begin, .. } = self;
            let collect = |begins| {
                may_begin.set(begins);
                let fresh = ready.borrow().is_empty() && !calls.is_empty();
                if fresh {
                    ready.borrow_mut().push(calls.remove(0));
                }
                Collected::new(fresh, calls.is_empty())
            };
            let drain = || {
                rings.borrow_mut().drain(1, |drained| {
                    if let Drained::Record(bytes) = drained {
                        taken.borrow_mut().push(tag_of(bytes));
                    }
                })
            };
            let take = |all| {
                taken.borrow_mut().push_str(&ready.borrow_mut().split_off(0));
                if all {
                    taken.borrow_mut().push('.');
                }
            };
            rounds.take(rings, collect, drain, take)
        }

        fn until_idle(&mut self, calls: &mut String) {
            assert!((0..100).any(|_| !self.round(calls)), "it runs in circles");
        }

        fn taken(&self) -> String {
            self.taken.borrow_mut().split_off(0)
        }
    }

    #[test]
    fn calls_are_taken_behind_the_packets_from_before_them_though_the_rings_never_run_dry() {
        let mut capture = Capture::new();
        "abcAB".chars().for_each(|tag| capture.packet(tag));
        let mut calls = "1".to_owned();
        for tag in "defghijk".chars() {
            assert!(capture.round(&mut calls), "more is there");
            capture.packet(tag);
            capture.packet(tag.to_ascii_uppercase());
        }
        // The full stop: all calls were taken that there were.
        assert_eq!(capture.taken(), "abcAB1.dDe");
    }

    #[test]
    fn calls_wait_for_a_packet_that_is_still_being_written_and_nobody_runs_in_circles_meanwhile() {
        let mut capture = Capture::new();
        capture.packet('a');
        let unfinished = capture.inward.put(2, b'b', Writer::BUSY);
        capture.outward.put(3, b'C', 0);
        let mut calls = "12".to_owned();
        capture.until_idle(&mut calls);
        assert!(!capture.round(&mut calls));
        assert_eq!((capture.taken().as_str(), calls.as_str()), ("a", "2"));
        capture.inward.finish(unfinished);
        capture.until_idle(&mut calls);
        assert_eq!(capture.taken(), "bC12.");
    }

    #[test]
    fn a_round_is_over_without_calls_once_the_packets_are_taken_that_were_there() {
        let mut capture = Capture::new();
        capture.packet('a');
        capture.packet('b');
        capture.until_idle(&mut String::new());
        assert_eq!(capture.taken(), "ab..");
    }

    #[test]
    fn a_round_of_calls_begins_only_when_the_end_of_the_one_before_it_was_taken() {
        let mut capture = Capture::new();
        let mut calls = String::new();
        let unfinished = capture.inward.put(1, b'a', Writer::BUSY);
        for may_begin in [true, false, false] {
            capture.round(&mut calls);
            assert_eq!((capture.may_begin.get(), capture.taken().as_str()), (may_begin, ""));
        }
        capture.inward.finish(unfinished);
        for (may_begin, taken) in [(false, "a."), (true, ".")] {
            capture.round(&mut calls);
            assert_eq!((capture.may_begin.get(), capture.taken().as_str()), (may_begin, taken));
        }
    }
}
