//! Random models, tuples and checks, answered by this engine and by the real server.
//!
//! OpenFGA evaluates operands in parallel, and in two cases its answer depends on which
//! one is done first: a missing condition parameter where nothing allows ("no" or an
//! error), and a cycle beside a plain "no" below an exclusion. The first is accepted as
//! such; for the second the server is asked again, and a difference counts only if it
//! never gives our answer.
//!
//! `DIFFERENTIAL_CHECKS` sets the number of checks (default 4,000), `DIFFERENTIAL_SEED`
//! the seed. Without an `openfga` binary there is nothing to compare with, and the test
//! says so.

use std::sync::Arc;

use crate::support::openfga::OpenFga;
use crate::support::random::{self, Random};
use fga_engine::{
    CheckRequest, Context, Engine, EngineError, ErrorCode, Store, TupleKey, WriteRequest,
};
use serde_json::{Value, json};

const SEED: u64 = 20_261_125;
const BATCH: usize = 50;
const BATCHES_PER_MODEL: usize = 4;
const REPEATS: usize = 1_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_the_real_server() {
    let server = OpenFga::start().await;
    let server = Arc::new(server);
    let wanted = setting("DIFFERENTIAL_CHECKS", 4_000);
    let mut random = Random(setting("DIFFERENTIAL_SEED", SEED));
    let mut tally = Tally::default();
    let mut differences = Vec::new();
    while tally.checks < wanted {
        let Some(pair) = Pair::create(&server, &mut random, &mut differences).await else {
            continue;
        };
        pair.compare(&mut random, &mut tally, &mut differences).await;
        assert!(differences.len() < 5, "{tally:?}\n{}", differences.join("\n\n"));
    }
    eprintln!("{tally:?}");
    assert!(differences.is_empty(), "{tally:?}\n{}", differences.join("\n\n"));
}

#[derive(Debug, Default)]
struct Tally {
    checks: u64,
    allowed: u64,
    errors: u64,
    /// OpenFGA said "no" where a condition lacked a parameter.
    by_chance: u64,
    /// OpenFGA gave our answer only when asked again.
    unstable: u64,
    timeouts: u64,
}

/// The same store on both sides.
struct Pair {
    server: Arc<OpenFga>,
    path: String,
    store: Arc<Store>,
    model: Value,
    tuples: Vec<Value>,
}

impl Pair {
    async fn create(
        server: &Arc<OpenFga>,
        random: &mut Random,
        differences: &mut Vec<String>,
    ) -> Option<Self> {
        let path = format!("/stores/{}", server.create_store().await);
        let store = Engine::default().create_store("test");
        let mut pair = Self {
            server: Arc::clone(server),
            path,
            store,
            model: Value::Null,
            tuples: Vec::new(),
        };
        // Every third store has tuples of an earlier model, some of them stale.
        for _ in 0..if random.chance(33) { 2 } else { 1 } {
            let mut tries = 0;
            while !pair.write_model(random::model(random), differences).await {
                tries += 1;
                if tries == 200 {
                    return None;
                }
            }
            for _ in 0..3 {
                pair.write_tuples(random, differences).await;
            }
        }
        Some(pair)
    }

    /// Whether the model was accepted.
    async fn write_model(&mut self, model: Value, differences: &mut Vec<String>) -> bool {
        let ours = self.store.write_model(serde_json::from_value(model.clone()).unwrap());
        let (status, theirs) =
            self.server.post(&format!("{}/authorization-models", self.path), &model).await;
        if ours.is_ok() != (status == 201) {
            differences.push(format!("model {model}\nours {ours:?}\ntheirs {theirs}"));
        }
        let accepted = ours.is_ok() && status == 201;
        if accepted {
            self.model = model;
        }
        accepted
    }

    async fn write_tuples(&mut self, random: &mut Random, differences: &mut Vec<String>) {
        let mut tuples: Vec<Value> = Vec::new();
        for _ in 0..10 {
            let Some(tuple) = random::tuple(random, &self.model) else {
                continue;
            };
            let key = |tuple: &Value| {
                (tuple["object"].clone(), tuple["relation"].clone(), tuple["user"].clone())
            };
            if tuples.iter().all(|known| key(known) != key(&tuple)) {
                tuples.push(tuple);
            }
        }
        for tuple in tuples {
            let request = WriteRequest {
                writes: vec![serde_json::from_value(tuple.clone()).unwrap()],
                ..WriteRequest::default()
            };
            let ours = self.store.write(&request).map_err(|error| error.code.as_str().to_owned());
            let body = json!({"writes": {"tuple_keys": [&tuple]}});
            let (_, theirs) = self.server.post(&format!("{}/write", self.path), &body).await;
            let theirs = theirs["code"].as_str().map_or(Ok(()), |code| Err(code.to_owned()));
            if ours != theirs {
                differences.push(format!(
                    "{}\ntuple {tuple}\nours {ours:?}\ntheirs {theirs:?}",
                    self.model
                ));
            }
            self.tuples.push(tuple);
        }
    }

    async fn compare(&self, random: &mut Random, tally: &mut Tally, differences: &mut Vec<String>) {
        let mut batches = Vec::new();
        for _ in 0..BATCHES_PER_MODEL {
            let checks: Vec<Value> =
                (0..BATCH).map(|id| random::check(random, &self.model, id)).collect();
            let (server, path) = (Arc::clone(&self.server), format!("{}/batch-check", self.path));
            let body = json!({"checks": &checks});
            batches.push((checks, tokio::spawn(async move { server.post(&path, &body).await })));
        }
        for (checks, answer) in batches {
            let (status, answer) = answer.await.unwrap();
            assert_eq!(status, 200, "{answer}");
            for check in checks {
                let theirs = &answer["result"][check["correlation_id"].as_str().unwrap()];
                self.compare_one(&check, theirs, tally, differences).await;
            }
        }
    }

    async fn compare_one(
        &self,
        check: &Value,
        theirs: &Value,
        tally: &mut Tally,
        differences: &mut Vec<String>,
    ) {
        let ours = self.check(check);
        tally.checks += 1;
        tally.allowed += u64::from(ours == Ok(true));
        tally.errors += u64::from(ours.is_err());
        match relate(&ours, theirs) {
            Relation::Same => {}
            Relation::ByChance => tally.by_chance += 1,
            // Its paths multiply until the three seconds are over; nothing to compare.
            Relation::Timeout => tally.timeouts += 1,
            Relation::Different if self.agrees_when_repeated(&ours, check).await => {
                tally.unstable += 1
            }
            Relation::Different => {
                let tuples: Vec<String> = self.tuples.iter().map(ToString::to_string).collect();
                differences.push(format!(
                    "model {}\ntuples\n{}\ncheck {check}\nours {ours:?}\ntheirs {theirs}",
                    self.model,
                    tuples.join("\n")
                ));
            }
        }
    }

    async fn agrees_when_repeated(&self, ours: &Result<bool, EngineError>, check: &Value) -> bool {
        let body = json!({"checks": [check]});
        for _ in 0..REPEATS {
            let (_, answer) = self.server.post(&format!("{}/batch-check", self.path), &body).await;
            let theirs = &answer["result"][check["correlation_id"].as_str().unwrap()];
            if matches!(relate(ours, theirs), Relation::Same) {
                return true;
            }
        }
        false
    }

    fn check(&self, check: &Value) -> Result<bool, EngineError> {
        let key: TupleKey = serde_json::from_value(check["tuple_key"].clone()).unwrap();
        let contextual: Vec<TupleKey> =
            serde_json::from_value(check["contextual_tuples"]["tuple_keys"].clone())
                .unwrap_or_default();
        let context: Context = serde_json::from_value(check["context"].clone()).unwrap();
        self.store.check(
            None,
            &CheckRequest {
                user: &key.user,
                relation: &key.relation,
                object: &key.object,
                contextual_tuples: &contextual,
                context: Some(&context),
            },
        )
    }
}

enum Relation {
    Same,
    ByChance,
    Timeout,
    Different,
}

fn relate(ours: &Result<bool, EngineError>, theirs: &Value) -> Relation {
    let error = &theirs["error"];
    let code = error["input_error"].as_str().or(error["internal_error"].as_str());
    let allowed = theirs["allowed"].as_bool().unwrap_or_default();
    match (ours, code) {
        (_, Some("deadline_exceeded")) => Relation::Timeout,
        (Ok(ours), None) if *ours == allowed => Relation::Same,
        (Err(error), Some(code)) if error.code.as_str() == code => Relation::Same,
        (Err(error), None) if !allowed && lacks_parameter(error) => Relation::ByChance,
        _ => Relation::Different,
    }
}

fn lacks_parameter(error: &EngineError) -> bool {
    error.code == ErrorCode::ValidationError
        && error.message.contains("is missing context parameters")
}
