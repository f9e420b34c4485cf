use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::telemetry::testing::Log;

#[tokio::test]
async fn after_five_outages_in_a_row_only_one_probe_a_second_is_sent() {
    let bench = bench(0, vec![Err(down())]);
    for _ in 0..20 {
        assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    }
    assert_eq!(bench.asked(), 5);
    bench.clock.advance(Duration::from_secs(1));
    for _ in 0..20 {
        assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    }
    assert_eq!((bench.asked(), bench.sent.get()), (6, 6), "counted as sent");
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
            assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
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
            assert_eq!(bench.source().await, DecisionSource::Stale, "{fault}");
        }
        let lines = log.fields();
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
        assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    }
    bench.clock.advance(Duration::from_millis(2_999));
    assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    assert_eq!(bench.asked(), 1);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.source().await, DecisionSource::Fresh);
}

#[tokio::test]
async fn one_of_several_servers_that_goes_away_stops_nobody() {
    let leaving = || Err(CheckFault::Busy { status: 503, pause: Duration::from_secs(10) });
    let bench = bench(0, vec![leaving(), Ok(true)]);
    assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    assert_eq!(bench.source().await, DecisionSource::Fresh);

    let bench = self::bench(0, vec![leaving()]);
    for _ in 0..20 {
        assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    }
    bench.clock.advance(Duration::from_millis(9_999));
    assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    assert_eq!(bench.asked(), 5);
    bench.clock.advance(Duration::from_millis(1));
    assert!(bench.ask(ConsistencyPreference::MinimizeLatency).await.is_err());
    assert_eq!(bench.asked(), 6);
}

#[tokio::test]
async fn a_request_without_a_model_is_logged_with_the_reason_why_there_is_none() {
    let log = Log::capture();
    let bench = bench_without_model(0, vec![Ok(true)]);
    bench.model.set_fault(Some(Arc::new(down())));
    for _ in 0..20 {
        let outcome = bench.ask(ConsistencyPreference::MinimizeLatency).await;
        assert!(matches!(outcome, Err(CheckFault::NoModel)));
    }
    let lines = log.fields();
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
            let _ = bench.ask(ConsistencyPreference::HigherConsistency).await;
        }
        let lines = log.fields();
        assert_eq!(lines.len(), expected, "{lines:?}");
        assert_eq!(lines[0]["message"], first);
        let again = |line: &Value| line["message"] == "OpenFGA is reachable again";
        assert!(lines.iter().skip(1).all(again), "{lines:?}");
    }
}
