//! One record of the kernel ring: `struct record` of kernel/record.h and the payload behind it.

pub const OUT: u16 = 1 << 0;
pub const FIN: u16 = 1 << 1;
pub const RST: u16 = 1 << 2;
pub const HEAD: u16 = 1 << 3;
pub const RAW: u16 = 1 << 4;
pub const JOINED: u16 = 1 << 5;
pub const PACKET: u16 = 1 << 6;
pub const RESYNC: u16 = 1 << 7;
pub const URGENT: u16 = 1 << 8;
pub const TLS: u16 = 1 << 9;

/// Bytes before the payload.
pub const HEADER_LEN: usize = 96;

/// The client's side first; `local` is the mirrored server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    pub remote: [u8; 16],
    pub local: [u8; 16],
    pub remote_port: u16,
    pub local_port: u16,
    /// 4 or 6; of an IPv4 address only the first four bytes count.
    pub family: u8,
}

impl Tuple {
    pub fn remote_bytes(&self) -> &[u8] {
        &self.remote[..self.address_len()]
    }

    pub fn local_bytes(&self) -> &[u8] {
        &self.local[..self.address_len()]
    }

    fn address_len(&self) -> usize {
        if self.family == 4 { 4 } else { 16 }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub flow_id: u64,
    /// CLOCK_MONOTONIC, nanoseconds; out: when TCP sends it, which with pacing may be later than now.
    pub ktime_ns: u64,
    /// Cgroup id of the selected cgroup.
    pub target: u64,
    pub tuple: Tuple,
    pub flags: u16,
    pub seq: u32,
    pub ack: u32,
    /// Out: `[base, seq)` was left out on purpose.
    pub base: u32,
    pub in_isn: u32,
    pub out_isn: u32,
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// `None` when the bytes are shorter than they say: the kernel side never does that.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_LEN)?;
        let u64_at = |at: usize| Some(u64::from_ne_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let u32_at = |at: usize| Some(u32::from_ne_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let u16_at = |at: usize| Some(u16::from_ne_bytes(header.get(at..at + 2)?.try_into().ok()?));
        let len = u32_at(76)? as usize;
        Some(Self {
            flow_id: u64_at(0)?,
            ktime_ns: u64_at(8)?,
            target: u64_at(16)?,
            tuple: Tuple {
                remote: header[24..40].try_into().ok()?,
                local: header[40..56].try_into().ok()?,
                remote_port: u16_at(56)?,
                local_port: u16_at(58)?,
                family: header[60],
            },
            flags: u16_at(62)?,
            seq: u32_at(64)?,
            ack: u32_at(68)?,
            base: u32_at(72)?,
            in_isn: u32_at(80)?,
            out_isn: u32_at(84)?,
            payload: rest.get(..len)?,
        })
    }

    /// With `TLS`, which has no `in_isn`: records that began before `seq`.
    pub fn records_before(&self) -> u32 {
        self.in_isn
    }

    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_kernel_writes_them() {
        let mut bytes = vec![0u8; HEADER_LEN];
        bytes[0..8].copy_from_slice(&7u64.to_ne_bytes());
        bytes[56..58].copy_from_slice(&4242u16.to_ne_bytes());
        bytes[60] = 4;
        bytes[62..64].copy_from_slice(&(OUT | HEAD).to_ne_bytes());
        bytes[64..68].copy_from_slice(&9u32.to_ne_bytes());
        bytes[76..80].copy_from_slice(&3u32.to_ne_bytes());
        bytes.extend_from_slice(b"abcdef");
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.flow_id, record.seq, record.tuple.remote_port), (7, 9, 4242));
        assert!(record.has(OUT) && record.has(HEAD) && !record.has(FIN));
        assert_eq!(record.payload, b"abc");
    }

    #[test]
    fn a_record_shorter_than_it_says_is_refused() {
        let mut bytes = vec![0u8; HEADER_LEN + 2];
        bytes[76..80].copy_from_slice(&3u32.to_ne_bytes());
        assert!(Record::parse(&bytes).is_none());
        assert!(Record::parse(&bytes[..50]).is_none());
    }
}
