//! Which rule decides about a request.
//!
//! A [`Target`] is what rules look at: parsed once, and refused when it has more than one reading.
//! A [`RuleSet`] is a whole `access_rules.json`, validated and indexed; [`RuleSet::find`] answers for
//! a target. Rules only say what is asked of a request; they neither authenticate nor authorise.

mod build;
mod entry;
mod fault;
pub mod file;
mod host;
mod host_pattern;
mod index;
mod known_hosts;
mod load;
mod names;
mod object;
mod path;
mod pattern;
mod place;
mod rule;
mod set;
mod spot;
mod target;
mod tell;
mod upstream_role;
mod warning;
mod watch;

pub use fault::KINDS_OF_NAMES;
pub use file::{Consistency, EncodedSlashes, OnUnavailable};
pub use host::{HostError, check_authority};
pub use host_pattern::HostPattern;
pub use known_hosts::KnownHosts;
pub use names::{LimitName, Links, Names, TargetName};
pub use object::{BadObject, CheckTemplate, ObjectError, ObjectTemplate};
pub use path::{CanonicalPath, PathError, PathPolicy};
pub use pattern::{Params, Pattern, PatternError};
pub use place::Methods;
pub use rule::{Access, Requirements, Rule};
pub use set::{Found, Linked, RuleSet};
pub use target::{RawTarget, Target, TargetError};
pub use upstream_role::UpstreamRole;
pub use watch::{RuleFile, RuleFileError};
