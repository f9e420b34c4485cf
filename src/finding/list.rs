//! All findings of a run, few of each kind.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{Finding, Severity};

/// How often one kind of mistake is told.
const MAX_ALIKE: usize = 20;
/// Tried in this order until everything fits.
const FEWER: [usize; 5] = [MAX_ALIKE, 10, 5, 2, 1];
/// Bytes of the findings of a report; counts, heading and summary take what is left to 20,000.
const MAX_BYTES: usize = 17_000;

/// Findings in the order in which they were added. Of each kind the first are kept, and all are
/// counted: whoever has made one mistake ten thousand times learns no more from the last.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    counts: HashMap<(Severity, &'static str), usize>,
}

/// How many findings of a kind are not told one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// What they would prevent.
    pub severity: Severity,
    /// [`Finding::kind`].
    pub kind: &'static str,
    /// How many there are besides those that are told.
    pub count: usize,
}

impl Findings {
    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        self.add_with(finding.severity, finding.kind, || finding);
    }

    /// Adds one that is only made when it will be told: finding out where it stands, and which name is
    /// nearest, costs more than finding it.
    pub fn add_with(
        &mut self,
        severity: Severity,
        kind: &'static str,
        make: impl FnOnce() -> Finding,
    ) {
        let count = self.counts.entry((severity, kind)).or_default();
        *count += 1;
        if *count <= MAX_ALIKE {
            self.kept.push(make());
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        let mut counts = other.counts;
        for finding in other.kept {
            if let Some(left) = counts.get_mut(&(finding.severity, finding.kind)) {
                *left -= 1;
            }
            self.add(finding);
        }
        for (group, left) in counts {
            *self.counts.entry(group).or_default() += left;
        }
    }

    /// The same, where those without a file are in `file`.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        let file = file.display().to_string();
        for finding in &mut self.kept {
            finding.file.get_or_insert_with(|| file.clone());
        }
        self
    }

    /// The same, where nothing is refused because of them.
    #[must_use]
    pub fn into_warnings(self) -> Self {
        let kept = self.kept.into_iter();
        let kept = kept.map(|finding| Finding { severity: Severity::Warning, ..finding });
        let mut counts = HashMap::new();
        for ((_, kind), count) in self.counts {
            *counts.entry((Severity::Warning, kind)).or_default() += count;
        }
        Self { kept: kept.collect(), counts }
    }

    /// Those of other kinds.
    #[must_use]
    pub fn without(mut self, kinds: &[&str]) -> Self {
        self.kept.retain(|finding| !kinds.contains(&finding.kind));
        self.counts.retain(|(_, kind), _| !kinds.contains(kind));
        self
    }

    /// How many there are, those that are not told included.
    pub fn count(&self, severity: Severity) -> usize {
        self.counts.iter().filter(|((of, _), _)| *of == severity).map(|(_, count)| count).sum()
    }

    /// Whether a file is refused because of them.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Those that are kept, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.kept.iter()
    }

    /// As many as fit into a report where one takes `size` bytes, and what is omitted. Every kind is
    /// told before one is told twice.
    pub fn fitting(&self, size: impl Fn(&Finding) -> usize) -> (Vec<&Finding>, Vec<Omitted>) {
        let total = |few: &[&Finding]| few.iter().map(|finding| size(finding)).sum::<usize>();
        let mut told = Vec::new();
        for alike in FEWER {
            told = self.first_of_each(alike);
            if total(&told) <= MAX_BYTES {
                break;
            }
        }
        while total(&told) > MAX_BYTES {
            told.pop();
        }
        let omitted = self.omitted(&told);
        (told, omitted)
    }

    fn first_of_each(&self, alike: usize) -> Vec<&Finding> {
        let mut counts: HashMap<_, usize> = HashMap::new();
        let is_early = |finding: &&Finding| {
            let count = counts.entry((finding.severity, finding.kind)).or_default();
            *count += 1;
            *count <= alike
        };
        self.kept.iter().filter(is_early).collect()
    }

    fn omitted(&self, told: &[&Finding]) -> Vec<Omitted> {
        let mut left = self.counts.clone();
        for finding in told {
            if let Some(left) = left.get_mut(&(finding.severity, finding.kind)) {
                *left -= 1;
            }
        }
        let left = left.into_iter().filter(|(_, count)| *count > 0);
        let omitted = left.map(|((severity, kind), count)| Omitted { severity, kind, count });
        let mut omitted: Vec<_> = omitted.collect();
        omitted.sort_by_key(|of| (of.severity, of.kind));
        omitted
    }
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        Self::from_iter([finding])
    }
}

impl FromIterator<Finding> for Findings {
    fn from_iter<I: IntoIterator<Item = Finding>>(findings: I) -> Self {
        let mut all = Self::default();
        findings.into_iter().for_each(|finding| all.add(finding));
        all
    }
}

/// Errors and then warnings, a line for each; behind the last of a kind, how many more there are.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut told, mut omitted) = self.fitting(|finding| finding.to_string().len() + 1);
        told.sort_by_key(|finding| finding.severity);
        let mut lines = Vec::new();
        for (position, finding) in told.iter().enumerate() {
            lines.push(finding.to_string());
            let is_alike = |other: &&&Finding| {
                (other.severity, other.kind) == (finding.severity, finding.kind)
            };
            if told.iter().skip(position + 1).any(|other| is_alike(&other)) {
                continue;
            }
            omitted.retain(|of| {
                let is_same = (of.severity, of.kind) == (finding.severity, finding.kind);
                if is_same {
                    lines.push(format!("  and {} more of the same", Grouped(of.count)));
                }
                !is_same
            });
        }
        lines.extend(omitted.iter().map(|of| format!("and {} of {}", Grouped(of.count), of.kind)));
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Findings {}

/// A number that a human can read: 9,980.
pub struct Grouped(pub usize);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}
