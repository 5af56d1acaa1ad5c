//! A finished exchange on its way out, encoded: as a structure it takes four times the memory.
use bytes::Bytes;
use prost::Message;

use crate::wire::Exchange;

/// What a packed exchange takes beside its bytes, with its place in a queue.
const PLACE_BYTES: usize = 80;
/// The field that is not known before the batch is.
const TARGET_BYTES: usize = 6;

/// The field alone. Encoded parts of a message, put together, are that message (protobuf, Encoding, "Last One Wins").
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct OfTarget {
    #[prost(uint32, tag = "1")]
    target: u32,
}

#[derive(Debug)]
pub struct Packed {
    bytes: Vec<u8>,
    has_body: bool,
}

impl Packed {
    /// `exchange.target` is to be 0: it is given in `into_field`.
    pub fn of(exchange: &Exchange) -> Self {
        let mut bytes = Vec::with_capacity(exchange.encoded_len() + TARGET_BYTES);
        exchange.encode_raw(&mut bytes);
        Self { bytes, has_body: exchange.request.as_ref().is_some_and(|request| !request.body.is_empty()) }
    }

    /// On the heap, with its place in a queue.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + PLACE_BYTES
    }

    /// At most, in a batch.
    pub fn encoded_len(&self) -> usize {
        self.bytes.len() + TARGET_BYTES
    }

    /// False: it had none.
    pub fn strip_body(&mut self) -> bool {
        if !std::mem::take(&mut self.has_body) {
            return false;
        }
        // What was encoded here is decoded here.
        let Ok(mut exchange) = Exchange::decode(&self.bytes[..]) else {
            return false;
        };
        if let Some(request) = exchange.request.as_mut() {
            request.body = Bytes::new();
            request.body_truncated = true;
        }
        *self = Self::of(&exchange);
        true
    }

    /// As a batch has it: of the target with this index.
    pub fn into_field(mut self, target: u32) -> Bytes {
        OfTarget { target }.encode_raw(&mut self.bytes);
        self.bytes.into()
    }

    #[cfg(test)]
    pub fn unpack(&self) -> Exchange {
        Exchange::decode(&self.bytes[..]).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    #[test]
    fn what_was_packed_is_read_again_with_its_target_and_without_its_body() {
        let body = Bytes::from_static(b"body");
        let request = Request { method: Bytes::from_static(b"PUT"), body, ..Request::default() };
        let exchange = Exchange { request: Some(request.clone()), sequence: 7, ..Exchange::default() };
        for target in [0, 1, u32::MAX] {
            let packed = Packed::of(&exchange);
            let most = packed.encoded_len();
            let field = packed.into_field(target);
            assert!(field.len() <= most);
            assert_eq!(Exchange::decode(field).unwrap(), Exchange { target, ..exchange.clone() });
        }
        let mut packed = Packed::of(&exchange);
        let before = packed.memory();
        assert!(packed.strip_body() && !packed.strip_body() && packed.memory() < before);
        let stripped = Request { body: Bytes::new(), body_truncated: true, ..request };
        assert_eq!(packed.unpack(), Exchange { request: Some(stripped), ..exchange });
    }
}
