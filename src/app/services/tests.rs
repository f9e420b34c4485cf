use std::sync::atomic::{AtomicBool, Ordering};

use pingora::apps::ServerApp;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::clock::{Clock, Now};
use crate::config::testing::environment;
use crate::config::{self, Overrides};
use crate::edge::Entrance;

/// Panics while it is told to.
#[derive(Debug, Default)]
struct BrokenClock {
    is_broken: AtomicBool,
    clock: SystemClock,
}

impl Clock for BrokenClock {
    fn now(&self) -> Now {
        assert!(!self.is_broken.load(Ordering::SeqCst), "broken on purpose");
        self.clock.now()
    }
}

fn settings() -> Settings {
    config::parse("", &Overrides::default(), &environment).unwrap()
}

/// Sends a head on a connection of its own and reads until that is closed.
async fn exchange(entrance: &Arc<Entrance<HttpProxy<Proxy>>>, target: &str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (mut client, stream) = (client.unwrap(), L4Stream::from(accepted.unwrap().0));
    let (_stop, shutdown) = watch::channel(false);
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let serve = entrance.process_new(Box::new(stream), &shutdown);
    let (_, read) = tokio::join!(serve, client.read_to_string(&mut answer));
    read.unwrap();
    answer
}

#[tokio::test]
async fn a_panic_costs_its_request_and_no_other() {
    let settings = settings();
    let services = Services::build(&settings, &Sink::default(), None).unwrap();
    let clock = Arc::new(BrokenClock::default());
    let mut proxy = services.proxy(&settings, &Sink::default()).unwrap();
    proxy.readiness = Arc::new(Readiness::new(clock.clone()));
    let conf = Arc::new(ServerConf::default());
    let entrance = Arc::new(proxy.entrance(&conf, settings.server.patience));

    clock.is_broken.store(true, Ordering::SeqCst);
    let answer = exchange(&entrance, "/health").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains(r#""reason":"internal_error""#), "{answer}");
    assert!(!answer.contains("on purpose"), "{answer}");
    let answer = exchange(&entrance, "/").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    clock.is_broken.store(false, Ordering::SeqCst);
    let answer = exchange(&entrance, "/health").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");

    let metrics = String::from_utf8(services.metrics.render().unwrap()).unwrap();
    for series in [
        r#"auth_gateway_rejections_total{reason="internal_error",rule="none"} 1"#,
        r#"auth_gateway_requests_total{rule="none",status="5xx"} 2"#,
        "auth_gateway_requests_in_flight 0",
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
}
