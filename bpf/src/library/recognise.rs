//! Which TLS implementations are in a file, by the symbols it defines and the strings it holds.
//!
//! | implementation | what tells |
//! |---|---|
//! | OpenSSL | `SSL_read` and `OPENSSL_init_ssl` or `SSL_library_init` defined, or the path `ssl/ssl_lib.c` beside a key log label |
//! | BoringSSL | `bssl::` symbols, or the path `ssl/ssl_lib.cc` or `ssl/handshake_client.cc` beside a key log label |
//! | Go crypto/tls | `.go.buildinfo`, and `crypto/tls.(*Config).writeKeyLog` among the names of functions |
//! | GnuTLS, NSS, mbedTLS | `gnutls_record_recv`, `SSL_ImportFD`, `mbedtls_ssl_read` defined |
//! | rustls | paths `rustls-1.2.3/src/` that its panics name, beside a key log label |
//! | Java | `JNI_CreateJavaVM` or `JLI_Launch` defined |
use super::elf::Elf;
use super::go;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// A shared libssl.
    OpenSslShared,
    /// OpenSSL linked into an executable or another library.
    OpenSslInside,
    BoringSsl,
    Go,
    GnuTls,
    Rustls,
    Nss,
    MbedTls,
    /// A JVM: its TLS is Java code, compiled as it runs.
    Java,
}

impl Implementation {
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenSslShared | Self::OpenSslInside => "OpenSSL",
            Self::BoringSsl => "BoringSSL",
            Self::Go => "Go crypto/tls",
            Self::GnuTls => "GnuTLS",
            Self::Rustls => "rustls",
            Self::Nss => "NSS",
            Self::MbedTls => "Mbed TLS",
            Self::Java => "Java",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    pub implementation: Implementation,
    /// As the file says it: "OpenSSL 3.5.8 25 Aug 2026", "go1.26.8", "0.23.31". Of a shared OpenSSL 3 it stands in libcrypto
    /// only: see `openssl_version`. None: not said.
    pub version: Option<String>,
}

/// Names whose definition tells an implementation.
const NAMES: [&str; 11] = [
    "SSL_read",
    "OPENSSL_init_ssl",
    "SSL_library_init",
    "SSL_CTX_set_grease_enabled",
    "SSL_get_peer_full_cert_chain",
    "gnutls_record_recv",
    "SSL_ImportFD",
    "mbedtls_ssl_read",
    "JNI_CreateJavaVM",
    "JLI_Launch",
    "ssl_log_secret",
];

/// All that is in the file; more than one is possible (Go with a C library). Empty: none. A few passes over the file's
/// read-only parts, at the speed of memory.
pub fn recognise(elf: &Elf) -> Vec<Library> {
    let defined = elf.functions(&NAMES);
    let has = |name| defined.contains_key(name);
    let mut found = Vec::new();
    let mut add = |implementation, version| found.push(Library { implementation, version });
    if let Some(version) = go::version(elf).filter(|_| go::has(elf, go::WRITE_KEY_LOG)) {
        add(Implementation::Go, Some(version));
    }
    let labelled = elf.contains(b"CLIENT_HANDSHAKE_TRAFFIC_SECRET");
    let boring = has("SSL_CTX_set_grease_enabled")
        || has("SSL_get_peer_full_cert_chain")
        || (labelled && [&b"ssl/ssl_lib.cc\0"[..], b"ssl/handshake_client.cc\0"].iter().any(|path| elf.contains(path)));
    if boring {
        add(Implementation::BoringSsl, None);
    } else if (has("SSL_read") && (has("OPENSSL_init_ssl") || has("SSL_library_init")))
        || (labelled && elf.contains(b"ssl/ssl_lib.c\0"))
    {
        let shared = elf.soname().is_some_and(|name| name.starts_with("libssl"));
        let implementation = if shared { Implementation::OpenSslShared } else { Implementation::OpenSslInside };
        add(implementation, openssl_version(elf));
    }
    if has("gnutls_record_recv") {
        add(Implementation::GnuTls, None);
    }
    if has("SSL_ImportFD") {
        add(Implementation::Nss, version_after(elf, b"Version: NSS "));
    }
    if has("mbedtls_ssl_read") {
        add(Implementation::MbedTls, version_after(elf, b"mbed TLS "));
    }
    if labelled && let Some(version) = rustls_version(elf) {
        add(Implementation::Rustls, version);
    }
    if has("JNI_CreateJavaVM") || has("JLI_Launch") {
        add(Implementation::Java, None);
    }
    found
}

/// "OpenSSL 3.0.17 1 Jul 2025", from libcrypto, from libssl before 3.0, or from a program that has them inside.
pub fn openssl_version(elf: &Elf) -> Option<String> {
    elf.find(b"OpenSSL ", 256).into_iter().find_map(|address| {
        let text = text_at(elf, address)?;
        // A version, then a date that ends with its year: other texts begin with the word, too.
        let mut words = text.split_whitespace().skip(1);
        let number = words.next()?;
        let year = words.last()?;
        let dated = number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.') && year.len() == 4;
        (dated && year.bytes().all(|c| c.is_ascii_digit())).then(|| text.to_owned())
    })
}

/// The text up to its NUL, where it is short and plain.
fn text_at<'a>(elf: &Elf<'a>, address: u64) -> Option<&'a str> {
    let bytes = elf.bytes_at(address, 64);
    let end = bytes.iter().position(|c| *c == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    text.bytes().all(|c| (b' '..0x7f).contains(&c)).then_some(text)
}

fn version_after(elf: &Elf, prefix: &[u8]) -> Option<String> {
    let bytes = elf.find_bytes(prefix, prefix.len() + 24)?.get(prefix.len()..)?;
    number_at(bytes)
}

fn number_at(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|c| !c.is_ascii_digit() && *c != b'.').unwrap_or(bytes.len());
    let number = std::str::from_utf8(&bytes[..end]).ok()?.trim_end_matches('.');
    number.starts_with(|c: char| c.is_ascii_digit()).then(|| number.to_owned())
}

/// Outer None: no rustls; inner None: its paths carry no version.
fn rustls_version(elf: &Elf) -> Option<Option<String>> {
    let versions = elf.find(b"rustls-", 256).into_iter().filter_map(|address| {
        let bytes = elf.bytes_at(address, 40).get(7..)?;
        let version = number_at(bytes)?;
        bytes[version.len()..].starts_with(b"/src/").then_some(version)
    });
    let version = versions.into_iter().next();
    if version.is_some() { Some(version) } else { elf.contains(b"rustls/src/").then_some(None) }
}
