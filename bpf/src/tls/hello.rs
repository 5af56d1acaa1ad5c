//! What a ClientHello, a ServerHello and EncryptedExtensions say (RFC 8446 section 4, RFC 5246 section 7.4.1, RFC 6066
//! section 3, RFC 7301). Bodies are of handshake messages, whole; every length is checked, nothing is trusted.

/// A ServerHello with this random is a HelloRetryRequest (RFC 8446 section 4.1.3): SHA-256 of "HelloRetryRequest".
pub const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const PRE_SHARED_KEY: u16 = 41;
const EARLY_DATA: u16 = 42;
const SUPPORTED_VERSIONS: u16 = 43;

#[derive(Debug, PartialEq, Eq)]
pub struct ClientHello {
    pub random: [u8; 32],
    /// As sent; printable ASCII, at most 255 bytes. With Encrypted Client Hello, the outer one.
    pub server_name: Option<Box<str>>,
    pub early_data: bool,
}

impl ClientHello {
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut at = Reader(body);
        at.take(2)?; // legacy_version
        let random = at.random()?;
        at.short_vector()?; // session id
        at.vector()?; // cipher suites
        at.short_vector()?; // compression methods
        let mut hello = Self { random, server_name: None, early_data: false };
        at.extensions(|kind, mut body| {
            match kind {
                SERVER_NAME => hello.server_name = host_name(&mut body)?,
                EARLY_DATA => hello.early_data = true,
                _ => {}
            }
            Some(())
        })?;
        Some(hello)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct ServerHello {
    pub random: [u8; 32],
    /// The version negotiated: of `supported_versions` if it is there.
    pub version: u16,
    pub suite: u16,
    pub compression: u8,
    /// TLS 1.2. TLS 1.3 has it in EncryptedExtensions.
    pub alpn: Option<Box<[u8]>>,
    /// TLS 1.3: a session is resumed, or an external key used.
    pub pre_shared_key: bool,
}

impl ServerHello {
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut at = Reader(body);
        let version = at.number()?;
        let random = at.random()?;
        at.short_vector()?; // session id
        let suite = at.number()?;
        let compression = at.byte()?;
        let mut hello = Self { random, version, suite, compression, alpn: None, pre_shared_key: false };
        let mut selected = None;
        at.extensions(|kind, mut body| {
            match kind {
                SUPPORTED_VERSIONS => selected = Some(body.number()?),
                ALPN => hello.alpn = Some(protocol(&mut body)?),
                PRE_SHARED_KEY => hello.pre_shared_key = true,
                _ => {}
            }
            Some(())
        })?;
        // TLS 1.3 is said by the extension alone (RFC 8446 section 4.2.1).
        hello.version = selected.unwrap_or(hello.version.min(0x0303));
        Some(hello)
    }

    pub fn is_retry_request(&self) -> bool {
        self.random == HELLO_RETRY_REQUEST
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct EncryptedExtensions {
    pub alpn: Option<Box<[u8]>>,
    /// The server takes the client's 0-RTT data.
    pub early_data: bool,
}

impl EncryptedExtensions {
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut extensions = Self { alpn: None, early_data: false };
        Reader(body).extensions(|kind, mut body| {
            match kind {
                ALPN => extensions.alpn = Some(protocol(&mut body)?),
                EARLY_DATA => extensions.early_data = true,
                _ => {}
            }
            Some(())
        })?;
        Some(extensions)
    }
}

/// The host_name of a ServerNameList. `Some(None)`: none that a name could be.
fn host_name(body: &mut Reader) -> Option<Option<Box<str>>> {
    let mut list = Reader(body.vector()?);
    while !list.0.is_empty() {
        let kind = list.byte()?;
        let name = list.vector()?;
        if kind == 0 {
            let is_printable = name.iter().all(u8::is_ascii_graphic);
            let name = (is_printable && name.len() <= 255).then(|| std::str::from_utf8(name).ok()).flatten();
            return Some(name.map(Into::into));
        }
    }
    Some(None)
}

/// The one protocol that a server names.
fn protocol(body: &mut Reader) -> Option<Box<[u8]>> {
    Reader(body.vector()?).short_vector().map(Into::into)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        self.take(32)?.try_into().ok()
    }

    fn short_vector(&mut self) -> Option<&'a [u8]> {
        let len = self.byte()?;
        self.take(len.into())
    }

    fn vector(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(len.into())
    }

    /// Each extension up to the end of the message, which is also where they end. A hello of TLS 1.2 may have none.
    fn extensions(&mut self, mut each: impl FnMut(u16, Reader<'a>) -> Option<()>) -> Option<()> {
        if self.0.is_empty() {
            return Some(());
        }
        let mut list = Reader(self.vector()?);
        while !list.0.is_empty() {
            let kind = list.number()?;
            each(kind, Reader(list.vector()?))?;
        }
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u16).to_be_bytes()[..], body].concat()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector(body)].concat()
    }

    fn client_hello(extensions: &[Vec<u8>]) -> Vec<u8> {
        [&[3, 3][..], &[7; 32], &[0], &vector(&[0x13, 1]), &[1, 0], &vector(&extensions.concat())].concat()
    }

    fn server_hello(version: u16, suite: u16, extensions: &[Vec<u8>]) -> Vec<u8> {
        let version = version.to_be_bytes();
        [&version[..], &[9; 32], &[0], &suite.to_be_bytes(), &[0], &vector(&extensions.concat())].concat()
    }

    fn name(name: &[u8]) -> Vec<u8> {
        extension(SERVER_NAME, &vector(&[&[0], &vector(name)[..]].concat()))
    }

    #[test]
    fn a_client_hello_tells_its_random_server_name_and_early_data() {
        let hello = ClientHello::parse(&client_hello(&[name(b"a.example"), extension(EARLY_DATA, &[])])).unwrap();
        assert_eq!(hello, ClientHello { random: [7; 32], server_name: Some("a.example".into()), early_data: true });
    }

    #[test]
    fn a_server_name_that_is_no_name_is_none() {
        for odd in [&b"a\nb"[..], b"\xff", &[b'a'; 256]] {
            assert_eq!(ClientHello::parse(&client_hello(&[name(odd)])).unwrap().server_name, None);
        }
    }

    #[test]
    fn a_hello_without_extensions_is_one_and_bytes_behind_the_last_are_an_error() {
        let mut body = [&[3, 3][..], &[7; 32], &[0], &vector(&[0, 0x9c]), &[1, 0]].concat();
        assert!(ClientHello::parse(&body).is_some());
        body.extend_from_slice(&[0, 0]);
        assert!(ClientHello::parse(&body).is_some());
        body.push(0);
        assert!(ClientHello::parse(&body).is_none());
    }

    #[test]
    fn the_version_is_the_extensions_and_tls_13_is_said_by_it_alone() {
        let said = |legacy, extensions: &[Vec<u8>]| {
            ServerHello::parse(&server_hello(legacy, 0x1301, extensions)).map(|hello| hello.version)
        };
        assert_eq!(said(0x0303, &[extension(SUPPORTED_VERSIONS, &[3, 4])]), Some(0x0304));
        assert_eq!(said(0x0303, &[extension(SUPPORTED_VERSIONS, &[0x7f, 0x1c])]), Some(0x7f1c));
        assert_eq!(said(0x0304, &[]), Some(0x0303));
        assert_eq!(said(0x0301, &[]), Some(0x0301));
        assert_eq!(said(0x0303, &[extension(SUPPORTED_VERSIONS, &[3])]), None);
    }

    #[test]
    fn the_protocol_comes_with_the_server_hello_or_the_encrypted_extensions() {
        let alpn = extension(ALPN, &vector(b"\x02h2"));
        let hello = ServerHello::parse(&server_hello(0x0303, 0xc02f, std::slice::from_ref(&alpn))).unwrap();
        assert_eq!(hello.alpn.as_deref(), Some(&b"h2"[..]));
        let extensions = EncryptedExtensions::parse(&vector(&alpn)).unwrap();
        assert_eq!(extensions.alpn.as_deref(), Some(&b"h2"[..]));
    }

    proptest! {
        #[test]
        fn property_no_bytes_make_a_parser_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = ClientHello::parse(&body);
            let _ = ServerHello::parse(&body);
            let _ = EncryptedExtensions::parse(&body);
        }

        #[test]
        fn property_a_hello_that_is_cut_short_is_an_error(cut in 0usize..1000) {
            let whole = client_hello(&[name(b"a.example"), extension(EARLY_DATA, &[])]);
            let cut = cut % whole.len();
            // A hello may end before its extensions.
            prop_assume!(cut != 2 + 32 + 1 + 4 + 2);
            prop_assert!(ClientHello::parse(&whole[..cut]).is_none());
        }
    }
}
