//! The functions of libmodsecurity3's C API that are needed here, as declared in
//! `/usr/include/modsecurity/{modsecurity,rules_set,transaction}.h` (3.0.9).

use std::ffi::{c_char, c_int, c_uchar, c_void};

/// `modsecurity::ModSecurity`, opaque.
#[repr(C)]
pub struct ModSecurity {
    _private: [u8; 0],
}

/// `modsecurity::RulesSet`, opaque.
#[repr(C)]
pub struct RulesSet {
    _private: [u8; 0],
}

/// `modsecurity::Transaction`, opaque.
#[repr(C)]
pub struct Transaction {
    _private: [u8; 0],
}

/// `ModSecLogCb`: the transaction's log data, and a NUL-terminated line.
pub type LogCallback = unsafe extern "C" fn(*mut c_void, *const c_void);

#[link(name = "modsecurity")]
unsafe extern "C" {
    pub fn msc_init() -> *mut ModSecurity;
    pub fn msc_set_log_cb(engine: *mut ModSecurity, callback: LogCallback);

    pub fn msc_create_rules_set() -> *mut RulesSet;
    pub fn msc_rules_add_file(rules: *mut RulesSet, file: *const c_char, error: *mut *const c_char) -> c_int;
    pub fn msc_rules_cleanup(rules: *mut RulesSet) -> c_int;

    pub fn msc_new_transaction(
        engine: *mut ModSecurity,
        rules: *mut RulesSet,
        log_data: *mut c_void,
    ) -> *mut Transaction;
    pub fn msc_transaction_cleanup(transaction: *mut Transaction);
    pub fn msc_process_connection(
        transaction: *mut Transaction,
        client: *const c_char,
        client_port: c_int,
        server: *const c_char,
        server_port: c_int,
    ) -> c_int;
    pub fn msc_process_uri(
        transaction: *mut Transaction,
        uri: *const c_char,
        method: *const c_char,
        version: *const c_char,
    ) -> c_int;
    pub fn msc_add_n_request_header(
        transaction: *mut Transaction,
        name: *const c_uchar,
        name_length: usize,
        value: *const c_uchar,
        value_length: usize,
    ) -> c_int;
    pub fn msc_process_request_headers(transaction: *mut Transaction) -> c_int;
    pub fn msc_append_request_body(transaction: *mut Transaction, body: *const c_uchar, length: usize) -> c_int;
    pub fn msc_process_request_body(transaction: *mut Transaction) -> c_int;
    pub fn msc_add_n_response_header(
        transaction: *mut Transaction,
        name: *const c_uchar,
        name_length: usize,
        value: *const c_uchar,
        value_length: usize,
    ) -> c_int;
    pub fn msc_process_response_headers(transaction: *mut Transaction, status: c_int, protocol: *const c_char)
    -> c_int;
    pub fn msc_process_response_body(transaction: *mut Transaction) -> c_int;
    pub fn msc_process_logging(transaction: *mut Transaction) -> c_int;
}
