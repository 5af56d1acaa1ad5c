//! What TLS implementation an ELF file carries, and where to put uprobes in it. Pure: bytes in, places or a refusal in words
//! out. The files are whatever somebody runs in a container, so every walk over them is bounded and none trusts a length.
//!
//! `elf` is the view of the file; `recognise` names the library; `keylog` finds the one function to which it hands its
//! secrets; `calls` finds the read and write functions, for where there is no such place. `trace` follows registers through
//! machine code and `go` reads Go's own tables.
pub mod calls;
pub mod elf;
mod go;
pub mod keylog;
pub mod recognise;
#[cfg(test)]
mod tests;
mod trace;

/// Why there is no place for a probe, in words for the coverage report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("not an ELF file that can be read: {0}")]
    NotElf(&'static str),
    #[error(
        "built for {0}: probe places are decoded from x86-64 code only; another processor needs a decoder of its own, its \
         argument registers, and the list of instructions that its kernel emulates"
    )]
    Processor(String),
    #[error("no TLS library that hands its secrets to a key log function was found in it")]
    NoLibrary,
    #[error("{library} is in it, and where {library} hands out its secrets is not known: {why}")]
    Unsupported { library: String, why: &'static str },
    #[error("the function that logs secrets is not certain: {0}")]
    Weak(String),
    #[error("the function that logs secrets is ambiguous: {0}")]
    Disagree(String),
    #[error("Go's function table: {0}")]
    Go(String),
    #[error("no symbol {0}")]
    NoSymbol(&'static str),
}

/// What the kernel does with the probed instruction. Emulating takes about 1.5 µs a hit, single-stepping about 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    Emulated,
    Stepped,
}
