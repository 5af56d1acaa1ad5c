//! What a user can do something about, with what to do.
use std::fmt::Display;

/// The `code` of the JavaScript error; see index.d.ts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NoBtf,
    NoCapability,
    NoCgroup2,
    KernelFeature,
    BadOption,
    NotFound,
    Closed,
    Internal,
}

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        match self {
            Self::NoBtf => "NO_BTF",
            Self::NoCapability => "NO_CAPABILITY",
            Self::NoCgroup2 => "NO_CGROUP2",
            Self::KernelFeature => "KERNEL_FEATURE",
            Self::BadOption => "BAD_OPTION",
            Self::NotFound => "NOT_FOUND",
            Self::Closed => "CLOSED",
            Self::Internal => "INTERNAL",
        }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CaptureError {
    pub code: Code,
    pub message: String,
}

impl CaptureError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn internal(context: &str, cause: impl Display) -> Self {
        Self::new(Code::Internal, format!("{context}: {cause}"))
    }

    pub fn closed() -> Self {
        Self::new(Code::Closed, "the capture is closed; make a new one")
    }
}
