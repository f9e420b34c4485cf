use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::*;
use crate::clock::{Clock, ManualClock};

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
    let (authority, watch) = (Authority::Remote(d), Arc::clone(&model));
    let authorizer = Authorizer::new(&settings, authority, watch, c, sent.clone());
    Bench { clock, decider, model, authorizer, sent }
}

impl Bench {
    async fn ask(&self, consistency: Consistency) -> Result<Decision, CheckFault> {
        let question = Question {
            user: "user:ann",
            relation: "viewer",
            object: "feature:reports",
            rule: "reports",
            consistency,
        };
        self.authorizer.check(&question, self.clock.now()).await
    }

    async fn source(&self) -> Source {
        self.ask(Consistency::MinimizeLatency).await.unwrap().source
    }

    fn asked(&self) -> u64 {
        self.decider.asked.load(Ordering::SeqCst)
    }
}

fn down() -> CheckFault {
    CheckFault::Unreachable { cause: "connection refused".to_owned() }
}

#[tokio::test]
async fn an_allow_is_believed_ten_seconds_and_a_deny_one() {
    let bench = bench(0, vec![Ok(true), Ok(false)]);
    assert_eq!(bench.source().await, Source::Fresh);
    bench.clock.advance(Duration::from_millis(9_999));
    assert_eq!(bench.source().await, Source::Cache);
    bench.clock.advance(Duration::from_millis(1));
    assert!(!bench.ask(Consistency::MinimizeLatency).await.unwrap().allowed);
    bench.clock.advance(Duration::from_millis(999));
    assert_eq!(bench.source().await, Source::Cache);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.source().await, Source::Fresh);
    assert_eq!(bench.asked(), 3);
}

#[tokio::test]
async fn an_error_is_neither_remembered_nor_a_deny() {
    let bench = bench(0, vec![Err(down()), Ok(true)]);
    assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    assert_eq!(bench.source().await, Source::Fresh);
}

#[tokio::test]
async fn an_expired_allow_serves_an_outage_only_within_its_bound() {
    let bench = bench(5, vec![Ok(true), Err(down())]);
    bench.source().await;
    bench.clock.advance(Duration::from_secs(14));
    assert_eq!(bench.source().await, Source::Stale);
    bench.clock.advance(Duration::from_secs(1));
    assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
}

#[tokio::test]
async fn an_expired_allow_serves_neither_a_refused_question_nor_who_wants_a_recent_answer() {
    for (fault, consistency) in [
        (refused(400), Consistency::MinimizeLatency),
        (refused(422), Consistency::MinimizeLatency),
        (refused(401), Consistency::HigherConsistency),
        (down(), Consistency::HigherConsistency),
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
        [(Consistency::MinimizeLatency, 1), (Consistency::HigherConsistency, 3)]
    {
        let bench = bench(0, vec![Ok(true)]);
        let held = Arc::new(Held { asked: AtomicU64::new(0), release: Semaphore::new(0) });
        let bench = Bench {
            authorizer: Authorizer {
                authority: Authority::Remote(held.clone()),
                ..bench.authorizer
            },
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
    assert!(!bench.ask(Consistency::MinimizeLatency).await.unwrap().allowed);
    bench.clock.advance(Duration::from_secs(2));
    assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
}

#[tokio::test]
async fn higher_consistency_asks_although_an_answer_is_remembered() {
    let bench = bench(0, vec![Ok(true), Ok(false)]);
    bench.source().await;
    assert!(!bench.ask(Consistency::HigherConsistency).await.unwrap().allowed);
    assert!(!bench.ask(Consistency::MinimizeLatency).await.unwrap().allowed, "the newer answer");
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
        consistency: Consistency::HigherConsistency,
    };
    let check = || question.to_check(1);
    let at = |nanos: u64| Now::at(0, 3_600_000_000_000 + nanos);
    let cache_of_both = cache(1);
    cache_of_both.insert(check(), false, at(2), 0);
    cache_of_both.insert(check(), true, at(1), 0);
    assert_eq!(cache_of_both.find(&question, 1, at(3)), Found::Fresh(false));
    cache_of_both.insert(check(), true, at(2), 0);
    assert_eq!(cache_of_both.find(&question, 1, at(3)), Found::Fresh(true));

    // A deny that is not to be remembered still ends what was remembered before it.
    let cache_of_allows = cache(0);
    cache_of_allows.insert(check(), true, at(1), 0);
    cache_of_allows.insert(check(), false, at(0), 0);
    assert_eq!(cache_of_allows.find(&question, 1, at(3)), Found::Fresh(true));
    cache_of_allows.insert(check(), false, at(2), 0);
    assert_eq!(cache_of_allows.find(&question, 1, at(3)), Found::Nothing);
}

#[tokio::test]
async fn another_model_voids_what_was_decided_by_the_one_before() {
    let bench = bench(0, vec![Ok(true)]);
    bench.source().await;
    bench.model.pin(&json!({"id": "MODEL2", "type_definitions": []})).unwrap();
    assert_eq!(bench.source().await, Source::Fresh);
    bench.model.pin(&json!({"id": "MODEL2", "type_definitions": []})).unwrap();
    assert_eq!(bench.source().await, Source::Cache);
}

#[tokio::test]
async fn after_five_outages_in_a_row_only_one_probe_a_second_is_sent() {
    let bench = bench(0, vec![Err(down())]);
    for _ in 0..20 {
        assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    }
    assert_eq!(bench.asked(), 5);
    bench.clock.advance(Duration::from_secs(1));
    for _ in 0..20 {
        assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    }
    assert_eq!((bench.asked(), bench.sent.get()), (6, 6), "counted as sent");
}

fn refused(status: u16) -> CheckFault {
    CheckFault::Refused { status, code: "some_error".into(), message: "for a reason".into() }
}

fn unintelligible() -> CheckFault {
    CheckFault::Unintelligible { cause: "status 502, not application/json".to_owned() }
}

#[tokio::test]
async fn only_a_refused_question_leaves_the_breaker_closed() {
    for (fault, calls) in [
        (refused(400), 20),
        (refused(422), 20),
        (refused(401), 5),
        (refused(403), 5),
        (refused(404), 5),
        (refused(408), 5),
        (refused(409), 5),
        (refused(429), 5),
        (refused(500), 5),
        (refused(503), 5),
        (unintelligible(), 5),
        (CheckFault::Deadline, 5),
    ] {
        let bench = bench(0, vec![Err(fault.clone())]);
        for _ in 0..20 {
            assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
        }
        assert_eq!((bench.asked(), bench.sent.get()), (calls, calls), "{fault}");
    }
}

#[tokio::test]
async fn what_speaks_of_the_server_or_of_us_is_an_outage_and_told_in_one_line() {
    for fault in [401, 403, 404, 408, 429].map(refused) {
        let log = Log::capture();
        let bench = bench(60, vec![Ok(true), Err(fault.clone())]);
        bench.source().await;
        bench.clock.advance(Duration::from_secs(14));
        for _ in 0..20 {
            assert_eq!(bench.source().await, Source::Stale, "{fault}");
        }
        let lines = log.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["message"], "Failed to connect to OpenFGA");
        assert_eq!(lines[0]["cause"], fault.to_string());
    }
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_is_left_alone() {
    let busy = CheckFault::Busy { status: 429, pause: Duration::from_secs(3) };
    let bench = bench(0, vec![Err(busy), Ok(true)]);
    for _ in 0..20 {
        assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    }
    bench.clock.advance(Duration::from_millis(2_999));
    assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    assert_eq!(bench.asked(), 1);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.source().await, Source::Fresh);
}

#[tokio::test]
async fn one_of_several_servers_that_goes_away_stops_nobody() {
    let leaving = || Err(CheckFault::Busy { status: 503, pause: Duration::from_secs(10) });
    let bench = bench(0, vec![leaving(), Ok(true)]);
    assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    assert_eq!(bench.source().await, Source::Fresh);

    let bench = self::bench(0, vec![leaving()]);
    for _ in 0..20 {
        assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    }
    bench.clock.advance(Duration::from_millis(9_999));
    assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    assert_eq!(bench.asked(), 5);
    bench.clock.advance(Duration::from_millis(1));
    assert!(bench.ask(Consistency::MinimizeLatency).await.is_err());
    assert_eq!(bench.asked(), 6);
}

/// What the calling thread logs while this lives.
struct Log(Arc<Mutex<Vec<u8>>>, #[expect(dead_code)] tracing::subscriber::DefaultGuard);

struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn capture() -> Self {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&written);
        let lines = tracing_subscriber::fmt().json().flatten_event(true);
        let lines = lines.with_writer(move || LogWriter(Arc::clone(&writer))).finish();
        Self(written, tracing::subscriber::set_default(lines))
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let written = self.0.lock().unwrap();
        written.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect()
    }
}

#[tokio::test]
async fn a_request_without_a_model_is_logged_with_the_reason_why_there_is_none() {
    let log = Log::capture();
    let bench = bench_without_model(0, vec![Ok(true)]);
    bench.model.set_fault(Some(Arc::new(down())));
    for _ in 0..20 {
        let outcome = bench.ask(Consistency::MinimizeLatency).await;
        assert!(matches!(outcome, Err(CheckFault::NoModel)));
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["cause"], "connection failed: connection refused");
    assert_eq!(bench.asked(), 0);
}

#[tokio::test]
async fn the_end_of_an_outage_is_logged_once_and_a_refused_question_has_none() {
    for (fault, expected, first) in
        [(down(), 2, "Failed to connect to OpenFGA"), (refused(400), 1, "OpenFGA refused a check")]
    {
        let log = Log::capture();
        let bench = bench(0, vec![Err(fault), Ok(true)]);
        for _ in 0..5 {
            let _ = bench.ask(Consistency::HigherConsistency).await;
        }
        let lines = log.lines();
        assert_eq!(lines.len(), expected, "{lines:?}");
        assert_eq!(lines[0]["message"], first);
        let again = |line: &serde_json::Value| line["message"] == "OpenFGA is reachable again";
        assert!(lines.iter().skip(1).all(again), "{lines:?}");
    }
}

#[test]
fn no_choice_of_parts_makes_two_questions_equal() {
    use std::collections::HashSet;
    let parts = ["a", "a:b", "b", "", "a#b", "b@c", "#", "a:", ":b"];
    let mut seen = HashSet::new();
    for user in parts {
        for relation in parts {
            for object in parts {
                let consistency = Consistency::MinimizeLatency;
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
