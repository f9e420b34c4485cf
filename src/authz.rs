//! May this user do that? OpenFGA's answer, remembered for a while.
//!
//! A question goes through four rooms, each of which can end it: the decision cache, the flight of an
//! identical question, the circuit breaker and concurrency cap, and the server. Errors are never
//! remembered and never become a deny: "cannot decide" is an outage, not a policy.

pub mod cache;
pub mod client;
mod embedded;
pub mod model;
mod outage;
pub mod question;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::IntCounter;
use tokio::sync::Semaphore;

use crate::breaker::Breaker;
use crate::clock::{Now, SharedClock};
use crate::flight::Flights;
use cache::{DecisionCache, Found};
use model::ModelWatch;
use outage::OutageLog;
pub use outage::Place;
pub use question::{Check, Consistency, Question};

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
    const fn is_consequence(&self) -> bool {
        matches!(self, Self::Overloaded | Self::CircuitOpen)
    }
}

/// Who decides: a server over the network, or an engine in process.
#[async_trait]
pub trait Decide: Send + Sync {
    /// Evaluates one check against the authorization model `model_id`.
    async fn decide(&self, check: &Check, model_id: &str) -> Result<bool, CheckFault>;

    /// Where it asks, when that is over the network.
    fn place(&self) -> Option<Place<'_>> {
        None
    }
}

/// Whom to ask.
#[derive(Clone)]
pub enum Authority {
    /// Somebody over the network, or a stand-in for him; answers are remembered.
    Remote(Arc<dyn Decide>),
    /// The engine in this process; answers are computed anew each time, which costs no more than
    /// remembering them.
    Embedded(Arc<fga_engine::Store>),
}

/// Where a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Remembered and still fresh.
    Cache,
    /// Asked for this request, or for an identical one at the same time.
    Fresh,
    /// Remembered, expired, served because nobody could decide anew.
    Stale,
    /// Computed by the engine in this process.
    Embedded,
    /// Nobody: nobody could decide, and the rule lets pass then.
    Nobody,
}

/// OpenFGA's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the relation holds.
    pub allowed: bool,
    /// Where the answer came from.
    pub source: Source,
}

/// How decisions are made and kept.
#[derive(Debug, Clone)]
pub struct AuthzSettings {
    /// Decisions kept at most.
    pub cache_entries: usize,
    /// How long an allow is believed.
    pub allow_ttl: Duration,
    /// How long a deny is believed.
    pub deny_ttl: Duration,
    /// How long past its time an allow may serve while nobody can decide.
    pub stale_if_error: Duration,
    /// Checks in flight at most.
    pub max_concurrent: usize,
}

/// What the decider said, and of when that is.
#[derive(Debug, Clone, Copy)]
struct Answer {
    allowed: bool,
    /// Before the call: the answer may be as old as that.
    asked: Now,
    /// The cache's epoch at that time.
    epoch: u64,
}

/// Asks and remembers.
pub struct Authorizer {
    authority: Authority,
    model: Arc<ModelWatch>,
    cache: DecisionCache,
    flights: Arc<Flights<Check, Result<Answer, CheckFault>>>,
    permits: Arc<Semaphore>,
    breaker: Arc<Breaker>,
    clock: SharedClock,
    asked: IntCounter,
}

impl Authorizer {
    /// An authorizer that asks `authority` about the model that `model` pins; `asked` counts the checks
    /// that are sent.
    pub fn new(
        settings: &AuthzSettings,
        authority: Authority,
        model: Arc<ModelWatch>,
        clock: SharedClock,
        asked: IntCounter,
    ) -> Self {
        Self {
            authority,
            model,
            cache: DecisionCache::new(settings),
            flights: Arc::new(Flights::new()),
            permits: Arc::new(Semaphore::new(settings.max_concurrent)),
            breaker: Arc::new(Breaker::new(5, Duration::from_secs(1))),
            clock,
            asked,
        }
    }

    /// Decides `question`; no I/O when the answer is remembered.
    pub async fn check(&self, question: &Question<'_>, now: Now) -> Result<Decision, CheckFault> {
        let decider = match &self.authority {
            Authority::Remote(decider) => decider,
            Authority::Embedded(store) => {
                let allowed = embedded::decide(store, question)
                    .inspect_err(|fault| self.outages().engine_failed(fault, question, now))?;
                return Ok(Decision { allowed, source: Source::Embedded });
            }
        };
        let Some(model) = self.model.current() else {
            // The request fails for lack of a model; what helps the operator is why there is none.
            let fault = self.model.fault();
            let fault = fault.as_deref().unwrap_or(&CheckFault::NoModel);
            self.outages().request_failed(fault, question, decider.place(), now);
            return Err(CheckFault::NoModel);
        };
        let found = self.cache.find(question, model.generation, now);
        if let Found::Fresh(allowed) = found
            && question.consistency == Consistency::MinimizeLatency
        {
            return Ok(Decision { allowed, source: Source::Cache });
        }
        match self.ask(decider, question, &model, now).await {
            Ok(allowed) => {
                self.outages().answered(decider.place());
                Ok(Decision { allowed, source: Source::Fresh })
            }
            Err(fault) => {
                self.outages().request_failed(&fault, question, decider.place(), now);
                // A question that OpenFGA refuses is no outage, and who wants a recent answer does
                // not want an old one.
                let may_be_stale = !fault.is_about_the_question()
                    && question.consistency == Consistency::MinimizeLatency;
                match found {
                    Found::StaleAllow if may_be_stale => {
                        Ok(Decision { allowed: true, source: Source::Stale })
                    }
                    _ => Err(fault),
                }
            }
        }
    }

    /// Forgets the decisions that cannot serve any more.
    pub async fn sweep(&self, now: Now) {
        self.cache.sweep(now).await;
    }

    /// Remembered decisions, expired ones included.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    async fn ask(
        &self,
        decider: &Arc<dyn Decide>,
        question: &Question<'_>,
        model: &Arc<model::Model>,
        now: Now,
    ) -> Result<bool, CheckFault> {
        let check = question.to_check(model.generation);
        let epoch = self.cache.epoch();
        let (decider, permits) = (Arc::clone(decider), Arc::clone(&self.permits));
        let (breaker, clock) = (Arc::clone(&self.breaker), Arc::clone(&self.clock));
        let (flown, pinned) = (check.clone(), Arc::clone(model));
        let asked = self.asked.clone();
        let work = move || async move {
            let Ok(_permit) = permits.try_acquire_owned() else {
                return Err(CheckFault::Overloaded);
            };
            if !breaker.admits(clock.now()) {
                return Err(CheckFault::CircuitOpen);
            }
            asked.inc();
            let answer = decider.decide(&flown, &pinned.id).await;
            note(&breaker, answer.as_ref().err(), clock.now());
            answer.map(|allowed| Answer { allowed, asked: now, epoch })
        };
        let answer = match question.consistency {
            Consistency::MinimizeLatency => {
                self.flights.join(check.clone(), work).await.unwrap_or_else(|| {
                    Err(CheckFault::Unintelligible { cause: "the check was aborted".to_owned() })
                })
            }
            // A flight that has begun may answer from before this question was asked.
            Consistency::HigherConsistency => work().await,
        };
        let Answer { allowed, asked, epoch } = answer?;
        self.cache.insert(check, allowed, asked, epoch);
        Ok(allowed)
    }

    fn outages(&self) -> &OutageLog {
        self.model.outages()
    }
}

/// Lets the breaker know how a check ended. A refusal of one question says nothing against the server;
/// a 429 is about all of ours, a 503 perhaps about one of several servers.
fn note(breaker: &Breaker, fault: Option<&CheckFault>, now: Now) {
    match fault {
        Some(CheckFault::Busy { status: 429, pause }) => breaker.hold(*pause, now),
        Some(CheckFault::Busy { pause, .. }) => breaker.fail(Some(*pause), now),
        _ => breaker.record(fault.is_none_or(CheckFault::is_about_the_question), now),
    }
}

#[cfg(test)]
mod tests;
