//! Clocks of this machine.
use std::time::{SystemTime, UNIX_EPOCH};

/// CLOCK_MONOTONIC, nanoseconds: that of `bpf_ktime_get_ns`.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the result; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// CLOCK_REALTIME minus CLOCK_MONOTONIC, nanoseconds.
pub fn wall_offset_ns() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    u64::try_from(wall).unwrap_or(u64::MAX).saturating_sub(monotonic_ns())
}
