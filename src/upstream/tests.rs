use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use pingora::prelude::ErrorType;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::clock::ManualClock;

fn settings(url: &str) -> UpstreamSettings {
    UpstreamSettings {
        name: "app".into(),
        url: url.parse().unwrap(),
        authority: HeaderValue::from_static("app.test"),
        host: HostHeader::Client,
        forward_credentials: false,
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_mins(1),
        write_timeout: Duration::from_mins(1),
        idle_timeout: Duration::from_secs(50),
        resolve_interval: Duration::from_secs(30),
    }
}

fn address(octet: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, octet], 9))
}

struct Story {
    upstream: Arc<Upstream>,
    failures: IntCounter,
    clock: ManualClock,
    attempts: Attempts,
}

impl Story {
    fn of(url: &str, addresses: &[SocketAddr]) -> Self {
        let failures = IntCounter::new("failures", "Failures.").unwrap();
        let upstream = Arc::new(Upstream::new(settings(url), failures.clone()));
        upstream.set_addresses(addresses);
        let clock = ManualClock::starting_at(1_700_000_000_000);
        Self { upstream, failures, clock, attempts: Attempts::default() }
    }

    fn peer(&mut self) -> Box<HttpPeer> {
        self.upstream.peer(&mut self.attempts, &self.clock).unwrap()
    }

    fn miss(&mut self, peer: &HttpPeer, error: &Error) -> bool {
        self.upstream.miss(peer, (error, &"a cause"), &mut self.attempts, self.clock.now())
    }

    fn avoided(&self) -> usize {
        self.upstream.targets.load().addresses.iter().filter(|a| a.is_avoided()).count()
    }
}

fn at(peer: &HttpPeer) -> SocketAddr {
    *peer.address().as_inet().unwrap()
}

fn time(peer: &HttpPeer) -> Option<Duration> {
    peer.options.total_connection_timeout
}

#[test]
fn a_failed_handshake_goes_to_each_address_once_and_all_share_the_time() {
    let mut story = Story::of("https://two.test", &[address(1), address(2), address(3)]);
    let failed = Error::new(ErrorType::TLSHandshakeFailure);
    let first = story.peer();
    assert_eq!(time(&first), Some(Duration::from_millis(750)));
    story.clock.advance(Duration::from_millis(100));
    assert!(story.miss(&first, &failed));
    let second = story.peer();
    assert_eq!(time(&second), Some(Duration::from_millis(675)));
    assert!(story.miss(&second, &failed));
    let third = story.peer();
    assert_eq!(time(&third), Some(Duration::from_millis(900)), "nobody comes after it");
    assert!(!story.miss(&third, &failed));
    let mut tried = [at(&first), at(&second), at(&third)];
    tried.sort_unstable();
    assert_eq!(tried, [address(1), address(2), address(3)]);
    assert_eq!((story.failures.get(), story.avoided()), (3, 3));
}

#[test]
fn what_has_failed_a_request_races_for_it_no_more() {
    let mut story = Story::of("https://two.test", &[address(1), address(2), address(3)]);
    let first = story.peer();
    assert!(story.miss(&first, &Error::new(ErrorType::TLSHandshakeFailure)));
    let second = story.peer();
    let racing = story.upstream.connector(&story.attempts).addresses;
    assert_eq!(racing.len(), 2);
    assert!(racing.position(at(&first)).is_none() && racing.position(at(&second)).is_some());
}

#[test]
fn a_short_time_to_connect_leaves_half_of_it_for_the_next_address() {
    let mut settings = settings("http://two.test");
    settings.connect_timeout = Duration::from_millis(200);
    let failures = IntCounter::new("failures", "Failures.").unwrap();
    let connector = Upstream::new(settings, failures).connector(&Attempts::default());
    assert_eq!(connector.head_start, Duration::from_millis(100));
}

#[test]
fn the_address_that_answered_instead_is_next_and_is_not_reported_twice() {
    let mut story = Story::of("http://two.test", &[address(1), address(2), address(3)]);
    for _ in 0..3 {
        story.attempts = Attempts::default();
        let first = story.peer();
        let winner = if at(&first) == address(3) { address(1) } else { address(3) };
        assert!(story.miss(&first, &Box::<Error>::from(Miss::Elsewhere(winner))));
        assert_eq!(at(&story.peer()), winner);
    }
    assert_eq!(story.failures.get(), 0);
}

#[test]
fn nothing_is_tried_once_nobody_has_taken_a_connection() {
    let mut story = Story::of("http://two.test", &[address(1), address(2)]);
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let error = Box::<Error>::from(Miss::Everywhere(refused));
    assert_eq!(error.etype(), &ErrorType::ConnectRefused);
    let first = story.peer();
    assert!(!story.miss(&first, &error));
    assert_eq!(story.failures.get(), 0, "the race has reported them");
}

#[test]
fn an_only_address_is_tried_once_and_has_all_the_time() {
    let mut story = Story::of("https://127.0.0.1", &[address(1)]);
    let only = story.peer();
    assert_eq!(time(&only), Some(Duration::from_secs(1)));
    assert!(only.options.custom_l4.is_none());
    assert!(!story.miss(&only, &Error::new(ErrorType::ConnectRefused)));
    assert_eq!((story.failures.get(), story.avoided()), (1, 1));
    assert_eq!(at(&story.peer()), address(1), "there is no other to take");
}

#[test]
fn an_address_that_works_again_is_found_out_without_a_request() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let mut story = Story::of("http://two.test", &[alive, address(2)]);
        let (stop, shutdown) = watch::channel(false);
        let probing = tokio::spawn(Arc::clone(&story.upstream).keep_probing(shutdown));
        for _ in 0..2 {
            let peer = story.peer();
            story.miss(&peer, &Error::new(ErrorType::ConnectTimedout));
        }
        assert_eq!(story.avoided(), 2);
        listener.accept().await.unwrap();
        while story.avoided() == 2 {
            tokio::task::yield_now().await;
        }
        for _ in 0..4 {
            story.attempts = Attempts::default();
            assert_eq!(at(&story.peer()), alive);
        }
        stop.send_replace(true);
        probing.await.unwrap();
    });
}
