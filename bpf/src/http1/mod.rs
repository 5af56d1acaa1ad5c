//! HTTP/1.0 and 1.1 message syntax (RFC 9112): what was sent, as it was sent.
pub mod chunked;
pub mod head;
pub mod request;
pub mod response;
mod resume;

/// Longest head or trailer section in bytes; nginx takes 4 × 8 KiB, Node 16 KiB, haproxy 16 KiB by default.
pub const MAX_HEAD_BYTES: usize = 64 << 10;
