//! The embedded engine against OpenFGA's own cases, a real OpenFGA server, and random input.

mod api;
mod conformance;
mod differential;
mod dsl;
mod evaluation;
mod properties;
mod store;
mod support;
