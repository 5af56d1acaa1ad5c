//! Which targets have TLS connections that began under the capture, and that nobody can decrypt: their suite is not covered,
//! or their library hands out no secrets. For these, too, the probes stand.
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// The last one may have ended that long ago. Probes that come with each connection anew would miss the beginning of every
/// one: it takes some 100 ms to put them there. So they outlast the pauses of who comes regularly, of which the most frequent
/// are probes of kubelets, every 10 s by default, and no more than that: other connections of the target pay for them.
const LINGER: Duration = Duration::from_secs(15);
/// Where so long after the first such connection not one call was read, none is to be had (Node reads sockets on OpenSSL's
/// behalf), and the probes cost for nothing: they rest before they are tried again. One that was read is enough for them to
/// stay as long as there are such connections.
const TRY_FOR: Duration = Duration::from_mins(5);
const REST: Duration = Duration::from_mins(30);
/// While there are any, all connections are looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub struct Sealed {
    of: HashMap<u64, Stand>,
    looked: Instant,
}

/// Of the probes for one target.
struct Stand {
    /// The first of these connections was told of.
    since: Instant,
    /// So long they stand without a further one.
    until: Instant,
    /// Some connection's calls came, at any time since.
    is_read: bool,
    /// Nothing came of them: not before then.
    rests_until: Option<Instant>,
}

impl Stand {
    fn new(now: Instant) -> Self {
        Self { since: now, until: now + LINGER, is_read: false, rests_until: None }
    }
}

impl Sealed {
    pub fn new(now: Instant) -> Self {
        Self { of: HashMap::new(), looked: now }
    }

    /// This target has one.
    pub fn note(&mut self, target: u64, now: Instant) {
        let stand = self.of.entry(target).or_insert_with(|| Stand::new(now));
        match stand.rests_until {
            Some(until) if now < until => {}
            Some(_) => *stand = Stand::new(now),
            None => stand.until = now + LINGER,
        }
    }

    /// Calls of one were read.
    pub fn read(&mut self, target: u64) {
        if let Some(stand) = self.of.get_mut(&target) {
            stand.is_read = true;
        }
    }

    /// `having`: the targets that have one.
    pub fn look(&mut self, now: Instant, having: impl FnOnce() -> BTreeSet<u64>) {
        if self.of.is_empty() || now.duration_since(self.looked) < LOOK_EVERY {
            return;
        }
        self.looked = now;
        for target in having() {
            self.note(target, now);
        }
        self.of.retain(|_, stand| stand.rests_until.unwrap_or(stand.until) > now);
        for stand in self.of.values_mut() {
            if !stand.is_read && stand.rests_until.is_none() && now.duration_since(stand.since) >= TRY_FOR {
                stand.rests_until = Some(now + REST);
            }
        }
    }

    pub fn targets(&self) -> impl Iterator<Item = u64> {
        self.of.iter().filter(|(_, stand)| stand.rests_until.is_none()).map(|(id, _)| *id)
    }

    /// Whether probes are to stand for this target; None: they were tried in vain.
    pub fn is_wanted(&self, target: u64) -> Option<bool> {
        match self.of.get(&target) {
            Some(stand) if stand.rests_until.is_some() => None,
            found => Some(found.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64, sealed: &mut Sealed, begin: Instant, having: &[u64]) -> Vec<u64> {
        sealed.look(begin + Duration::from_secs(seconds), || having.iter().copied().collect());
        let mut targets: Vec<u64> = sealed.targets().collect();
        targets.sort_unstable();
        targets
    }

    #[test]
    fn a_target_is_named_while_it_has_such_connections_and_a_while_after_the_last() {
        let begin = Instant::now();
        let mut sealed = Sealed::new(begin);
        assert_eq!(after(1, &mut sealed, begin, &[7]), [0; 0], "nobody has told of one");
        sealed.note(1, begin + Duration::from_secs(1));
        sealed.note(2, begin + Duration::from_secs(1));
        assert_eq!(after(10, &mut sealed, begin, &[1]), [1, 2]);
        assert_eq!(after(17, &mut sealed, begin, &[]), [1]);
        assert_eq!(after(24, &mut sealed, begin, &[]), [1]);
        assert_eq!(after(25, &mut sealed, begin, &[]), [0; 0]);
    }

    #[test]
    fn connections_are_not_looked_at_all_the_time() {
        let begin = Instant::now();
        let mut sealed = Sealed::new(begin);
        sealed.note(1, begin);
        sealed.look(begin + Duration::from_millis(999), || unreachable!("too early"));
    }

    #[test]
    fn probes_that_see_no_call_rest_for_a_while() {
        let begin = Instant::now();
        let mut sealed = Sealed::new(begin);
        let minutes = |n: u64| n * 60;
        for target in [1, 2] {
            sealed.note(target, begin);
        }
        sealed.read(2);
        for second in 1..minutes(6) {
            after(second, &mut sealed, begin, &[1, 2]);
        }
        assert_eq!(after(minutes(6), &mut sealed, begin, &[1, 2]), [2]);
        assert_eq!((sealed.is_wanted(1), sealed.is_wanted(2), sealed.is_wanted(3)), (None, Some(true), Some(false)));
        assert_eq!(after(minutes(34), &mut sealed, begin, &[1, 2]), [2]);
        assert_eq!(after(minutes(36), &mut sealed, begin, &[1, 2]), [1, 2], "they are tried again");
    }
}
