//! Request line, status line and header lines.
use bytes::Bytes;
use memchr::memchr;

use crate::wire::Header;

/// Why a head is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Not the grammar of RFC 9112.
    Malformed,
    /// Framing headers that two readers may read differently (RFC 9112 section 6.3).
    Ambiguous,
    /// Over `MAX_HEAD_BYTES`.
    TooLarge,
}

/// How the end of a message body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Until the connection closes; only responses.
    Close,
}

/// Length of the head at the start of `bytes` with its empty line, when it is all there.
/// A bare LF ends a line too (RFC 9112 section 2.2). `from`: bytes known not to end it.
pub fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(3);
    while let Some(found) = memchr(b'\n', &bytes[at..]) {
        let lf = at + found;
        match bytes.get(lf + 1..) {
            Some([b'\n', ..]) => return Some(lf + 2),
            Some([b'\r', b'\n', ..]) => return Some(lf + 3),
            _ => at = lf + 1,
        }
    }
    None
}

pub struct RequestLine {
    pub method: Bytes,
    pub target: Bytes,
    /// Minor version of HTTP/1.
    pub minor: u8,
}

/// `method SP target SP HTTP/1.x` (RFC 9112 section 3).
pub fn request_line(line: &Bytes) -> Result<RequestLine, HeadError> {
    let first = memchr(b' ', line).ok_or(HeadError::Malformed)?;
    let last = memchr::memrchr(b' ', line).ok_or(HeadError::Malformed)?;
    let minor = match &line[last + 1..] {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => return Err(HeadError::Malformed),
    };
    if first == 0 || last <= first + 1 || !line[..first].iter().all(|c| is_token(*c)) {
        return Err(HeadError::Malformed);
    }
    let target = line.slice(first + 1..last);
    if target.iter().any(|c| *c == b'\r' || *c == 0) {
        return Err(HeadError::Malformed);
    }
    Ok(RequestLine { method: line.slice(..first), target, minor })
}

/// `HTTP/1.x SP status [SP reason]` (RFC 9112 section 4): minor version and status.
pub fn status_line(line: &[u8]) -> Result<(u8, u16), HeadError> {
    let minor = match line.get(..9) {
        Some(b"HTTP/1.1 ") => 1,
        Some(b"HTTP/1.0 ") => 0,
        _ => return Err(HeadError::Malformed),
    };
    let digits = line.get(9..12).ok_or(HeadError::Malformed)?;
    if !digits.iter().all(u8::is_ascii_digit) || line.get(12).is_some_and(|c| *c != b' ') {
        return Err(HeadError::Malformed);
    }
    let status = digits.iter().fold(0u16, |n, d| n * 10 + u16::from(d - b'0'));
    if status < 100 { Err(HeadError::Malformed) } else { Ok((minor, status)) }
}

/// The first line of `head` and the rest behind its line end.
pub fn split_line(head: &Bytes) -> (Bytes, Bytes) {
    match memchr(b'\n', head) {
        Some(lf) => {
            let end = if lf > 0 && head[lf - 1] == b'\r' { lf - 1 } else { lf };
            (head.slice(..end), head.slice(lf + 1..))
        }
        None => (head.clone(), Bytes::new()),
    }
}

/// Header lines up to the empty one, as sent: order, case, duplicates, and folds within a value
/// (obs-fold, RFC 9112 section 5.2). A line without a colon becomes a name without a value.
pub fn headers(lines: &Bytes) -> Vec<Header> {
    let mut all: Vec<(usize, usize, usize, usize)> = Vec::with_capacity(16);
    let mut at = 0;
    while at < lines.len() {
        let lf = memchr(b'\n', &lines[at..]).map_or(lines.len(), |n| at + n);
        let end = if lf > at && lines[lf - 1] == b'\r' { lf - 1 } else { lf };
        if end == at {
            break;
        }
        let folded = lines[at] == b' ' || lines[at] == b'\t';
        match all.last_mut() {
            Some(last) if folded => last.3 = trim_end(lines, last.2, end),
            _ => {
                let (name_end, value) = match memchr(b':', &lines[at..end]) {
                    Some(colon) => (at + colon, at + colon + 1),
                    None => (end, end),
                };
                let start = (value..end).find(|i| !is_blank(lines[*i])).unwrap_or(end);
                all.push((at, name_end, start, trim_end(lines, start, end)));
            }
        }
        at = lf + 1;
    }
    all.into_iter()
        .map(|(name, name_end, value, value_end)| Header {
            name: lines.slice(name..name_end),
            value: lines.slice(value..value_end),
        })
        .collect()
}

fn trim_end(lines: &[u8], start: usize, end: usize) -> usize {
    (start..end).rev().find(|i| !is_blank(lines[*i])).map_or(start, |i| i + 1)
}

/// Without the optional white space around it (RFC 9110 section 5.6.3); other control characters stay.
fn trim_blanks(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|c| !is_blank(*c)).unwrap_or(value.len());
    let end = value.iter().rposition(|c| !is_blank(*c)).map_or(start, |i| i + 1);
    &value[start..end]
}

fn is_blank(c: u8) -> bool {
    c == b' ' || c == b'\t'
}

/// RFC 9110 section 5.6.2.
fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}

/// What the framing headers say, before status and method have their word.
struct Declared {
    length: Option<u64>,
    /// Transfer-Encoding: absent, ends with chunked, or something else.
    encoding: Option<bool>,
}

fn declared(headers: &[Header]) -> Result<Declared, HeadError> {
    let mut found = Declared { length: None, encoding: None };
    for header in headers {
        let name = header.name.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            // "5, 5" and twice "5" mean 5; anything else differs between readers.
            for part in header.value.split(|c| *c == b',') {
                let length = decimal(trim_blanks(part)).ok_or(HeadError::Ambiguous)?;
                if found.length.replace(length).is_some_and(|before| before != length) {
                    return Err(HeadError::Ambiguous);
                }
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = trim_blanks(header.value.rsplit(|c| *c == b',').next().unwrap_or_default());
            let chunked = last.eq_ignore_ascii_case(b"chunked");
            if found.encoding.replace(chunked) == Some(true) {
                return Err(HeadError::Ambiguous);
            }
        } else {
            continue;
        }
        if name.len() != header.name.len() {
            return Err(HeadError::Ambiguous);
        }
    }
    Ok(found)
}

/// RFC 9112 section 6.3 for a request. The server may refuse what is taken here; then it closes.
pub fn request_framing(headers: &[Header], minor: u8) -> Result<Framing, HeadError> {
    let found = declared(headers)?;
    match (found.encoding, found.length) {
        // With both, one server believes the one and another the other: request smuggling.
        (Some(true), None) if minor == 1 => Ok(Framing::Chunked),
        (Some(_), _) => Err(HeadError::Ambiguous),
        (None, Some(0) | None) => Ok(Framing::None),
        (None, Some(length)) => Ok(Framing::Length(length)),
    }
}

/// RFC 9112 section 6.3 for the response to a request of this method.
pub fn response_framing(headers: &[Header], status: u16, method: &[u8]) -> Result<Framing, HeadError> {
    if method == b"HEAD" || status < 200 || status == 204 || status == 304 {
        return Ok(Framing::None);
    }
    let found = declared(headers)?;
    Ok(match (found.encoding, found.length) {
        (Some(true), _) => Framing::Chunked,
        (Some(false), _) => Framing::Close,
        (None, Some(0)) => Framing::None,
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::Close,
    })
}

/// Digits only, at most 18 of them.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

/// A registered method at the start of a packet, as in kernel/plaintext.bpf.c.
pub fn begins_request(bytes: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] = [b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC"];
    METHODS.iter().any(|method| bytes.starts_with(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str) -> Vec<(String, String)> {
        headers(&Bytes::from_static(text.as_bytes()))
            .into_iter()
            .map(|h| (String::from_utf8_lossy(&h.name).into(), String::from_utf8_lossy(&h.value).into()))
            .collect()
    }

    fn row(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn headers_are_kept_in_order_with_case_and_duplicates() {
        assert_eq!(lines("A: 1\r\na:2 \r\nA:\r\n\r\n"), [row("A", "1"), row("a", "2"), row("A", "")]);
    }

    #[test]
    fn a_fold_stays_in_its_value_as_sent() {
        assert_eq!(lines("A: 1\r\n  2\r\nB: 3\r\n\r\n"), [row("A", "1\r\n  2"), row("B", "3")]);
    }

    #[test]
    fn a_line_without_a_colon_is_a_name_without_a_value() {
        assert_eq!(lines("odd line\r\nB: 3\r\n\r\n"), [row("odd line", ""), row("B", "3")]);
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_the_bytes_were_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let end = head.len() - 4;
        for cut in 0..end {
            assert_eq!(head_length(&head[..cut], 0), None);
            assert_eq!(head_length(head, cut), Some(end));
        }
    }

    #[test]
    fn framing_headers_that_can_be_read_two_ways_are_ambiguous() {
        for text in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length : 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: \x0cchunked\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        ] {
            let found = request_framing(&headers(&Bytes::from_static(text.as_bytes())), 1);
            assert_eq!(found, Err(HeadError::Ambiguous), "{text}");
        }
    }

    #[test]
    fn framing_follows_the_rfc() {
        let rows: [(&str, Framing); 4] = [
            ("", Framing::None),
            ("content-length: 5\r\n", Framing::Length(5)),
            ("Content-Length: 5, 5\r\n", Framing::Length(5)),
            ("Transfer-Encoding: gzip, Chunked\r\n", Framing::Chunked),
        ];
        for (text, expected) in rows {
            let found = request_framing(&headers(&Bytes::from_static(text.as_bytes())), 1);
            assert_eq!(found, Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_request_line_is_split_at_its_outer_spaces() {
        let line = request_line(&Bytes::from_static(b"M-SEARCH http://a/b?c HTTP/1.0")).unwrap_or_else(|_| panic!());
        assert_eq!((&line.method[..], &line.target[..], line.minor), (&b"M-SEARCH"[..], &b"http://a/b?c"[..], 0));
        for bad in ["GET /", "GET  HTTP/1.1", " / HTTP/1.1", "G(T / HTTP/1.1", "GET / HTTP/2.0", "GET /"] {
            assert!(request_line(&Bytes::copy_from_slice(bad.as_bytes())).is_err(), "{bad}");
        }
    }
}
