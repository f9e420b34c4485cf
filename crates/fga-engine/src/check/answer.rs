//! Verdicts, and how those of several operands make one.

use crate::error::EngineError;

/// A denial by a cycle is remembered, because whoever excludes or intersects must not
/// take it for a plain "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    Cycle,
}

/// A verdict and how long OpenFGA would take for it.
///
/// OpenFGA evaluates the operands of an intersection or an exclusion in parallel, and the
/// first "no" wins: a plain one, or one by a cycle. Below the subtracted side of an
/// exclusion that makes the difference between denying and allowing, so there the
/// operands race here as well, in units of [`cost`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub verdict: Verdict,
    time: u32,
}

impl Answer {
    pub(super) const fn new(verdict: Verdict, time: u32) -> Self {
        Self { verdict, time }
    }

    pub(super) const fn after(self, time: u32) -> Self {
        Self { verdict: self.verdict, time: self.time.saturating_add(time) }
    }

    /// The one of two that is known first; the left one if both are.
    fn earlier(self, other: Self) -> Self {
        if other.time < self.time { other } else { self }
    }
}

/// What the steps of a check cost in OpenFGA. Only which of two sums is smaller matters, and that follows
/// what OpenFGA waits for: its database at a read, a resolver for a question of its own at a dispatch,
/// nothing at a rewrite.
pub(super) mod cost {
    pub(crate) const REWRITE: u32 = 1;
    pub(crate) const DISPATCH: u32 = 5;
    pub(crate) const READ: u32 = 10;
}

/// Boxed, because every level of the recursion returns it.
pub(crate) type Outcome = Result<Answer, Box<EngineError>>;

/// Collects alternatives: one "yes" is enough, and only without one do errors and cycles
/// matter. A "no" is known when the last of them is.
#[derive(Default)]
pub(super) struct Union {
    allowed: bool,
    cycle: bool,
    time: u32,
    fault: Option<Box<EngineError>>,
}

impl Union {
    pub(super) fn is_allowed_by(&mut self, outcome: Outcome) -> bool {
        match outcome {
            Ok(Answer { verdict: Verdict::Allowed, time }) => {
                self.allowed = true;
                self.time = time;
            }
            Ok(Answer { verdict, time }) => {
                self.cycle |= verdict == Verdict::Cycle;
                self.wait(time);
            }
            Err(fault) => self.fault = Some(fault),
        }
        self.allowed
    }

    pub(super) fn wait(&mut self, time: u32) {
        self.time = self.time.max(time);
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self { allowed: true, time, .. } => Ok(Answer::new(Verdict::Allowed, time)),
            Self { fault: Some(fault), .. } => Err(fault),
            Self { cycle: true, time, .. } => Ok(Answer::new(Verdict::Cycle, time)),
            Self { time, .. } => Ok(Answer::new(Verdict::Denied, time)),
        }
    }
}

/// Collects demands: the earliest one that is not met decides, and only if all others are
/// met do errors matter.
#[derive(Default)]
pub(super) struct All {
    denied: Option<Answer>,
    time: u32,
    fault: Option<Box<EngineError>>,
}

impl All {
    /// Adds an operand whose verdict must be the demanded one; a cycle never is.
    pub(super) fn is_denied_by(&mut self, outcome: Outcome, demanded: Verdict) -> bool {
        match outcome {
            Ok(answer) if answer.verdict == demanded => self.time = self.time.max(answer.time),
            Ok(Answer { verdict, time }) => {
                let is_cycle = verdict == Verdict::Cycle;
                let verdict = if is_cycle { Verdict::Cycle } else { Verdict::Denied };
                let answer = Answer::new(verdict, time);
                self.denied = Some(self.denied.map_or(answer, |denied| denied.earlier(answer)));
            }
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
        }
        self.denied.is_some()
    }

    pub(super) fn outcome(self) -> Outcome {
        match (self.denied, self.fault) {
            (Some(denied), _) => Ok(denied),
            (None, Some(fault)) => Err(fault),
            (None, None) => Ok(Answer::new(Verdict::Allowed, self.time)),
        }
    }
}
