//! Handshake messages out of records: they may be spread over several, and several may share one (RFC 8446 section 5.1).
use crate::memory;

/// A hello with post-quantum key shares and many tickets is some kilobytes; the format allows no ClientHello much over this.
const MAX_KEPT_BYTES: usize = 64 << 10;

const HEADER_BYTES: usize = 4;

/// One message as it ends.
pub struct Message<'a> {
    pub kind: u8,
    /// Empty if nobody wanted to read this kind.
    pub body: &'a [u8],
    /// It ends with its record, as one before a change of keys must.
    pub ends_record: bool,
}

/// The message under way. Only kinds that are read are kept; of others, as long as 16 MiB, only bytes are counted.
#[derive(Default)]
pub struct Messages {
    /// The header, and the body if it is wanted.
    kept: Vec<u8>,
    /// Of the body, still to come.
    left: usize,
}

/// A message to be read is longer than any that is honest.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Messages {
    /// Records are missing: what follows may begin within a message.
    pub fn reset(&mut self) {
        self.kept.clear();
        self.left = 0;
    }

    /// On the heap.
    pub fn memory(&self) -> usize {
        self.kept.capacity()
    }

    /// Calls `each` with every message that ends in `bytes`; ends early with its error. `wanted`: kinds whose body is read.
    /// Costs a copy of what is wanted, and a step for each message.
    pub fn push<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        wanted: &[u8],
        mut each: impl FnMut(Message) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.kept.len() < HEADER_BYTES {
                let taken = bytes.len().min(HEADER_BYTES - self.kept.len());
                self.kept.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                let [_, a, b, c] = self.kept[..] else { break };
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
            }
            let kind = self.kept[0];
            let taken = self.left.min(bytes.len());
            if wanted.contains(&kind) {
                if self.left > MAX_KEPT_BYTES {
                    return Err(TooLong.into());
                }
                self.kept.extend_from_slice(&bytes[..taken]);
            }
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.left > 0 {
                break;
            }
            let ended = each(Message { kind, body: &self.kept[HEADER_BYTES..], ends_record: bytes.is_empty() });
            self.kept.clear();
            memory::give_back(&mut self.kept);
            ended?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn collect(records: &[&[u8]]) -> Vec<(u8, Vec<u8>, bool)> {
        let (mut messages, mut found) = (Messages::default(), Vec::new());
        for record in records {
            messages
                .push::<TooLong>(record, &[1, 2], |m| {
                    found.push((m.kind, m.body.to_vec(), m.ends_record));
                    Ok(())
                })
                .unwrap();
        }
        found
    }

    #[test]
    fn messages_share_records_and_spread_over_them() {
        let found = collect(&[&[1, 0, 0, 2, 7], &[8, 9, 0, 0, 1, 5, 2], &[0], &[0, 0]]);
        assert_eq!(found, [(1, vec![7, 8], false), (9, vec![], false), (2, vec![], true)]);
    }

    #[test]
    fn a_message_that_is_read_is_bounded_and_one_that_is_not_takes_no_memory() {
        let mut messages = Messages::default();
        assert_eq!(messages.push::<TooLong>(&[9, 255, 255, 255, 0], &[1], |_| Ok(())), Ok(()));
        assert_eq!(messages.kept.len(), HEADER_BYTES);
        messages.reset();
        assert_eq!(messages.push::<TooLong>(&[1, 255, 255, 255, 0], &[1], |_| Ok(())), Err(TooLong));
    }

    proptest! {
        #[test]
        fn property_however_messages_are_cut_they_come_out_the_same(
            bodies in prop::collection::vec((1u8..4, prop::collection::vec(any::<u8>(), 0..40)), 1..6),
            cuts in prop::collection::vec(1usize..30, 1..40),
        ) {
            let mut stream = Vec::new();
            for (kind, body) in &bodies {
                stream.extend_from_slice(&[*kind, 0, 0, body.len() as u8]);
                stream.extend_from_slice(body);
            }
            let (mut records, mut rest) = (Vec::new(), &stream[..]);
            for cut in cuts {
                let (record, after) = rest.split_at(cut.min(rest.len()));
                records.push(record);
                rest = after;
            }
            records.push(rest);
            let found: Vec<_> = collect(&records).into_iter().map(|(kind, body, _)| (kind, body)).collect();
            let sent: Vec<_> =
                bodies.into_iter().map(|(kind, body)| (kind, if kind == 3 { vec![] } else { body })).collect();
            prop_assert_eq!(found, sent);
        }
    }
}
