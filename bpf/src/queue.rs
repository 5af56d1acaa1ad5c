//! Finished exchanges on their way out: bounded; oldest bodies go first, then oldest exchanges.
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::ledger::{Drop, Ledger};
use crate::packed::Packed;
use crate::wire::Identity;

struct Queued {
    exchange: Packed,
    identity: Arc<Identity>,
}

/// `wire::ExchangeBatch`, its exchanges encoded already: bytes and a message are the same when encoded.
#[derive(Clone, PartialEq, prost::Message)]
struct Batch {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    #[prost(string, tag = "2")]
    node: String,
    #[prost(string, tag = "3")]
    agent_version: String,
    #[prost(message, repeated, tag = "4")]
    targets: Vec<Identity>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    exchanges: Vec<Bytes>,
}

/// One encoded batch and how many exchanges are in it.
pub struct Encoded {
    pub id: String,
    pub bytes: Vec<u8>,
    pub exchanges: u32,
}

pub struct Queue {
    exchanges: VecDeque<Queued>,
    bytes: usize,
    max_bytes: usize,
    /// The first so many have no body any more.
    stripped: usize,
    node: String,
    agent_version: String,
}

impl Queue {
    pub fn new(max_bytes: usize, node: String, agent_version: String) -> Self {
        Self { exchanges: VecDeque::new(), bytes: 0, max_bytes, stripped: 0, node, agent_version }
    }

    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, exchange: Packed, identity: Arc<Identity>, ledger: &mut Ledger) {
        self.bytes += exchange.memory();
        self.exchanges.push_back(Queued { exchange, identity });
        while self.bytes > self.max_bytes && self.stripped < self.exchanges.len() {
            self.strip(self.stripped, ledger);
            self.stripped += 1;
        }
        while self.bytes > self.max_bytes && self.pop(|_| true).is_some() {
            ledger.drop_exchange(Drop::QueueFull);
        }
    }

    fn strip(&mut self, at: usize, ledger: &mut Ledger) {
        let Some(Queued { exchange, .. }) = self.exchanges.get_mut(at) else {
            return;
        };
        let before = exchange.memory();
        if exchange.strip_body() {
            ledger.bodies_stripped += 1;
            self.bytes = self.bytes - before + exchange.memory();
        }
    }

    fn pop(&mut self, is_wanted: impl Fn(&Packed) -> bool) -> Option<Queued> {
        let oldest = self.exchanges.pop_front_if(|queued| is_wanted(&queued.exchange))?;
        self.bytes -= oldest.exchange.memory();
        self.stripped = self.stripped.saturating_sub(1);
        Some(oldest)
    }

    /// The oldest exchanges, up to about `max_bytes` encoded, at least one; `None` when there is none.
    pub fn batch(&mut self, max_bytes: usize) -> Option<Encoded> {
        if self.exchanges.is_empty() {
            return None;
        }
        let mut random = [0u8; 16];
        // The kernel's generator does not fail once it is seeded, long before any agent runs.
        getrandom::fill(&mut random).ok()?;
        let mut exchanges = Vec::new();
        let mut targets: Vec<Arc<Identity>> = Vec::new();
        let mut bytes = 0;
        while let Some(Queued { exchange, identity }) =
            self.pop(|exchange| bytes == 0 || bytes + exchange.encoded_len() <= max_bytes)
        {
            bytes += exchange.encoded_len();
            let at = targets.iter().position(|t| Arc::ptr_eq(t, &identity)).unwrap_or_else(|| {
                targets.push(identity);
                targets.len() - 1
            });
            exchanges.push(exchange.into_field(at as u32));
        }
        let batch = Batch {
            id: Bytes::copy_from_slice(&random),
            node: self.node.clone(),
            agent_version: self.agent_version.clone(),
            targets: targets.iter().map(|t| t.as_ref().clone()).collect(),
            exchanges,
        };
        Some(Encoded {
            id: random.iter().map(|b| format!("{b:02x}")).collect(),
            exchanges: batch.exchanges.len() as u32,
            bytes: batch.encode_to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Exchange, ExchangeBatch, Request};

    fn exchange(body: usize) -> Packed {
        let request = Request { body: vec![7; body].into(), ..Request::default() };
        Packed::of(&Exchange { request: Some(request), ..Exchange::default() })
    }

    fn queue(max_bytes: usize) -> Queue {
        Queue::new(max_bytes, "n".into(), "v".into())
    }

    #[test]
    fn oldest_bodies_go_before_any_exchange() {
        let (mut queue, mut ledger) = (queue(2500), Ledger::default());
        for _ in 0..5 {
            queue.push(exchange(1000), Arc::default(), &mut ledger);
        }
        assert_eq!((queue.len(), ledger.bodies_stripped, ledger.dropped_total()), (5, 3, 0));
        let batch = queue.batch(1 << 20).unwrap();
        let batch = ExchangeBatch::decode(&batch.bytes[..]).unwrap();
        let bodies: Vec<usize> = batch.exchanges.iter().map(|e| e.request.as_ref().unwrap().body.len()).collect();
        assert_eq!(bodies, [0, 0, 0, 1000, 1000]);
        assert!(batch.exchanges[0].request.as_ref().unwrap().body_truncated);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn then_the_oldest_exchanges_go_on_the_ledger() {
        let (mut queue, mut ledger) = (queue(10), Ledger::default());
        for _ in 0..20 {
            queue.push(exchange(100), Arc::default(), &mut ledger);
        }
        assert!(queue.bytes() <= 10);
        assert_eq!(queue.len() as u64 + ledger.dropped_for(Drop::QueueFull), 20);
    }

    #[test]
    fn a_batch_ends_at_its_size_and_names_each_target_once() {
        let (mut queue, mut ledger) = (queue(1 << 20), Ledger::default());
        let (a, b) = (Arc::new(Identity { name: "a".into(), ..Identity::default() }), Arc::new(Identity::default()));
        for i in 0..4 {
            queue.push(exchange(1000), if i % 2 == 0 { a.clone() } else { b.clone() }, &mut ledger);
        }
        let batch = ExchangeBatch::decode(&queue.batch(3500).unwrap().bytes[..]).unwrap();
        assert_eq!((batch.exchanges.len(), batch.targets.len()), (3, 2));
        assert_eq!(batch.exchanges.iter().map(|e| e.target).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(queue.batch(3500).unwrap().exchanges, 1);
        assert!(queue.batch(3500).is_none());
    }
}
