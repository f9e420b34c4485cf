//! An issuer for measurements: `issuer SUBJECTS COUNT FILE` writes COUNT different access tokens to FILE,
//! of SUBJECTS subjects in turn, prints its URL and serves until it is killed.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up should stop")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use auth_gateway::clock::{SharedClock, SystemClock};
use auth_gateway::dev::issuer::{Issuer, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("three arguments: SUBJECTS COUNT FILE");
    let subjects: u64 = next().parse().expect("SUBJECTS is a number");
    let count: u64 = next().parse().expect("COUNT is a number");
    let file = next();
    let clock: SharedClock = Arc::new(SystemClock);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let issuer = Issuer::start(listen, Settings::default(), clock).await.expect("issuer");
    std::fs::write(file, tokens(&issuer, subjects, count).join("\n")).expect("FILE can be written");
    println!("{}", issuer.url());
    std::future::pending::<()>().await;
}

/// Signed on all cores.
fn tokens(issuer: &Issuer, subjects: u64, count: u64) -> Vec<String> {
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let share = count.div_ceil(threads);
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|part| (part * share)..((part + 1) * share).min(count))
            .map(|numbers| {
                scope.spawn(move || {
                    numbers.map(|number| token(issuer, number % subjects)).collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("signing")).collect()
    })
}

/// ZITADEL's user ids have eighteen digits, its tokens of people carry roles.
fn token(issuer: &Issuer, subject: u64) -> String {
    let subject = (281_234_567_890_000_000 + subject).to_string();
    issuer.token(&subject).roles(["viewer", "editor"]).sign().expect("token")
}
