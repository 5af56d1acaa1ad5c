//! libmodsecurity3 as a Node addon. This file only translates; see `transaction` and `log_line`.

pub mod error;
mod ffi;
pub mod log_line;
pub mod rules;
mod seal;
pub mod transaction;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

#[napi(object)]
pub struct Header {
    pub name: Uint8Array,
    pub value: Uint8Array,
}

#[napi(object)]
pub struct Transaction {
    pub client_address: String,
    pub client_port: u16,
    pub server_address: String,
    pub server_port: u16,
    pub method: Uint8Array,
    pub target: Uint8Array,
    pub version: String,
    pub headers: Vec<Header>,
    pub body: Uint8Array,
    pub status: Option<u16>,
    pub response_headers: Vec<Header>,
}

/// Texts hold one character per byte (ISO 8859-1).
#[napi(object)]
pub struct Match {
    pub id: u32,
    pub message: String,
    pub data: String,
    pub severity: u8,
    pub tags: Vec<String>,
    pub variable: String,
}

#[napi]
pub struct Inspector(rules::Rules);

#[napi]
impl Inspector {
    #[napi(constructor)]
    pub fn new(files: Vec<String>) -> napi::Result<Self> {
        rules::Rules::load(&files).map(Self).map_err(to_napi)
    }

    #[napi]
    pub fn inspect(&self, transaction: Transaction) -> napi::Result<Vec<Match>> {
        let headers = borrow(&transaction.headers);
        let response_headers = borrow(&transaction.response_headers);
        let exchange = transaction::Exchange {
            client_address: &transaction.client_address,
            client_port: transaction.client_port,
            server_address: &transaction.server_address,
            server_port: transaction.server_port,
            method: &transaction.method,
            target: &transaction.target,
            version: &transaction.version,
            headers: &headers,
            body: &transaction.body,
            status: transaction.status,
            response_headers: &response_headers,
        };
        let matches = transaction::inspect(&self.0, &exchange).map_err(to_napi)?;
        Ok(matches.into_iter().map(Match::from).collect())
    }
}

impl From<log_line::Match> for Match {
    fn from(found: log_line::Match) -> Self {
        Self {
            id: found.id,
            message: latin1(&found.message),
            data: latin1(&found.data),
            severity: found.severity,
            tags: found.tags,
            variable: latin1(&found.variable),
        }
    }
}

fn borrow(headers: &[Header]) -> Vec<transaction::Header<'_>> {
    headers.iter().map(|header| (&header.name[..], &header.value[..])).collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn to_napi(error: error::Error) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}
