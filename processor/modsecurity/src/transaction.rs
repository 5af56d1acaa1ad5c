//! One exchange, led through every phase.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::NonNull;

use crate::error::Error;
use crate::ffi;
use crate::log_line::{self, Match};
use crate::rules::Rules;

/// A hostile request can match one rule for each of its arguments; more lines than this tell nothing new.
const MAX_MATCHES: usize = 256;

pub type Header<'a> = (&'a [u8], &'a [u8]);

/// What was seen of one exchange. Bytes are as sent.
pub struct Exchange<'a> {
    /// IP addresses as text.
    pub client_address: &'a str,
    pub client_port: u16,
    pub server_address: &'a str,
    pub server_port: u16,
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// `1.1`, without `HTTP/`.
    pub version: &'a str,
    pub headers: &'a [Header<'a>],
    pub body: &'a [u8],
    /// None: no response was seen.
    pub status: Option<u16>,
    pub response_headers: &'a [Header<'a>],
}

/// The rules that matched, in order, at most 256. Takes about a millisecond and cannot be interrupted.
pub fn inspect(rules: &Rules, exchange: &Exchange<'_>) -> Result<Vec<Match>, Error> {
    let client = c_string(exchange.client_address, "the client address")?;
    let server = c_string(exchange.server_address, "the server address")?;
    let version = c_string(exchange.version, "the version")?;
    let (method, target) = (without_nul(exchange.method)?, without_nul(exchange.target)?);

    let mut log = Log { rules, matches: Vec::new() };
    let transaction = Transaction::new(rules, &mut log)?;
    let handle = transaction.0.as_ptr();
    // SAFETY: in this block `handle` is alive, strings end in NUL, and each (pointer, length) comes from one
    // slice. The library copies what it keeps.
    unsafe {
        let (client_port, server_port) = (c_int::from(exchange.client_port), c_int::from(exchange.server_port));
        ffi::msc_process_connection(handle, client.as_ptr(), client_port, server.as_ptr(), server_port);
        ffi::msc_process_uri(handle, target.as_ptr(), method.as_ptr(), version.as_ptr());
        for (name, value) in exchange.headers {
            ffi::msc_add_n_request_header(handle, name.as_ptr(), name.len(), value.as_ptr(), value.len());
        }
        ffi::msc_process_request_headers(handle);
        if !exchange.body.is_empty() {
            ffi::msc_append_request_body(handle, exchange.body.as_ptr(), exchange.body.len());
        }
        ffi::msc_process_request_body(handle);
        if let Some(status) = exchange.status {
            for (name, value) in exchange.response_headers {
                ffi::msc_add_n_response_header(handle, name.as_ptr(), name.len(), value.as_ptr(), value.len());
            }
            ffi::msc_process_response_headers(handle, c_int::from(status), c"HTTP/1.1".as_ptr());
            ffi::msc_process_response_body(handle);
        }
        ffi::msc_process_logging(handle);
    }
    drop(transaction);
    Ok(log.matches)
}

/// Where the log callback leaves what it was told.
struct Log<'a> {
    rules: &'a Rules,
    matches: Vec<Match>,
}

struct Transaction(NonNull<ffi::Transaction>);

impl Transaction {
    /// `log` must outlive the transaction and is written to while one of its phases runs.
    fn new(rules: &Rules, log: *mut Log<'_>) -> Result<Self, Error> {
        // SAFETY: engine and rules are alive; the log data is only handed back to `on_log_line`.
        let made = unsafe { ffi::msc_new_transaction(rules.engine.as_ptr(), rules.set.as_ptr(), log.cast()) };
        NonNull::new(made).map(Self).ok_or(Error::OutOfMemory { what: "a transaction" })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: made by `new`, given back once.
        unsafe { ffi::msc_transaction_cleanup(self.0.as_ptr()) };
    }
}

/// Called by the library, on the thread that runs a phase, for each rule that matched and logs.
pub(crate) unsafe extern "C" fn on_log_line(data: *mut c_void, line: *const c_void) {
    if data.is_null() || line.is_null() {
        return;
    }
    // SAFETY: `data` is the `Log` that `inspect` gave to this transaction, and `inspect` does not touch it
    // while a phase runs.
    let log = unsafe { &mut *data.cast::<Log<'_>>() };
    if log.matches.len() >= MAX_MATCHES {
        return;
    }
    // SAFETY: the library hands over a NUL-terminated string that lives as long as this call.
    let text = unsafe { CStr::from_ptr(line.cast()) };
    log.matches.extend(log_line::parse(text.to_bytes(), &log.rules.seal));
}

fn c_string(text: &str, what: &'static str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::BadTransaction { what })
}

/// A NUL would hide what follows from the C API; `%00` means the same to every rule.
fn without_nul(bytes: &[u8]) -> Result<CString, Error> {
    let bytes: Cow<'_, [u8]> = if bytes.contains(&0) {
        Cow::Owned(bytes.split(|&byte| byte == 0).collect::<Vec<_>>().join(&b"%00"[..]))
    } else {
        Cow::Borrowed(bytes)
    };
    CString::new(bytes).map_err(|_| Error::BadTransaction { what: "the request line" })
}
