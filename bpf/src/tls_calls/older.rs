//! Which targets have TLS connections that the kernel knows nobody can decrypt: those that are older than the capture, and
//! those that were read by calls before they fell silent. Only for these, and for what `sealed` knows, do the probes stand.
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::kernel::{Kernel, OlderFlow};

/// Found ones are looked for again this often at most, and looked after as often.
const SCAN_EVERY: Duration = Duration::from_millis(200);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A client that said nothing for so long is not waited for: an end by reset is not believed to be one, and the probes cost
/// everybody. nginx waits for 75 s.
const SILENT_NS: u64 = 120_000_000_000;
/// Looked after, per target; where there are more, these say enough.
const MAX_KEPT: usize = 1024;

pub struct Older {
    of: HashMap<u64, Vec<OlderFlow>>,
    /// Connections whose calls are of no use: not of a server, not HTTP.
    useless: HashSet<u64>,
    seen: u32,
    scanned: Instant,
    checked: Instant,
}

impl Older {
    pub fn new(now: Instant) -> Self {
        Self { of: HashMap::new(), useless: HashSet::new(), seen: 0, scanned: now, checked: now }
    }

    /// Two comparisons when there is nothing to do. `is_of_use`: whether probes are of use to a connection.
    pub fn look(&mut self, kernel: &Kernel, now: Instant, now_ns: u64, is_of_use: impl Fn(&OlderFlow) -> bool) {
        let is_there = |flow: &OlderFlow| now_ns.saturating_sub(flow.last_ns) < SILENT_NS;
        let count = kernel.older_count();
        if count != self.seen && now.duration_since(self.scanned) >= SCAN_EVERY {
            self.seen = count;
            self.scanned = now;
            self.of.clear();
            let flows = kernel.older_flows();
            let ids: HashSet<u64> = flows.iter().map(|flow| flow.id).collect();
            self.useless.retain(|id| ids.contains(id));
            let useless = &self.useless;
            let is_of_use = |flow: &OlderFlow| !useless.contains(&flow.id) && is_of_use(flow);
            for flow in flows.into_iter().filter(is_there).filter(is_of_use) {
                let of_target = self.of.entry(flow.target).or_default();
                if of_target.len() < MAX_KEPT {
                    of_target.push(flow);
                }
            }
        } else if !self.of.is_empty() && now.duration_since(self.checked) >= CHECK_EVERY {
            self.checked = now;
            for flows in self.of.values_mut() {
                flows.retain(|flow| kernel.older_flow(flow).is_some_and(|flow| is_there(&flow) && is_of_use(&flow)));
            }
            let before = self.of.len();
            self.of.retain(|_, flows| !flows.is_empty());
            if self.of.len() < before {
                // Those that did not fit in, or spoke again after a long silence.
                self.seen = self.seen.wrapping_sub(1);
            }
        }
    }

    /// This connection needs no probes.
    pub fn forget(&mut self, flow_id: u64) {
        if self.of.values_mut().any(|flows| {
            let before = flows.len();
            flows.retain(|flow| flow.id != flow_id);
            flows.len() < before
        }) {
            self.useless.insert(flow_id);
            self.of.retain(|_, flows| !flows.is_empty());
        }
    }

    pub fn targets(&self) -> BTreeSet<u64> {
        self.of.keys().copied().collect()
    }

    /// Connections of this target, or child of one, that are older than the capture.
    pub fn count(&self, target: u64) -> usize {
        self.of.get(&target).map_or(0, |flows| flows.iter().filter(|flow| flow.is_older).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic_ns;
    use crate::kernel::machine::with_machine;

    const RECORD: &[u8] = b"\x17\x03\x03\x00\x04abcd";

    #[test]
    fn a_connection_that_probes_are_of_no_use_to_any_more_is_not_looked_after_any_longer() {
        with_machine(|machine| {
            let begin = Instant::now();
            let mut older = Older::new(begin);
            machine.join();
            machine.send(RECORD);
            let now_ns = monotonic_ns();
            let mut look = |after: Duration, of_use: bool| {
                older.look(&machine.kernel, begin + after, now_ns, |_| of_use);
                older.targets().len()
            };
            assert_eq!(look(SCAN_EVERY, true), 1, "it is found");
            assert_eq!(look(CHECK_EVERY, true), 1, "it is there");
            assert_eq!(look(CHECK_EVERY + CHECK_EVERY / 2, false), 1, "nobody looks all the time");
            assert_eq!(look(2 * CHECK_EVERY, false), 0);
        });
    }
}
