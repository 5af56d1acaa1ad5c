//! TLS connections that nobody can decrypt, above all those that are older than the capture, as the kernel's map of flows has
//! them.
use libbpf_rs::{MapCore, MapFlags};

use super::Kernel;

const KEY: usize = 48;
/// `enum flow_class` of kernel/plaintext.bpf.c.
const JOINED: u8 = 2;
const CALLED: u8 = 7;
const OUT_FIN: u8 = 1;
/// Read at once, of at most 65536.
const BATCH: u32 = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OlderFlow {
    key: [u8; KEY],
    pub id: u64,
    /// Nobody has its secrets; else they do not help.
    pub is_older: bool,
    /// As `Record::target`.
    pub target: u64,
    /// CLOCK_MONOTONIC, of its client's last packet.
    pub last_ns: u64,
}

impl OlderFlow {
    /// `struct flow` of kernel/plaintext.bpf.c; None: it is none, or has ended.
    fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let u64_at = |at: usize| value.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
        let (class, older) = (*value.get(124)?, *value.get(127)?);
        let ended = *value.get(77)? & OUT_FIN != 0;
        let (key, is_older) = (key.try_into().ok()?, class == JOINED);
        let flow = Self { key, id: u64_at(96)?, is_older, target: u64_at(104)?, last_ns: u64_at(24)? };
        (matches!(class, JOINED | CALLED) && older != 0 && !ended).then_some(flow)
    }
}

impl Kernel<'_> {
    /// Raised with each that is found, and each that was silent.
    pub fn older_count(&self) -> u32 {
        self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.older_tls_count)
    }

    /// All there are. Reads the whole map, some megabytes where it is full.
    pub fn older_flows(&self) -> Vec<OlderFlow> {
        let map = &self.skel.maps.flows;
        let Ok(all) = map.lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY) else {
            return Vec::new();
        };
        all.filter_map(|(key, value)| OlderFlow::parse(&key, &value)).collect()
    }

    /// The same connection as it stands now; None: it has ended.
    pub fn older_flow(&self, flow: &OlderFlow) -> Option<OlderFlow> {
        let value = self.skel.maps.flows.lookup(&flow.key, MapFlags::ANY).ok()??;
        OlderFlow::parse(&flow.key, &value).filter(|now| now.id == flow.id)
    }
}
