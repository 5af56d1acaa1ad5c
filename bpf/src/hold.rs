//! Exchanges of cgroups that nobody has named yet: they wait for somebody to say whose they are, bounded in time and bytes.
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::ledger::{Drop, Ledger};
use crate::packed::Packed;

/// A container is named within milliseconds by its mounts, or within some seconds by its pod's status.
pub const HOLD_FOR: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 4 << 20;

struct Held {
    cgroup: u64,
    since: Instant,
    exchange: Packed,
}

/// What one cgroup has in here.
#[derive(Default)]
struct Share {
    bytes: usize,
    /// Keys of `Hold::held`, oldest first.
    order: VecDeque<u64>,
}

/// Room for all is one, and whoever has most of it gives way: a cgroup that holds no more than an equal part of it loses
/// nothing to the others, however much they bring. All is logarithmic in the number of exchanges held.
pub struct Hold {
    max_bytes: usize,
    bytes: usize,
    /// By the order in which they came.
    held: BTreeMap<u64, Held>,
    next: u64,
    shares: HashMap<u64, Share>,
    /// (bytes, cgroup) of each share.
    by_size: BTreeSet<(usize, u64)>,
    /// Cgroups of exchanges that were given up since the last `take_losers`.
    losers: Vec<u64>,
}

impl Default for Hold {
    fn default() -> Self {
        Self::new(MAX_BYTES)
    }
}

impl Hold {
    fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            held: BTreeMap::new(),
            next: 0,
            shares: HashMap::new(),
            by_size: BTreeSet::new(),
            losers: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn push(&mut self, cgroup: u64, exchange: Packed, now: Instant, ledger: &mut Ledger) {
        let bytes = exchange.memory();
        let key = self.next;
        self.next += 1;
        self.held.insert(key, Held { cgroup, since: now, exchange });
        self.bytes += bytes;
        let share = self.shares.entry(cgroup).or_default();
        self.by_size.remove(&(share.bytes, cgroup));
        share.bytes += bytes;
        share.order.push_back(key);
        self.by_size.insert((share.bytes, cgroup));
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.oldest_of_largest() else {
                break;
            };
            self.lose(oldest, ledger);
        }
    }

    /// Those of one cgroup, in their order.
    pub fn take(&mut self, cgroup: u64) -> Vec<Packed> {
        let Some(share) = self.shares.remove(&cgroup) else {
            return Vec::new();
        };
        self.by_size.remove(&(share.bytes, cgroup));
        self.bytes -= share.bytes;
        share.order.iter().filter_map(|key| self.held.remove(key)).map(|held| held.exchange).collect()
    }

    /// Gives up what has waited long enough.
    pub fn expire(&mut self, now: Instant, ledger: &mut Ledger) {
        while let Some((&oldest, held)) = self.held.first_key_value()
            && now.duration_since(held.since) >= HOLD_FOR
        {
            self.lose(oldest, ledger);
        }
    }

    pub fn give_up(&mut self, ledger: &mut Ledger) {
        while let Some((&oldest, _)) = self.held.first_key_value() {
            self.lose(oldest, ledger);
        }
    }

    pub fn take_losers(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.losers)
    }

    fn oldest_of_largest(&self) -> Option<u64> {
        let (_, cgroup) = self.by_size.last()?;
        self.shares.get(cgroup)?.order.front().copied()
    }

    /// `key` is the oldest of its cgroup.
    fn lose(&mut self, key: u64, ledger: &mut Ledger) {
        let Some(Held { cgroup, exchange, .. }) = self.held.remove(&key) else {
            return;
        };
        let bytes = exchange.memory();
        self.bytes -= bytes;
        if let Some(share) = self.shares.get_mut(&cgroup) {
            self.by_size.remove(&(share.bytes, cgroup));
            share.order.pop_front();
            share.bytes -= bytes;
            if share.order.is_empty() {
                self.shares.remove(&cgroup);
            } else {
                self.by_size.insert((share.bytes, cgroup));
            }
        }
        self.losers.push(cgroup);
        ledger.drop_exchange(Drop::Unattributed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Exchange, Request};

    fn numbered(body: usize, sequence: u32) -> Packed {
        let request = Request { body: vec![7; body].into(), ..Request::default() };
        Packed::of(&Exchange { request: Some(request), sequence, ..Exchange::default() })
    }

    fn exchange(body: usize) -> Packed {
        numbered(body, 0)
    }

    #[test]
    fn what_is_named_in_time_is_given_out_in_its_order_and_the_rest_is_dropped() {
        let (mut hold, mut ledger, start) = (Hold::default(), Ledger::default(), Instant::now());
        for (cgroup, body) in [(1, 10), (2, 20), (1, 30)] {
            hold.push(cgroup, exchange(body), start, &mut ledger);
        }
        let bodies: Vec<usize> = hold.take(1).iter().map(|e| e.unpack().request.unwrap().body.len()).collect();
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

    #[test]
    fn what_a_flood_of_one_cgroup_pushes_out_is_its_own() {
        let (mut hold, mut ledger) = (Hold::default(), Ledger::default());
        hold.push(1, exchange(10), Instant::now(), &mut ledger);
        for _ in 0..100 {
            hold.push(2, exchange(MAX_BYTES / 4), Instant::now(), &mut ledger);
        }
        hold.push(2, exchange(2 * MAX_BYTES), Instant::now(), &mut ledger);
        assert_eq!((hold.take(1).len(), hold.take(2).len(), hold.bytes), (1, 0, 0));
        assert!(hold.take_losers().iter().all(|cgroup| *cgroup == 2));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push { cgroup: u64, body: usize },
        Take(u64),
        Wait(Duration),
    }

    const CGROUPS: u64 = 4;
    const ROOM: usize = 4000;

    fn step() -> impl Strategy<Value = Step> {
        // Of the first mostly little, of the others mostly much.
        let push = (0..CGROUPS, 0usize..1500)
            .prop_map(|(cgroup, body)| Step::Push { cgroup, body: if cgroup == 0 { body / 30 } else { body } });
        prop_oneof![
            8 => push,
            1 => (0..CGROUPS).prop_map(Step::Take),
            1 => (0u64..6).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
        ]
    }

    /// The same, as plainly as it can be said: (cgroup, since, bytes, number), oldest first.
    #[derive(Default)]
    struct Plain(Vec<(u64, Instant, usize, u32)>);

    impl Plain {
        fn bytes_of(&self, cgroup: u64) -> usize {
            self.0.iter().filter(|held| held.0 == cgroup).map(|held| held.2).sum()
        }

        fn push(&mut self, cgroup: u64, since: Instant, bytes: usize, number: u32) {
            self.0.push((cgroup, since, bytes, number));
            while self.0.iter().map(|held| held.2).sum::<usize>() > ROOM {
                let largest = (0..CGROUPS).max_by_key(|cgroup| (self.bytes_of(*cgroup), *cgroup)).unwrap();
                let oldest = self.0.iter().position(|held| held.0 == largest).unwrap();
                self.0.remove(oldest);
            }
        }

        fn take(&mut self, cgroup: u64) -> Vec<u32> {
            let taken = self.0.iter().filter(|held| held.0 == cgroup).map(|held| held.3).collect();
            self.0.retain(|held| held.0 != cgroup);
            taken
        }
    }

    impl Hold {
        fn bytes_of(&self, cgroup: u64) -> usize {
            self.shares.get(&cgroup).map_or(0, |share| share.bytes)
        }

        fn numbers(&self) -> Vec<u32> {
            self.held.values().map(|held| held.exchange.unpack().sequence).collect()
        }
    }

    proptest! {
        #[test]
        fn who_holds_most_gives_way_and_every_exchange_is_taken_or_dropped(
            steps in prop::collection::vec(step(), 0..120),
        ) {
            let (mut hold, mut ledger, mut plain) = (Hold::new(ROOM), Ledger::default(), Plain::default());
            let (mut now, mut pushed, mut taken) = (Instant::now(), 0, 0);
            for step in steps {
                match step {
                    Step::Push { cgroup, body } => {
                        let one = numbered(body, pushed);
                        plain.push(cgroup, now, one.memory(), pushed);
                        pushed += 1;
                        let before = (0..CGROUPS).map(|id| (id, hold.bytes_of(id)));
                        let part = ROOM / CGROUPS as usize;
                        let quiet: Vec<_> = before.filter(|(id, bytes)| *id != cgroup && *bytes <= part).collect();
                        hold.push(cgroup, one, now, &mut ledger);
                        for (id, bytes) in quiet {
                            prop_assert_eq!(hold.bytes_of(id), bytes, "what is no more than its part stays");
                        }
                    }
                    Step::Take(cgroup) => {
                        let numbers: Vec<u32> = hold.take(cgroup).iter().map(|one| one.unpack().sequence).collect();
                        taken += numbers.len();
                        prop_assert_eq!(numbers, plain.take(cgroup));
                    }
                    Step::Wait(time) => {
                        now += time;
                        hold.expire(now, &mut ledger);
                        plain.0.retain(|held| now.duration_since(held.1) < HOLD_FOR);
                    }
                }
                prop_assert!(hold.bytes <= ROOM);
                prop_assert_eq!(hold.numbers(), plain.0.iter().map(|held| held.3).collect::<Vec<_>>());
                let dropped = ledger.dropped_for(Drop::Unattributed) as usize;
                prop_assert_eq!(pushed as usize, taken + dropped + hold.len());
            }
            hold.give_up(&mut ledger);
            prop_assert_eq!((hold.len(), hold.bytes, hold.shares.len(), hold.by_size.len()), (0, 0, 0, 0));
        }
    }
}
