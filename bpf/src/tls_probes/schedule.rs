//! When to look at processes that just began to run another program: its libraries come within milliseconds, mostly.
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// After the exec, in milliseconds. The dynamic loader maps what is linked within the first few; scripts import later.
const AFTER_MS: [u64; 12] = [0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// More processes than this are left to the regular rounds.
const MAX_PROCESSES: usize = 1024;

#[derive(Default)]
pub struct Schedule {
    due: BTreeSet<(Instant, u32)>,
    /// When it began, and which look comes next.
    of: HashMap<u32, (Instant, usize)>,
}

impl Schedule {
    /// Begins anew for a process that is in already. False: there is no room.
    pub fn add(&mut self, pid: u32, now: Instant) -> bool {
        self.remove(pid);
        if self.of.len() >= MAX_PROCESSES {
            return false;
        }
        self.of.insert(pid, (now, 0));
        self.due.insert((now, pid));
        true
    }

    pub fn remove(&mut self, pid: u32) {
        if let Some((began, step)) = self.of.remove(&pid) {
            self.due.remove(&(at(began, step), pid));
        }
    }

    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The process that is to be looked at now, if there is one. Looks that were missed meanwhile are made as one.
    pub fn take(&mut self, now: Instant) -> Option<u32> {
        let (due, pid) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.due.remove(&(due, pid));
        let (began, step) = self.of.get_mut(&pid)?;
        while *step < AFTER_MS.len() && at(*began, *step) <= now {
            *step += 1;
        }
        if *step < AFTER_MS.len() {
            self.due.insert((at(*began, *step), pid));
        } else {
            self.of.remove(&pid);
        }
        Some(pid)
    }
}

fn at(began: Instant, step: usize) -> Instant {
    began + Duration::from_millis(AFTER_MS[step])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(now: Instant, ms: u64) -> Instant {
        now + Duration::from_millis(ms)
    }

    #[test]
    fn a_process_is_looked_at_twelve_times_when_nobody_is_late() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.add(7, now);
        let looks = (0..6000).filter(|ms| schedule.take(after(now, *ms)) == Some(7)).collect::<Vec<_>>();
        assert_eq!(looks, AFTER_MS);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn missed_looks_are_made_as_one() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.add(7, now);
        assert_eq!(schedule.take(after(now, 60)), Some(7));
        assert_eq!((schedule.take(after(now, 99)), schedule.take(after(now, 100))), (None, Some(7)));
    }

    #[test]
    fn another_exec_begins_anew() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.add(7, now);
        assert_eq!(schedule.take(after(now, 4000)), Some(7));
        schedule.add(7, after(now, 4001));
        assert_eq!(schedule.take(after(now, 4001)), Some(7));
        assert_eq!(schedule.next(), Some(after(now, 4003)));
    }

    #[test]
    fn there_is_no_room_for_more_than_1024_processes() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        assert_eq!((0..2000).filter(|pid| schedule.add(*pid, now)).count(), 1024);
        schedule.remove(3);
        assert!(schedule.add(2000, now));
    }
}
