//! A set of rules, loaded once, and the engine that runs them.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::ffi;
use crate::seal::Seal;
use crate::transaction;

/// Neither `msc_init` (it starts libxml2) nor the rules parser promises to stand two threads.
static SETUP: Mutex<()> = Mutex::new(());

/// Used by one thread at a time: it is neither `Send` nor `Sync`.
pub struct Rules {
    pub(crate) engine: NonNull<ffi::ModSecurity>,
    pub(crate) set: NonNull<ffi::RulesSet>,
    pub(crate) seal: Seal,
}

impl Rules {
    /// Loads the files in this order.
    pub fn load(files: &[String]) -> Result<Self, Error> {
        let _alone = SETUP.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: takes nothing; null is looked at.
        let engine = NonNull::new(unsafe { ffi::msc_init() }).ok_or(Error::OutOfMemory { what: "an engine" })?;
        // SAFETY: the engine is alive, and the callback stays for as long as the program.
        unsafe { ffi::msc_set_log_cb(engine.as_ptr(), transaction::on_log_line) };
        // SAFETY: takes nothing; null is looked at.
        let set =
            NonNull::new(unsafe { ffi::msc_create_rules_set() }).ok_or(Error::OutOfMemory { what: "a rules set" })?;
        let rules = Self { engine, set, seal: Seal::random() };
        for file in files {
            rules.add(file)?;
        }
        Ok(rules)
    }

    fn add(&self, file: &str) -> Result<(), Error> {
        let sealed = CString::new(self.seal.apply(file)?).map_err(|_| Error::BadPath { path: file.to_owned() })?;
        let mut error: *const c_char = ptr::null();
        // SAFETY: the set is alive, the path ends in NUL, and `error` is a place to write a pointer.
        if unsafe { ffi::msc_rules_add_file(self.set.as_ptr(), sealed.as_ptr(), &raw mut error) } >= 0 {
            return Ok(());
        }
        let message = if error.is_null() {
            "libmodsecurity does not say why".to_owned()
        } else {
            // SAFETY: not null, and the library writes a NUL-terminated string that it never frees.
            unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned()
        };
        Err(Error::BadRules { file: file.to_owned(), message: message.replace(self.seal.as_str(), "/") })
    }
}

impl Drop for Rules {
    // The engine stays: `msc_cleanup` ends libxml2 and curl for all threads of the process.
    fn drop(&mut self) {
        // SAFETY: made by `load`, given back once, and no transaction outlives a borrow of `self`.
        unsafe { ffi::msc_rules_cleanup(self.set.as_ptr()) };
    }
}
