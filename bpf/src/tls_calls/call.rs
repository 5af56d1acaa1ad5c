//! One event of the kernel's ring: `struct call` of kernel/call.h and the plaintext behind it.
use crate::record::Tuple;

const HEADER_LEN: usize = 88;
/// `enum flow_class` of kernel/plaintext.bpf.c.
const TLS: u8 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server took these bytes of its client's.
    Read,
    /// The server sent them.
    Write,
    /// The library's handle was freed, or is used anew.
    End,
}

#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub flow_id: u64,
    /// As `Record::target`; of an `End` 0 when its connection is gone already.
    pub target: u64,
    /// CLOCK_MONOTONIC, nanoseconds: when the call returned.
    pub ktime_ns: u64,
    /// Of the library's handle to this connection.
    pub binding: u64,
    pub tuple: Tuple,
    pub kind: Kind,
    /// The kernel copies its packets, too: which of them is read is not told to it yet.
    pub of_packets: bool,
    /// Of this call since the handle was bound.
    pub sequence: u32,
    /// Of what was read or written; `payload` is its beginning.
    pub length: u64,
    pub payload: &'a [u8],
}

impl<'a> Call<'a> {
    /// `None` when the bytes are shorter than they say, or of no kind: the kernel side never does that.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_LEN)?;
        let u64_at = |at: usize| Some(u64::from_ne_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let u32_at = |at: usize| Some(u32::from_ne_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let u16_at = |at: usize| Some(u16::from_ne_bytes(header.get(at..at + 2)?.try_into().ok()?));
        let payload = rest.get(..u32_at(76)? as usize)?;
        let call = Self {
            flow_id: u64_at(0)?,
            target: u64_at(8)?,
            ktime_ns: u64_at(16)?,
            binding: u64_at(24)?,
            tuple: Tuple {
                remote: header[32..48].try_into().ok()?,
                local: header[48..64].try_into().ok()?,
                remote_port: u16_at(64)?,
                local_port: u16_at(66)?,
                family: header[68],
            },
            kind: match header[69] {
                0 => Kind::Read,
                1 => Kind::Write,
                2 => Kind::End,
                _ => return None,
            },
            of_packets: header[70] == TLS,
            sequence: u32_at(72)?,
            length: u64_at(80)?,
            payload,
        };
        (call.length >= payload.len() as u64).then_some(call)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_stand_where_the_kernel_writes_them() {
        let mut bytes = vec![0u8; HEADER_LEN];
        bytes[0..8].copy_from_slice(&7u64.to_ne_bytes());
        bytes[24..32].copy_from_slice(&5u64.to_ne_bytes());
        bytes[64..66].copy_from_slice(&4242u16.to_ne_bytes());
        bytes[68..71].copy_from_slice(&[6, 1, 6]);
        bytes[72..76].copy_from_slice(&9u32.to_ne_bytes());
        bytes[76..80].copy_from_slice(&3u32.to_ne_bytes());
        bytes[80..88].copy_from_slice(&1000u64.to_ne_bytes());
        bytes.extend_from_slice(b"abcdef");
        let call = Call::parse(&bytes).unwrap();
        assert_eq!((call.flow_id, call.binding, call.sequence, call.length), (7, 5, 9, 1000));
        assert_eq!((call.tuple.remote_port, call.tuple.family, call.kind), (4242, 6, Kind::Write));
        assert!(call.of_packets);
        assert_eq!(call.payload, b"abc");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(call) = Call::parse(&bytes) {
                prop_assert!(call.payload.len() as u64 <= call.length);
            }
        }
    }
}
