//! Bytes of one direction of a TLS connection, in order, as far as they are not a whole record yet.
/// RFC 8446 section 5.1
pub const HEADER_BYTES: usize = 5;
/// RFC 5246 section 6.2.3; TLS 1.3 allows less.
use crate::memory;

const MAX_FRAGMENT_BYTES: usize = (1 << 14) + 2048;

/// What stands at the place where a record is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole record of so many bytes, its header included.
    Whole(usize),
    /// The beginning of one that will have so many, once its header is there.
    Part(Option<usize>),
    /// Something else.
    Other,
}

/// The longest record that `next` takes for one.
pub const MAX_RECORD_BYTES: usize = HEADER_BYTES + MAX_FRAGMENT_BYTES;

#[derive(Debug)]
pub struct Records {
    /// Where the first byte of `bytes[taken..]` stands in the TCP stream.
    at: u32,
    bytes: Vec<u8>,
    taken: usize,
}

impl Records {
    pub fn new(at: u32) -> Self {
        Self { at, bytes: Vec::new(), taken: 0 }
    }

    pub fn at(&self) -> u32 {
        self.at
    }

    /// Where the next byte is expected.
    pub fn end(&self) -> u32 {
        self.at.wrapping_add(self.len() as u32)
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Goes on behind the first `len` bytes.
    pub fn take(&mut self, len: usize) {
        let len = len.min(self.len());
        self.taken += len;
        self.at = self.at.wrapping_add(len as u32);
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
            memory::give_back(&mut self.bytes);
        }
    }

    /// On the heap.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets what is there and goes on at `at`; says how much that was.
    pub fn restart(&mut self, at: u32) -> usize {
        let dropped = self.len();
        self.bytes = Vec::new();
        self.taken = 0;
        self.at = at;
        dropped
    }

    pub fn next(&self) -> Next {
        next(self.bytes())
    }

    /// Exchanges `other` for the bytes from `place` on, as far as there are any.
    pub fn swap(&mut self, place: usize, other: &mut [u8]) {
        if let Some(own) = self.bytes.get_mut(self.taken + place..) {
            let len = own.len().min(other.len());
            own[..len].swap_with_slice(&mut other[..len]);
        }
    }
}

/// What `bytes` begin with.
pub fn next(bytes: &[u8]) -> Next {
    // change_cipher_spec (20) to heartbeat (24); the first byte of all versions is 3.
    match bytes {
        [kind, ..] if !(20..=24).contains(kind) => Next::Other,
        [_, major, ..] if *major != 3 => Next::Other,
        [_, _, _, high, low, rest @ ..] => {
            let fragment = usize::from(u16::from_be_bytes([*high, *low]));
            if fragment > MAX_FRAGMENT_BYTES {
                Next::Other
            } else if rest.len() < fragment {
                Next::Part(Some(HEADER_BYTES + fragment))
            } else {
                Next::Whole(HEADER_BYTES + fragment)
            }
        }
        _ => Next::Part(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_whole_part_or_none() {
        for (bytes, expected) in [
            (&b""[..], Next::Part(None)),
            (&[22, 3, 1, 0], Next::Part(None)),
            (&[22, 3, 1, 0, 2, 7], Next::Part(Some(7))),
            (&[22, 3, 1, 0, 2, 7, 7, 7], Next::Whole(7)),
            (&[21, 3, 3, 0, 0], Next::Whole(5)),
            (b"GET /", Next::Other),
            (&[23, 2], Next::Other),
            (&[23, 3, 3, 0xff, 0], Next::Other),
        ] {
            assert_eq!(next(bytes), expected, "{bytes:?}");
        }
    }
}
