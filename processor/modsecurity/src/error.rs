//! What can go wrong, in words that a person can act on.

use std::fmt;

#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// libmodsecurity returned a null pointer for `what`.
    OutOfMemory { what: &'static str },
    /// A path that holds a NUL byte, or has no folder.
    BadPath { path: String },
    /// libmodsecurity's own words about a rules file.
    BadRules { file: String, message: String },
    /// The inspected part holds what the C API cannot carry.
    BadTransaction { what: &'static str },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { what } => write!(f, "make {what}: libmodsecurity returned null"),
            Self::BadPath { path } => {
                write!(f, "load rules {path:?}: not the path of a file in a folder")
            }
            Self::BadRules { file, message } => write!(f, "load rules {file}: {message}"),
            Self::BadTransaction { what } => write!(f, "inspect: {what} holds a NUL byte"),
        }
    }
}

impl std::error::Error for Error {}
