use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::clock::{Clock, ManualClock};

mod outage;

/// Answers from a script, and counts.
struct Scripted {
    answers: Mutex<Vec<Result<bool, CheckFault>>>,
    asked: AtomicU64,
}

#[async_trait]
impl Decide for Scripted {
    async fn decide(&self, _check: &Check, model_id: &str) -> Result<bool, CheckFault> {
        assert!(model_id.starts_with("MODEL"));
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    decider: Arc<Scripted>,
    model: Arc<ModelWatch>,
    authorizer: Authorizer,
    sent: IntCounter,
}

fn bench(stale_if_error: u64, answers: Vec<Result<bool, CheckFault>>) -> Bench {
    let bench = bench_without_model(stale_if_error, answers);
    bench.model.pin(&json!({"id": "MODEL1", "type_definitions": []})).unwrap();
    bench
}

fn bench_without_model(stale_if_error: u64, answers: Vec<Result<bool, CheckFault>>) -> Bench {
    let clock = Arc::new(ManualClock::starting_at(1_000));
    let decider = Arc::new(Scripted { answers: Mutex::new(answers), asked: AtomicU64::new(0) });
    let model = Arc::new(ModelWatch::default());
    let settings = AuthzSettings {
        cache_entries: 100,
        allow_ttl: Duration::from_secs(10),
        deny_ttl: Duration::from_secs(1),
        stale_if_error: Duration::from_secs(stale_if_error),
        max_concurrent: 8,
    };
    let (d, c): (Arc<dyn Decide>, SharedClock) = (decider.clone(), clock.clone());
    let sent = IntCounter::new("checks", "Sent.").unwrap();
    let (remote, watch) = (Decider::Remote(d), Arc::clone(&model));
    let authorizer = Authorizer::new(&settings, remote, watch, c, sent.clone());
    Bench { clock, decider, model, authorizer, sent }
}

impl Bench {
    async fn ask(&self, consistency: ConsistencyPreference) -> Result<Decision, CheckFault> {
        let question = Question {
            user: "user:ann",
            relation: "viewer",
            object: "feature:reports",
            rule: "reports",
            consistency,
        };
        self.authorizer.check(&question, self.clock.now()).await
    }

    async fn source(&self) -> DecisionSource {
        self.ask(ConsistencyPreference::MinimizeLatency).await.unwrap().source
    }

    fn asked(&self) -> u64 {
        self.decider.asked.load(Ordering::SeqCst)
    }
}

fn down() -> CheckFault {
    CheckFault::Unreachable { cause: "connection refused".to_owned() }
}

fn refused(status: u16) -> CheckFault {
    CheckFault::Refused { status, code: "some_error".into(), message: "for a reason".into() }
}

#[tokio::test]
async fn an_allow_is_believed_ten_seconds_and_a_deny_one() {
    let bench = bench(0, vec![Ok(true), Ok(false)]);
    assert_eq!(bench.source().await, DecisionSource::Fresh);
    bench.clock.advance(Duration::from_millis(9_999));
    assert_eq!(bench.source().await, DecisionSource::Cache);
    bench.clock.advance(Duration::from_millis(1));
    assert!(!bench.ask(ConsistencyPreference::MinimizeLatency).await.unwrap().allowed);
    bench.clock.advance(Duration::from_millis(999));
    assert_eq!(bench.source().await, DecisionSource::Cache);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.source().await, DecisionSource::Fresh);
    assert_eq!(bench.asked(), 3);
}

#[tokio::test]
async fn an_error_is_neither_remembered_nor_a_deny() {
    let bench = bench(0, vec![Err(down()), Ok(true)]);
    assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    assert_eq!(bench.source().await, DecisionSource::Fresh);
}

#[tokio::test]
async fn an_expired_allow_serves_an_outage_only_within_its_bound() {
    let bench = bench(5, vec![Ok(true), Err(down())]);
    bench.source().await;
    bench.clock.advance(Duration::from_secs(14));
    assert_eq!(bench.source().await, DecisionSource::Stale);
    bench.clock.advance(Duration::from_secs(1));
    assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
}

#[tokio::test]
async fn an_expired_allow_serves_neither_a_refused_question_nor_who_wants_a_recent_answer() {
    for (fault, consistency) in [
        (refused(400), ConsistencyPreference::MinimizeLatency),
        (refused(422), ConsistencyPreference::MinimizeLatency),
        (refused(401), ConsistencyPreference::HigherConsistency),
        (down(), ConsistencyPreference::HigherConsistency),
    ] {
        let bench = bench(60, vec![Ok(true), Err(fault)]);
        bench.source().await;
        bench.clock.advance(Duration::from_secs(14));
        assert!(bench.ask(consistency).await.is_err(), "{consistency:?}");
    }
}

/// Answers when it is told to.
struct Held {
    asked: AtomicU64,
    release: Semaphore,
}

#[async_trait]
impl Decide for Held {
    async fn decide(&self, _check: &Check, _model_id: &str) -> Result<bool, CheckFault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.release.acquire().await.unwrap().forget();
        Ok(true)
    }
}

#[tokio::test]
async fn identical_questions_fly_together_unless_a_recent_answer_is_wanted() {
    for (consistency, flights) in
        [(ConsistencyPreference::MinimizeLatency, 1), (ConsistencyPreference::HigherConsistency, 3)]
    {
        let bench = bench(0, vec![Ok(true)]);
        let held = Arc::new(Held { asked: AtomicU64::new(0), release: Semaphore::new(0) });
        let bench = Bench {
            authorizer: Authorizer { decider: Decider::Remote(held.clone()), ..bench.authorizer },
            ..bench
        };
        let together = async {
            let ask = || bench.ask(consistency);
            tokio::join!(ask(), ask(), ask())
        };
        let release = async {
            while held.asked.load(Ordering::SeqCst) < flights {
                tokio::task::yield_now().await;
            }
            held.release.add_permits(3);
        };
        let ((a, b, c), ()) = tokio::join!(together, release);
        assert!([a, b, c].into_iter().all(|answer| answer.unwrap().allowed));
        assert_eq!(held.asked.load(Ordering::SeqCst), flights, "{consistency:?}");
        assert_eq!(bench.sent.get(), flights, "{consistency:?}: counted as sent");
    }
}

#[tokio::test]
async fn a_deny_never_serves_an_outage() {
    let bench = bench(60, vec![Ok(false), Err(down())]);
    assert!(!bench.ask(ConsistencyPreference::MinimizeLatency).await.unwrap().allowed);
    bench.clock.advance(Duration::from_secs(2));
    assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
}

#[tokio::test]
async fn higher_consistency_asks_although_an_answer_is_remembered() {
    let bench = bench(0, vec![Ok(true), Ok(false)]);
    bench.source().await;
    assert!(!bench.ask(ConsistencyPreference::HigherConsistency).await.unwrap().allowed);
    assert!(
        !bench.ask(ConsistencyPreference::MinimizeLatency).await.unwrap().allowed,
        "the newer answer"
    );
}

#[tokio::test]
async fn an_answer_to_an_older_question_takes_no_newer_one_s_place() {
    let cache = |deny_ttl| {
        DecisionCache::new(&AuthzSettings {
            cache_entries: 100,
            allow_ttl: Duration::from_secs(10),
            deny_ttl: Duration::from_secs(deny_ttl),
            stale_if_error: Duration::ZERO,
            max_concurrent: 8,
        })
    };
    let question = Question {
        user: "user:ann",
        relation: "viewer",
        object: "feature:reports",
        rule: "reports",
        consistency: ConsistencyPreference::HigherConsistency,
    };
    let check = || question.to_check(1);
    let at = |nanos: u64| Now::at(0, 3_600_000_000_000 + nanos);
    let cache_of_both = cache(1);
    cache_of_both.insert(check(), false, at(2));
    cache_of_both.insert(check(), true, at(1));
    assert_eq!(cache_of_both.find(&question, 1, at(3)), Remembered::Fresh(false));
    cache_of_both.insert(check(), true, at(2));
    assert_eq!(cache_of_both.find(&question, 1, at(3)), Remembered::Fresh(true));

    // A deny that is not to be remembered still ends what was remembered before it.
    let cache_of_allows = cache(0);
    cache_of_allows.insert(check(), true, at(1));
    cache_of_allows.insert(check(), false, at(0));
    assert_eq!(cache_of_allows.find(&question, 1, at(3)), Remembered::Fresh(true));
    cache_of_allows.insert(check(), false, at(2));
    assert_eq!(cache_of_allows.find(&question, 1, at(3)), Remembered::Nothing);
}

#[tokio::test]
async fn another_model_voids_what_was_decided_by_the_one_before() {
    let bench = bench(0, vec![Ok(true)]);
    bench.source().await;
    bench.model.pin(&json!({"id": "MODEL2", "type_definitions": []})).unwrap();
    assert_eq!(bench.source().await, DecisionSource::Fresh);
    bench.model.pin(&json!({"id": "MODEL2", "type_definitions": []})).unwrap();
    assert_eq!(bench.source().await, DecisionSource::Cache);
}

#[test]
fn no_choice_of_parts_makes_two_questions_equal() {
    use std::collections::HashSet;
    let parts = ["a", "a:b", "b", "", "a#b", "b@c", "#", "a:", ":b"];
    let mut seen = HashSet::new();
    for user in parts {
        for relation in parts {
            for object in parts {
                let consistency = ConsistencyPreference::MinimizeLatency;
                let rule = "the same for all";
                let check = Question { user, relation, object, rule, consistency }.to_check(1);
                assert!(seen.insert(check), "{user} {relation} {object}");
            }
        }
    }
}

#[test]
fn a_model_tells_which_relations_its_types_define() {
    let value = json!({"id": "M", "type_definitions": [
        {"type": "user"},
        {"type": "feature", "relations": {"viewer": {"this": {}}}},
    ]});
    let model = model::Model::parse(&value, 1).unwrap();
    assert_eq!(model.defines("feature", "viewer"), Some(true));
    assert_eq!(model.defines("feature", "editor"), Some(false));
    assert_eq!(model.defines("user", "viewer"), Some(false));
    assert_eq!(model.defines("none", "viewer"), None);
}

#[test]
fn what_is_no_model_is_not_put_into_force() {
    let watch = ModelWatch::default();
    let good = watch.pin(&json!({"id": "M", "type_definitions": []})).unwrap();
    for odd in [
        json!({}),
        json!([]),
        json!("M"),
        json!({"id": "N"}),
        json!({"id": "", "type_definitions": []}),
        json!({"id": 7, "type_definitions": []}),
        json!({"id": "N", "type_definitions": {}}),
        json!({"id": "N", "type_definitions": ["user"]}),
        json!({"id": "N", "type_definitions": [{"type": 1}]}),
    ] {
        assert!(watch.pin(&odd).is_none(), "{odd}");
        assert_eq!(watch.current().unwrap().id, good.id, "{odd}");
    }
}
