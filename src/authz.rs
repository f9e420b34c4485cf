//! May this user do that? OpenFGA's answer, remembered for a while.
//!
//! A question goes through four rooms, each of which can end it: the decision cache, the flight of an
//! identical question, the circuit breaker and concurrency cap, and the server. Errors are never
//! remembered and never become a deny: "cannot decide" is an outage, not a policy.

pub mod cache;
pub mod client;
mod decide;
mod embedded;
mod fault;
pub mod model;
mod outage;
pub mod question;
mod settings;

pub use decide::{Decide, OpenFgaAddress};
pub use fault::CheckFault;
pub use question::{Check, ConsistencyPreference, Question};
pub use settings::AuthzSettings;

use std::sync::Arc;

use prometheus::IntCounter;
use tokio::sync::Semaphore;

use crate::breaker::Breaker;
use crate::clock::{Now, SharedClock};
use crate::flight::Flights;
use cache::{DecisionCache, Remembered};
use model::ModelWatch;
use outage::OutageLog;

/// Whom to ask.
#[derive(Clone)]
pub enum Decider {
    /// Somebody over the network, or a stand-in for him; answers are remembered.
    Remote(Arc<dyn Decide>),
    /// The engine in this process; answers are computed anew each time, which costs no more than
    /// remembering them.
    Embedded(Arc<fga_engine::Store>),
}

/// Where a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionSource {
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
    pub source: DecisionSource,
}

/// What the decider said, and of when that is.
#[derive(Debug, Clone, Copy)]
struct Answer {
    allowed: bool,
    /// Before the call: the answer may be as old as that.
    asked: Now,
}

/// Asks and remembers.
pub struct Authorizer {
    decider: Decider,
    model: Arc<ModelWatch>,
    cache: DecisionCache,
    flights: Arc<Flights<Check, Result<Answer, CheckFault>>>,
    permits: Arc<Semaphore>,
    breaker: Arc<Breaker>,
    clock: SharedClock,
    asked: IntCounter,
}

impl Authorizer {
    /// An authorizer that asks `decider` about the model that `model` pins; `asked` counts the checks
    /// that are sent.
    pub fn new(
        settings: &AuthzSettings,
        decider: Decider,
        model: Arc<ModelWatch>,
        clock: SharedClock,
        asked: IntCounter,
    ) -> Self {
        Self {
            decider,
            model,
            cache: DecisionCache::new(settings),
            flights: Arc::new(Flights::new()),
            permits: Arc::new(Semaphore::new(settings.max_concurrent)),
            breaker: Arc::new(Breaker::new()),
            clock,
            asked,
        }
    }

    /// Decides `question`; no I/O when the answer is remembered.
    pub async fn check(&self, question: &Question<'_>, now: Now) -> Result<Decision, CheckFault> {
        let remote = match &self.decider {
            Decider::Remote(remote) => remote,
            Decider::Embedded(store) => {
                let allowed = embedded::decide(store, question)
                    .inspect_err(|fault| self.outages().engine_failed(fault, question, now))?;
                return Ok(Decision { allowed, source: DecisionSource::Embedded });
            }
        };
        let Some(model) = self.model.current() else {
            // The request fails for lack of a model; what helps the operator is why there is none.
            let fault = self.model.fault();
            let fault = fault.as_deref().unwrap_or(&CheckFault::NoModel);
            self.outages().request_failed(fault, question, remote.address(), now);
            return Err(CheckFault::NoModel);
        };
        let found = self.cache.find(question, model.generation, now);
        if let Remembered::Fresh(allowed) = found
            && question.consistency == ConsistencyPreference::MinimizeLatency
        {
            return Ok(Decision { allowed, source: DecisionSource::Cache });
        }
        match self.ask(remote, question, &model, now).await {
            Ok(allowed) => {
                self.outages().answered(remote.address());
                Ok(Decision { allowed, source: DecisionSource::Fresh })
            }
            Err(fault) => {
                self.outages().request_failed(&fault, question, remote.address(), now);
                // A question that OpenFGA refuses is no outage, and who wants a recent answer does
                // not want an old one.
                let may_be_stale = !fault.is_about_the_question()
                    && question.consistency == ConsistencyPreference::MinimizeLatency;
                match found {
                    Remembered::StaleAllow if may_be_stale => {
                        Ok(Decision { allowed: true, source: DecisionSource::Stale })
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
        remote: &Arc<dyn Decide>,
        question: &Question<'_>,
        model: &Arc<model::Model>,
        now: Now,
    ) -> Result<bool, CheckFault> {
        let check = question.to_check(model.generation);
        let (remote, permits) = (Arc::clone(remote), Arc::clone(&self.permits));
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
            let answer = remote.decide(&flown, &pinned.id).await;
            note(&breaker, answer.as_ref().err(), clock.now());
            answer.map(|allowed| Answer { allowed, asked: now })
        };
        let answer = match question.consistency {
            ConsistencyPreference::MinimizeLatency => {
                self.flights.join(check.clone(), work).await.unwrap_or_else(|| {
                    Err(CheckFault::Unintelligible { cause: "the check was aborted".to_owned() })
                })
            }
            // A flight that has begun may answer from before this question was asked.
            ConsistencyPreference::HigherConsistency => work().await,
        };
        let Answer { allowed, asked } = answer?;
        self.cache.insert(check, allowed, asked);
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
