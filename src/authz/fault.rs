//! What may keep a question from being decided.

use std::time::Duration;

/// Why no decision could be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CheckFault {
    /// The store has no authorization model yet, or it could not be read.
    #[error("no authorization model is known for the store")]
    NoModel,
    /// No answer in time.
    #[error("no answer within the deadline")]
    Deadline,
    /// The connection could not be made or broke.
    #[error("connection failed: {cause}")]
    Unreachable {
        /// The innermost error.
        cause: String,
    },
    /// OpenFGA, or the engine in this process, answered with an error of its own.
    #[error("refused with {status} {code}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// OpenFGA's error code word.
        code: String,
        /// OpenFGA's explanation.
        message: String,
    },
    /// It wants to be left alone for a while.
    #[error("answered {status} and asked to be left alone for a while")]
    Busy {
        /// HTTP status.
        status: u16,
        /// How long.
        pause: Duration,
    },
    /// Something that is not an OpenFGA answered.
    #[error("the answer is not OpenFGA's: {cause}")]
    Unintelligible {
        /// What was wrong with it.
        cause: String,
    },
    /// Too many checks are in flight.
    #[error("too many checks are in flight")]
    Overloaded,
    /// Recent checks failed; the next probe is due within a second.
    #[error("recent checks failed, waiting before the next")]
    CircuitOpen,
}

impl CheckFault {
    /// Whether only this question cannot be answered (an unknown relation, say). Everything else is an
    /// outage: other answers speak of the server (429, 503) or of us (401, 404), and then of all questions.
    pub const fn is_about_the_question(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 422, .. })
    }

    /// Whether it only follows from faults that came before it.
    pub(super) const fn is_consequence(&self) -> bool {
        matches!(self, Self::Overloaded | Self::CircuitOpen)
    }
}
