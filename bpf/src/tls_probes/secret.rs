//! One secret as a TLS library logged it: `struct secret` of kernel/secret.h.
use zeroize::Zeroizing;

use crate::tls::Logger;

pub const SECRET_VALUE: usize = 176;
pub const EXEC_VALUE: usize = 16;
const LABEL: usize = 32;
const RANDOM: usize = 32;
const SECRET: usize = 64;

/// Zeroised when it is dropped.
pub struct LoggedSecret {
    /// Cgroup id, as `Record::target`.
    pub target: u64,
    pub by: Logger,
    pub ktime_ns: u64,
    /// `CLIENT_RANDOM`, `SERVER_TRAFFIC_SECRET_0` …: the first word of a line of a key log file.
    pub label: String,
    /// None: the probed function does not know it.
    pub client_random: Option<[u8; RANDOM]>,
    /// 1 to 64 bytes.
    pub secret: Zeroizing<Box<[u8]>>,
}

/// What the kernel says besides.
pub struct Origin {
    pub label_at: u64,
}

/// An empty label: its page was not in memory. None: not the kernel's layout.
pub fn parse(value: &[u8; SECRET_VALUE]) -> Option<(LoggedSecret, Origin)> {
    let word = |at: usize| value[at..].first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    let (label_len, random_len, secret_len): (usize, usize, usize) =
        (value[45].into(), value[46].into(), value[47].into());
    if label_len >= LABEL || !matches!(random_len, 0 | RANDOM) || secret_len == 0 || secret_len > SECRET {
        return None;
    }
    let secret = LoggedSecret {
        target: word(0)?,
        ktime_ns: word(16)?,
        by: Logger { tgid: u32::from_ne_bytes(*value[40..].first_chunk()?), ip: word(24)? },
        label: str::from_utf8(&value[48..48 + label_len]).ok()?.to_owned(),
        client_random: if random_len == 0 { None } else { value[80..].first_chunk().copied() },
        secret: Zeroizing::new(value[112..112 + secret_len].into()),
    };
    Some((secret, Origin { label_at: word(32)? }))
}

/// A process of a target runs another program now: the target, the process.
pub fn parse_exec(value: &[u8; EXEC_VALUE]) -> Option<(u64, u32)> {
    Some((u64::from_ne_bytes(*value.first_chunk()?), u32::from_ne_bytes(*value[8..].first_chunk()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_the_kernel_never_writes_are_refused() {
        for (label, random, secret, right) in [
            (0, 0, 1, true),
            (31, 32, 64, true),
            (32, 32, 48, false),
            (5, 31, 48, false),
            (5, 32, 0, false),
            (5, 32, 65, false),
        ] {
            let mut value = [b'A'; SECRET_VALUE];
            (value[45], value[46], value[47]) = (label, random, secret);
            assert_eq!(parse(&value).is_some(), right, "{label} {random} {secret}");
        }
    }
}
