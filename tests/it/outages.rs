//! An outage never looks like a policy, and ends when its cause does.

use std::time::Duration;

use crate::support::eventually;
use crate::support::gateway::Gateway;

mod issuer;
mod openfga;
mod redis;
mod upstream;

/// What is promised is two seconds; the third is for a busy machine.
const RECOVERY: Duration = Duration::from_secs(3);

async fn is_admitted(gateway: &Gateway, token: &str) {
    eventually("the report is served", RECOVERY, async || {
        (gateway.get("/api/report").bearer(token).send().await.status == 200).then_some(())
    })
    .await;
}
