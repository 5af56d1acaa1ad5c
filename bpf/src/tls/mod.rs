//! TLS seen from outside, with the secrets that its library told: records in, plaintext out.
mod direction;
mod erased;
mod hello;
mod keys;
mod messages;
pub mod secrets;
pub mod session;
pub mod suite;
mod suite_names;

#[cfg(test)]
mod conversation;
#[cfg(test)]
mod session_tests;
