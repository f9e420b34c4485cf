#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

pub mod conformance;
pub mod http;
pub mod openfga;
pub mod random;
