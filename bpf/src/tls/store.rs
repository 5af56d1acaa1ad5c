//! The secrets of connections, by client random, until the connection ends. They leave this process in no way.
use hashbrown::HashMap;

use super::guard;
use super::secrets::SecretSet;

/// A secret for which no connection shows up (the process was a client, its packets were lost) goes after this long.
const UNCLAIMED_NS: u64 = 30_000_000_000;
/// Connections with secrets, or waiting for some. Each takes some hundred bytes.
const MAX_ENTRIES: usize = 65536;
/// Connections that show one client random: a copied ClientHello makes more than one.
const MAX_FLOWS: usize = 8;

pub type ClientRandom = [u8; 32];

/// Who logged a secret: the process, and the instruction at which its probe stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Logger {
    pub tgid: u32,
    pub ip: u64,
}

/// One line of a key log.
pub struct Logged<'a> {
    pub random: &'a ClientRandom,
    pub label: &'a [u8],
    pub secret: &'a [u8],
    pub by: Logger,
}

/// Server and client, if both are targets.
pub type Loggers = [Option<Logger>; 2];

struct Entry {
    /// In a place of its own: the table moves its entries when it grows, and leaves copies behind.
    set: Box<SecretSet>,
    loggers: Loggers,
    since_ns: u64,
    /// The connections that have shown this client random. Only what verifies tells whose the secrets are.
    flows: Vec<u64>,
}

pub struct Store {
    entries: HashMap<ClientRandom, Entry>,
    max_entries: usize,
    /// Connections whose secrets were let go, or not taken, before a connection asked for them.
    pub unclaimed: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(MAX_ENTRIES)
    }
}

impl Store {
    fn new(max_entries: usize) -> Self {
        Self { entries: HashMap::new(), max_entries, unclaimed: 0 }
    }

    /// Takes a secret as it was logged. Gives the connections that may go on with it.
    pub fn add(&mut self, logged: &Logged, now_ns: u64) -> Vec<u64> {
        let Logged { random, label, secret, by } = *logged;
        let Some(entry) = self.entry(random, now_ns) else {
            self.unclaimed += 1;
            return Vec::new();
        };
        if !entry.set.set(label, secret) {
            return Vec::new();
        }
        if !entry.loggers.contains(&Some(by))
            && let Some(free) = entry.loggers.iter_mut().find(|logger| logger.is_none())
        {
            *free = Some(by);
        }
        entry.flows.clone()
    }

    /// A connection has shown its client random: it is told of the secrets that still come.
    pub fn claim(&mut self, random: &ClientRandom, flow: u64, now_ns: u64) {
        if let Some(entry) = self.entry(random, now_ns)
            && entry.flows.len() < MAX_FLOWS
            && !entry.flows.contains(&flow)
        {
            entry.flows.push(flow);
        }
    }

    pub fn get(&self, random: &ClientRandom) -> Option<&SecretSet> {
        self.entries.get(random).map(|entry| entry.set.as_ref())
    }

    /// Who logged these secrets.
    pub fn loggers(&self, random: &ClientRandom) -> Loggers {
        self.entries.get(random).map(|entry| entry.loggers).unwrap_or_default()
    }

    /// The connection is over.
    pub fn forget(&mut self, random: &ClientRandom, flow: u64) {
        if let Some(entry) = self.entries.get_mut(random) {
            entry.flows.retain(|other| *other != flow);
            if entry.flows.is_empty() {
                self.entries.remove(random);
            }
        }
    }

    pub fn expire(&mut self, now_ns: u64) {
        self.let_go(|entry| now_ns.saturating_sub(entry.since_ns) >= UNCLAIMED_NS);
    }

    fn entry(&mut self, random: &ClientRandom, now_ns: u64) -> Option<&mut Entry> {
        if !self.entries.contains_key(random) && self.entries.len() >= self.max_entries {
            self.make_room();
            if self.entries.len() >= self.max_entries {
                return None;
            }
        }
        Some(self.entries.entry(*random).or_insert_with(|| {
            let set = Box::<SecretSet>::default();
            guard::lock(&*set);
            Entry { set, loggers: Loggers::default(), since_ns: now_ns, flows: Vec::new() }
        }))
    }

    /// Lets go of the older half of what no connection has asked for.
    fn make_room(&mut self) {
        let mut ages: Vec<u64> = self.entries.values().filter(|e| e.flows.is_empty()).map(|e| e.since_ns).collect();
        if !ages.is_empty() {
            let middle = ages.len() / 2;
            let limit = *ages.select_nth_unstable(middle).1;
            self.let_go(|entry| entry.since_ns <= limit);
        }
    }

    fn let_go(&mut self, which: impl Fn(&Entry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|_, entry| !entry.flows.is_empty() || !which(entry));
        self.unclaimed += (before - self.entries.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &[u8] = b"CLIENT_RANDOM";
    const BY: Logger = Logger { tgid: 7, ip: 0x1000 };

    fn line<'a>(random: &'a ClientRandom, label: &'a [u8], secret: &'a [u8], by: Logger) -> Logged<'a> {
        Logged { random, label, secret, by }
    }

    #[test]
    fn whose_secrets_they_are_is_known_and_a_secret_that_is_not_taken_makes_nobody_its_logger() {
        let mut store = Store::default();
        store.add(&line(&[1; 32], LABEL, &[7; 48], BY), 0);
        let [client, liar] = [8, 9].map(|tgid| Logger { tgid, ..BY });
        store.add(&line(&[1; 32], LABEL, &[8; 48], liar), 0);
        store.add(&line(&[1; 32], b"EXPORTER_SECRET", &[7; 48], liar), 0);
        assert_eq!(store.loggers(&[1; 32]), [Some(BY), None]);
        store.add(&line(&[1; 32], LABEL, &[7; 48], client), 0);
        store.add(&line(&[1; 32], LABEL, &[7; 48], BY), 0);
        assert_eq!(store.loggers(&[1; 32]), [Some(BY), Some(client)]);
        assert_eq!(store.loggers(&[2; 32]), [None, None]);
    }

    #[test]
    fn a_secret_finds_its_connection_whichever_comes_first_and_ends_with_it() {
        let mut store = Store::default();
        assert!(store.add(&line(&[1; 32], LABEL, &[7; 48], BY), 0).is_empty());
        store.claim(&[1; 32], 10, 0);
        store.claim(&[2; 32], 20, 0);
        assert_eq!(store.add(&line(&[2; 32], LABEL, &[7; 48], BY), 0), [20]);
        assert!(store.get(&[1; 32]).is_some() && store.get(&[2; 32]).is_some());
        store.forget(&[1; 32], 10);
        store.forget(&[2; 32], 99);
        assert!(store.get(&[1; 32]).is_none() && store.get(&[2; 32]).is_some());
    }

    #[test]
    fn a_copied_hello_takes_no_secret_from_the_connection_it_was_copied_of() {
        let mut store = Store::default();
        store.claim(&[1; 32], 10, 0);
        store.claim(&[1; 32], 11, 0);
        store.forget(&[1; 32], 11);
        assert_eq!(store.add(&line(&[1; 32], LABEL, &[7; 48], BY), 0), [10]);
    }

    #[test]
    fn what_no_connection_asks_for_goes_in_time_or_for_room_and_is_counted() {
        let mut store = Store::new(4);
        for n in 0..4 {
            store.add(&line(&[n; 32], LABEL, &[7; 48], BY), u64::from(n));
        }
        store.claim(&[0; 32], 10, 0);
        store.add(&line(&[9; 32], LABEL, &[7; 48], BY), 9);
        assert!(store.get(&[0; 32]).is_some() && store.get(&[9; 32]).is_some());
        assert_eq!(store.unclaimed, 2);
        store.expire(UNCLAIMED_NS + 20);
        assert_eq!((store.unclaimed, store.entries.len()), (4, 1));
    }
}
