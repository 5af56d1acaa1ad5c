//! The chunked coding (RFC 9112 section 7.1), fed in slices of any size.
use super::MAX_HEAD_BYTES;
use super::head::HeadError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    Data,
    DataEnd,
    Trailers,
}

/// One piece of what was fed.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Framing; nothing to keep.
    Framing(usize),
    Data(&'a [u8]),
    /// The body ended after this many bytes of framing.
    End(usize),
}

#[derive(Debug)]
pub struct Chunked {
    state: State,
    left: u64,
    digits: u8,
    extension: usize,
    /// Trailer lines as sent, with the empty line.
    trailers: Vec<u8>,
}

impl Chunked {
    pub fn new() -> Self {
        Self { state: State::Size, left: 0, digits: 0, extension: 0, trailers: Vec::new() }
    }

    /// On the heap.
    pub fn memory(&self) -> usize {
        self.trailers.capacity()
    }

    /// The next piece of `bytes`, which is not empty.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Piece<'a>, HeadError> {
        if self.state == State::Data {
            let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= n as u64;
            if self.left == 0 {
                self.state = State::DataEnd;
            }
            return Ok(Piece::Data(&bytes[..n]));
        }
        for (i, c) in bytes.iter().enumerate() {
            if self.step(*c)? {
                return Ok(Piece::End(i + 1));
            }
            if self.state == State::Data {
                return Ok(Piece::Framing(i + 1));
            }
        }
        Ok(Piece::Framing(bytes.len()))
    }

    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// So many bytes are to come at least: what is left of the present chunk.
    pub fn least_left(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// Passes over lost bytes; false when they may have held framing.
    pub fn skip(&mut self, len: u64) -> bool {
        if self.state != State::Data || len > self.left {
            return false;
        }
        self.left -= len;
        if self.left == 0 {
            self.state = State::DataEnd;
        }
        true
    }

    /// True: the body is over.
    fn step(&mut self, c: u8) -> Result<bool, HeadError> {
        match self.state {
            State::Size => match (c as char).to_digit(16) {
                Some(digit) if self.digits < 15 => {
                    self.left = self.left << 4 | u64::from(digit);
                    self.digits += 1;
                }
                None if self.digits > 0 && matches!(c, b'\r' | b'\n' | b';' | b' ' | b'\t') => {
                    self.state = State::Extension;
                    return self.step(c);
                }
                _ => return Err(HeadError::Malformed),
            },
            State::Extension => {
                self.extension += 1;
                if self.extension > MAX_HEAD_BYTES {
                    return Err(HeadError::TooLarge);
                }
                if c == b'\n' {
                    self.state = if self.left > 0 { State::Data } else { State::Trailers };
                    self.digits = 0;
                    self.extension = 0;
                }
            }
            State::DataEnd => match c {
                b'\r' => {}
                b'\n' => self.state = State::Size,
                _ => return Err(HeadError::Malformed),
            },
            State::Trailers => {
                self.trailers.push(c);
                if self.trailers.len() > MAX_HEAD_BYTES {
                    return Err(HeadError::TooLarge);
                }
                return Ok(c == b'\n' && ends_section(&self.trailers));
            }
            State::Data => {}
        }
        Ok(false)
    }
}

fn ends_section(lines: &[u8]) -> bool {
    lines == b"\n" || lines == b"\r\n" || lines.ends_with(b"\n\r\n") || lines.ends_with(b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, usize), HeadError> {
        let mut chunked = Chunked::new();
        let (mut body, mut eaten) = (Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                match chunked.next(rest)? {
                    Piece::Framing(n) => {
                        rest = &rest[n..];
                        eaten += n;
                    }
                    Piece::Data(data) => {
                        body.extend_from_slice(data);
                        rest = &rest[data.len()..];
                        eaten += data.len();
                    }
                    Piece::End(n) => return Ok((body, chunked.trailers().to_vec(), eaten + n)),
                }
            }
        }
        Ok((body, Vec::new(), usize::MAX))
    }

    #[test]
    fn bad_sizes_are_malformed() {
        for bad in ["\r\n", "g\r\n", "-1\r\n", "fffffffffffffffff\r\n", "1\r\nab"] {
            assert!(decode(&[bad.as_bytes()]).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_chunking_decodes_the_same(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(0usize..400, 0..8),
            trailer in any::<bool>(),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x};e=1\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            let trailers: &[u8] = if trailer { b"T: 1\r\n\r\n" } else { b"\r\n" };
            wire.extend_from_slice(b"0\r\n");
            wire.extend_from_slice(trailers);
            let end = wire.len();
            wire.extend_from_slice(b"next");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(wire.len())).collect();
            cuts.push(wire.len());
            cuts.sort_unstable();
            let mut from = 0;
            let pieces: Vec<&[u8]> = cuts.into_iter().map(|c| { let p = &wire[from..c]; from = c; p }).collect();
            prop_assert_eq!(decode(&pieces), Ok((chunks.concat(), trailers.to_vec(), end)));
        }
    }
}
