//! Targets whose probes stand and log nothing, though connections are made: their TLS is another library's, another copy's,
//! or it does not pass where the probe is. Pure: clocks and what stands are given.
use std::collections::{HashMap, VecDeque};

/// So many such connections, and no secret since the probes stand.
const ENOUGH: usize = 3;
/// Connections that wait to be judged, per target. Where there are more, the first are enough: a busy target's would else be
/// displaced before the next round.
const MAX_WAITING: usize = 8;
/// As many as there may be processes.
const MAX_TARGETS: usize = 16_384;

/// The probes on the libraries of a target's processes. Times: CLOCK_MONOTONIC in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Some process or file of it is not looked into yet, or cannot be.
    Unsettled,
    Since {
        /// Since when there is one.
        first_ns: u64,
        /// Since when all of them stand.
        all_ns: u64,
    },
}

impl Standing {
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        }
    }

    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Since { first_ns, all_ns }, Self::Since { first_ns: first, all_ns: all }) => {
                Self::Since { first_ns: first_ns.min(first), all_ns: all_ns.max(all) }
            }
            _ => Self::Unsettled,
        }
    }
}

#[derive(Default)]
pub struct Contradictions {
    of: HashMap<u64, Evidence>,
    /// Something waits to be judged, or a judgement may have to be taken back.
    is_open: bool,
}

#[derive(Default)]
struct Evidence {
    /// Of the last secret that was logged.
    hit_ns: Option<u64>,
    /// When a connection began, and when it was told of.
    waiting: VecDeque<(u64, u64)>,
    silent: usize,
    /// What `first_ns` was for these.
    first_ns: u64,
}

impl Contradictions {
    /// A process of this target, or child of one, has logged a secret.
    pub fn hit(&mut self, target: u64, now_ns: u64) {
        if let Some(evidence) = self.evidence(target) {
            *evidence = Evidence { hit_ns: Some(now_ns), ..Evidence::default() };
        }
    }

    /// A connection of this target's got to where it is encrypted, and no secret of it was logged.
    pub fn unlogged(&mut self, target: u64, began_ns: u64, now_ns: u64) {
        if let Some(evidence) = self.evidence(target) {
            if evidence.waiting.len() < MAX_WAITING {
                evidence.waiting.push_back((began_ns, now_ns));
            }
            self.is_open = true;
        }
    }

    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Counts the connections of which it is known by now that all probes stood when they began. `looked_ns`: all processes
    /// that were there then have been looked at. `standing`: None, no probe stands for the target.
    pub fn judge(&mut self, looked_ns: u64, standing: impl Fn(u64) -> Option<Standing>) {
        let mut is_open = false;
        self.of.retain(|target, evidence| {
            let Some(standing) = standing(*target) else {
                return false;
            };
            evidence.judge(looked_ns, standing);
            is_open |= !evidence.waiting.is_empty() || evidence.silent > 0;
            true
        });
        self.is_open = is_open;
    }

    pub fn is_contradicted(&self, target: u64) -> bool {
        self.is_open && self.of.get(&target).is_some_and(|evidence| evidence.silent >= ENOUGH)
    }

    /// None: there is no room for another one, until those that are gone are forgotten.
    fn evidence(&mut self, target: u64) -> Option<&mut Evidence> {
        if self.of.len() >= MAX_TARGETS && !self.of.contains_key(&target) {
            self.is_open = true;
            return None;
        }
        Some(self.of.entry(target).or_default())
    }
}

impl Evidence {
    fn judge(&mut self, looked_ns: u64, standing: Standing) {
        let Standing::Since { first_ns, all_ns } = standing else {
            return;
        };
        if self.first_ns != first_ns {
            // Other probes than those that were silent.
            self.silent = 0;
            self.first_ns = first_ns;
        }
        let was_hit = self.hit_ns.is_some_and(|hit_ns| hit_ns >= first_ns);
        while let Some((began_ns, _)) = self.waiting.pop_front_if(|(_, told_ns)| *told_ns < looked_ns) {
            if !was_hit && began_ns > all_ns {
                self.silent = (self.silent + 1).min(ENOUGH);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: u64 = 7;

    fn since(first_ns: u64, all_ns: u64) -> impl Fn(u64) -> Option<Standing> {
        move |target| (target == TARGET).then_some(Standing::Since { first_ns, all_ns })
    }

    /// After connections that began then, each told of 10 later.
    fn after(began: &[u64]) -> Contradictions {
        let mut found = Contradictions::default();
        for began_ns in began {
            found.unlogged(TARGET, *began_ns, began_ns + 10);
        }
        found
    }

    #[test]
    fn three_connections_that_began_under_the_probes_and_logged_nothing_contradict_them() {
        for (began, expected) in [(&[101, 102][..], false), (&[101, 102, 103], true), (&[101; 20], true)] {
            let mut found = after(began);
            found.judge(1000, since(50, 100));
            assert_eq!(found.is_contradicted(TARGET), expected, "{began:?}");
            assert!(!found.is_contradicted(TARGET + 1));
        }
    }

    #[test]
    fn connections_that_are_older_than_a_probe_do_not_count() {
        let mut found = after(&[10, 51, 60, 99, 100]);
        found.judge(1000, since(50, 100));
        assert!(!found.is_contradicted(TARGET));
        for began_ns in [101, 102] {
            found.unlogged(TARGET, began_ns, began_ns);
            found.judge(1000, since(50, 100));
        }
        assert!(!found.is_contradicted(TARGET));
    }

    #[test]
    fn nothing_is_concluded_before_all_processes_of_then_have_been_looked_at() {
        let mut found = after(&[101, 102, 103]);
        found.judge(111, since(50, 100));
        assert!(!found.is_contradicted(TARGET) && found.is_open());
        found.judge(1000, |_| Some(Standing::Unsettled));
        assert!(!found.is_contradicted(TARGET) && found.is_open());
        // The probe on the library that made them came later.
        found.judge(1000, since(50, 200));
        assert!(!found.is_contradicted(TARGET) && !found.is_open());
    }

    #[test]
    fn a_secret_clears_it_and_what_was_hit_once_is_not_contradicted_again() {
        let mut found = after(&[101, 102, 103]);
        found.judge(1000, since(50, 100));
        assert!(found.is_contradicted(TARGET));
        found.hit(TARGET, 2000);
        assert!(!found.is_contradicted(TARGET));
        for began_ns in 3000..3010 {
            found.unlogged(TARGET, began_ns, began_ns);
        }
        found.judge(9000, since(50, 100));
        assert!(!found.is_contradicted(TARGET) && !found.is_open());
    }

    #[test]
    fn a_secret_of_probes_that_are_gone_does_not_speak_for_those_that_stand() {
        let mut found = Contradictions::default();
        found.hit(TARGET, 60);
        for began_ns in [101, 102, 103] {
            found.unlogged(TARGET, began_ns, began_ns);
        }
        found.judge(1000, since(90, 100));
        assert!(found.is_contradicted(TARGET));
    }

    #[test]
    fn other_probes_begin_anew_and_without_any_nothing_is_contradicted() {
        for standing in [Some(Standing::Since { first_ns: 2000, all_ns: 2000 }), None] {
            let mut found = after(&[101, 102, 103]);
            found.judge(1000, since(50, 100));
            assert!(found.is_contradicted(TARGET));
            found.judge(3000, |_| standing);
            assert!(!found.is_contradicted(TARGET), "{standing:?}");
        }
        // One more library in the same target takes nothing back.
        let mut found = after(&[101, 102, 103]);
        found.judge(1000, since(50, 100));
        found.judge(3000, since(50, 2000));
        assert!(found.is_contradicted(TARGET));
    }

    #[test]
    fn of_several_libraries_all_have_to_have_their_probe() {
        let (one, other) = (Standing::Since { first_ns: 5, all_ns: 9 }, Standing::Since { first_ns: 7, all_ns: 8 });
        assert_eq!(Standing::both(Some(one), Some(other)), Some(Standing::Since { first_ns: 5, all_ns: 9 }));
        assert_eq!(Standing::both(Some(one), Some(Standing::Unsettled)), Some(Standing::Unsettled));
        assert_eq!((Standing::both(None, Some(one)), Standing::both(None, None)), (Some(one), None));
    }

    #[test]
    fn a_target_with_many_connections_is_judged_too() {
        let mut found = Contradictions::default();
        for now_ns in 101..10_000 {
            found.unlogged(TARGET, now_ns, now_ns);
            if now_ns % 1000 == 0 {
                found.judge(now_ns - 100, since(50, 100));
            }
        }
        assert!(found.is_contradicted(TARGET));
    }

    #[test]
    fn a_hit_in_between_is_a_hit() {
        let mut found = after(&[101, 102]);
        found.judge(1000, since(50, 100));
        found.hit(TARGET, 1001);
        found.unlogged(TARGET, 1002, 1002);
        found.judge(2000, since(50, 100));
        assert!(!found.is_contradicted(TARGET));
    }
}
