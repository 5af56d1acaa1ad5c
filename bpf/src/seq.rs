//! TCP sequence numbers: 32 bits that wrap (RFC 9293 section 3.4).

/// How far `a` lies ahead of `b` in bytes; negative when it lies behind. Right for distances below 2 GiB.
pub fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::ahead;

    #[test]
    fn distances_survive_the_wrap() {
        assert_eq!(ahead(5, u32::MAX), 6);
        assert_eq!(ahead(u32::MAX, 5), -6);
        assert_eq!(ahead(7, 7), 0);
    }
}
