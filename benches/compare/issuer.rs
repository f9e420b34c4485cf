//! An issuer for measurements: `issuer COUNT FILE` writes COUNT access tokens, each of another
//! subject, to FILE, prints its URL and serves until it is killed.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up should stop")]

use std::net::SocketAddr;
use std::sync::Arc;

use auth_gateway::clock::{SharedClock, SystemClock};
use auth_gateway::dev::issuer::{Issuer, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("two arguments: COUNT FILE");
    let count: u64 = next().parse().expect("COUNT is a number");
    let file = next();
    let clock: SharedClock = Arc::new(SystemClock);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let issuer = Issuer::start(listen, Settings::default(), clock).await.expect("issuer");
    // ZITADEL's user ids have eighteen digits, its tokens of people carry roles.
    let tokens = (0..count).map(|number| {
        let subject = (281_234_567_890_000_000 + number).to_string();
        issuer.token(&subject).roles(["viewer", "editor"]).sign().expect("token")
    });
    let tokens: Vec<_> = tokens.collect();
    std::fs::write(file, tokens.join("\n")).expect("FILE can be written");
    println!("{}", issuer.url());
    std::future::pending::<()>().await;
}
