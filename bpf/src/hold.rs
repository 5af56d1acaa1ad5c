//! Exchanges of cgroups that nobody has named yet: they wait for somebody to say whose they are, bounded in time and bytes.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ledger::{Drop, Ledger};
use crate::queue::memory;
use crate::wire::Exchange;

/// A container is named within milliseconds by its mounts, or within some seconds by its pod's status.
pub const HOLD_FOR: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 4 << 20;

struct Held {
    cgroup: u64,
    since: Instant,
    bytes: usize,
    exchange: Exchange,
}

#[derive(Default)]
pub struct Hold {
    held: VecDeque<Held>,
    bytes: usize,
    /// Cgroups of exchanges that were given up since the last `take_losers`.
    losers: Vec<u64>,
}

impl Hold {
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn push(&mut self, cgroup: u64, exchange: Exchange, now: Instant, ledger: &mut Ledger) {
        let bytes = memory(&exchange);
        self.bytes += bytes;
        self.held.push_back(Held { cgroup, since: now, bytes, exchange });
        while self.bytes > MAX_BYTES {
            self.lose_oldest(ledger);
        }
    }

    /// Those of one cgroup, in their order.
    pub fn take(&mut self, cgroup: u64) -> Vec<Exchange> {
        let (taken, rest): (Vec<Held>, Vec<Held>) = self.held.drain(..).partition(|held| held.cgroup == cgroup);
        self.held = rest.into();
        self.bytes -= taken.iter().map(|held| held.bytes).sum::<usize>();
        taken.into_iter().map(|held| held.exchange).collect()
    }

    /// Gives up what has waited long enough.
    pub fn expire(&mut self, now: Instant, ledger: &mut Ledger) {
        while self.held.front().is_some_and(|held| now.duration_since(held.since) >= HOLD_FOR) {
            self.lose_oldest(ledger);
        }
    }

    pub fn give_up(&mut self, ledger: &mut Ledger) {
        while !self.held.is_empty() {
            self.lose_oldest(ledger);
        }
    }

    pub fn take_losers(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.losers)
    }

    fn lose_oldest(&mut self, ledger: &mut Ledger) {
        if let Some(oldest) = self.held.pop_front() {
            self.bytes -= oldest.bytes;
            self.losers.push(oldest.cgroup);
            ledger.drop_exchange(Drop::Unattributed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    fn exchange(body: usize) -> Exchange {
        Exchange { request: Some(Request { body: vec![7; body].into(), ..Request::default() }), ..Exchange::default() }
    }

    #[test]
    fn what_is_named_in_time_is_given_out_in_its_order_and_the_rest_is_dropped() {
        let (mut hold, mut ledger, start) = (Hold::default(), Ledger::default(), Instant::now());
        for (cgroup, body) in [(1, 10), (2, 20), (1, 30)] {
            hold.push(cgroup, exchange(body), start, &mut ledger);
        }
        let bodies: Vec<usize> = hold.take(1).iter().map(|e| e.request.as_ref().unwrap().body.len()).collect();
        assert_eq!((bodies, hold.len()), (vec![10, 30], 1));
        hold.expire(start + HOLD_FOR / 2, &mut ledger);
        assert_eq!(ledger.dropped_total(), 0);
        hold.expire(start + HOLD_FOR, &mut ledger);
        assert_eq!((hold.len(), hold.bytes, ledger.dropped_for(Drop::Unattributed)), (0, 0, 1));
        assert_eq!(hold.take_losers(), [2]);
    }

    #[test]
    fn a_flood_of_nameless_exchanges_holds_no_more_than_its_bound() {
        let (mut hold, mut ledger) = (Hold::default(), Ledger::default());
        for _ in 0..10 {
            hold.push(1, exchange(MAX_BYTES / 4), Instant::now(), &mut ledger);
        }
        assert!(hold.bytes <= MAX_BYTES);
        assert_eq!(hold.len() as u64 + ledger.dropped_for(Drop::Unattributed), 10);
    }
}
