//! The embedded engine against OpenFGA's own cases, a real OpenFGA server, and random input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "tests fail by panicking"
)]
#![allow(missing_docs, unreachable_pub, reason = "nothing here is a public API")]

mod api;
mod conformance;
mod differential;
mod dsl;
mod evaluation;
mod properties;
mod store;
mod support;
