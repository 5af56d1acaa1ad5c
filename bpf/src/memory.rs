//! What connections take of memory, and who gives way when all together take too much.
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};

/// An empty buffer gives its memory back: most connections rest, for long.
pub fn give_back(buffer: &mut Vec<u8>) {
    if buffer.is_empty() {
        *buffer = Vec::new();
    }
}

/// The last so many connections that were added; the kernel follows no more at once.
#[derive(Default)]
pub struct Ids {
    all: HashSet<u64>,
    in_order: VecDeque<u64>,
}

impl Ids {
    const MOST: usize = 65536;

    pub fn add(&mut self, id: u64) {
        if !self.all.insert(id) {
            return;
        }
        self.in_order.push_back(id);
        if self.in_order.len() > Self::MOST
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    pub fn has(&self, id: u64) -> bool {
        self.all.contains(&id)
    }
}

/// What one connection takes.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub id: u64,
    pub target: u64,
    pub bytes: usize,
}

/// A target that takes more than its share.
#[derive(Debug, PartialEq, Eq)]
pub struct Giver {
    /// To be given up.
    pub bytes: usize,
    /// Its connections, the largest first.
    pub ids: Vec<u64>,
}

/// Who gives up how much so that `room` is enough: whoever takes no more than an equal part of it gives nothing, however
/// much the others take.
pub fn givers(mut all: Vec<Taken>, room: usize) -> Vec<Giver> {
    let mut shares: HashMap<u64, usize> = HashMap::new();
    for taken in &all {
        *shares.entry(taken.target).or_default() += taken.bytes;
    }
    let most = most_for_each(shares.values().copied().collect(), room);
    shares.retain(|_, bytes| *bytes > most);
    all.retain(|taken| shares.contains_key(&taken.target));
    all.sort_unstable_by_key(|taken| (taken.target, Reverse(taken.bytes)));
    let by_target = all.chunk_by(|one, other| one.target == other.target);
    by_target
        .map(|of_one| Giver {
            bytes: of_one.iter().map(|taken| taken.bytes).sum::<usize>() - most,
            ids: of_one.iter().map(|taken| taken.id).collect(),
        })
        .collect()
}

/// The most that each may take so that `room` is enough for all.
fn most_for_each(mut shares: Vec<usize>, room: usize) -> usize {
    shares.sort_unstable();
    let mut left = room;
    let count = shares.len();
    for (at, share) in shares.into_iter().enumerate() {
        let equal = left / (count - at);
        if share > equal {
            return equal;
        }
        left -= share;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(all: &[(u64, usize)]) -> Vec<Taken> {
        let numbered = all.iter().zip(0..);
        numbered.map(|((target, bytes), id)| Taken { id, target: *target, bytes: *bytes }).collect()
    }

    #[test]
    fn the_largest_connections_of_the_greediest_give_way() {
        let all = taken(&[(1, 10), (2, 50), (2, 70), (1, 15), (3, 90)]);
        assert_eq!(
            givers(all, 200),
            [Giver { bytes: 120 - 87, ids: vec![2, 1] }, Giver { bytes: 90 - 87, ids: vec![4] }]
        );
        assert_eq!(givers(taken(&[(1, 10), (2, 20)]), 30), []);
        assert_eq!(givers(vec![], 0), []);
    }

    proptest! {
        #[test]
        fn what_is_left_fits_and_no_one_gives_of_an_equal_part(
            all in prop::collection::vec((0u64..6, 0usize..1000), 0..40), room in 0usize..5000,
        ) {
            let total: usize = all.iter().map(|(_, bytes)| bytes).sum();
            let givers = givers(taken(&all), room);
            let given: usize = givers.iter().map(|giver| giver.bytes).sum();
            prop_assert!(total - given <= room);
            prop_assert!(given == 0 || total - given + 6 > room, "no more than needed: {} of {}", total - given, room);
            let targets = all.iter().map(|(target, _)| target).collect::<std::collections::HashSet<_>>().len();
            for giver in &givers {
                let target = all[giver.ids[0] as usize].0;
                let share: usize = all.iter().filter(|(of, _)| *of == target).map(|(_, bytes)| bytes).sum();
                prop_assert!(share - giver.bytes >= room / targets);
                prop_assert!(giver.ids.is_sorted_by_key(|id| Reverse(all[*id as usize].1)));
                prop_assert_eq!(giver.ids.len(), all.iter().filter(|(of, _)| *of == target).count());
            }
        }
    }
}
