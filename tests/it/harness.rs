//! The harness's own stories: what the others stand on.

use std::process::Command;
use std::time::Duration;

use auth_gateway::dev::issuer::Algorithm;
use reqwest::Client;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::openfga::{OpenFga, Version, guide_model};
use crate::support::process::{Process, Reaper, accepts, free_port};
use crate::support::recorder::{Passage, Recorder};
use crate::support::redis::Redis;
use crate::support::upstream::{Answer, Upstream};
use crate::support::{SOON, attack, eventually, issuer, sockets, story};

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

#[test]
fn both_versions_of_openfga_decide_and_forget_when_restarted() {
    story(async {
        let servers = tokio::join!(
            OpenFga::start(Version::Current),
            OpenFga::start_with(Version::Guide, Some("a key"))
        );
        for openfga in [servers.0, servers.1] {
            let store = openfga.create_store().await;
            openfga.write_model(&store, &guide_model()).await;
            let ann =
                async || openfga.check(&store, "user:ann", "viewer", "feature:report_viewer").await;
            assert!(!ann().await);
            openfga.write(&store, "user:ann", "viewer", "feature:report_viewer").await;
            assert!(ann().await);
            openfga.delete(&store, "user:ann", "viewer", "feature:report_viewer").await;
            assert!(!ann().await);

            openfga.down();
            let health = format!("{}/healthz", openfga.url());
            assert!(client().get(&health).send().await.unwrap_err().is_connect());
            openfga.up().await;
            assert_eq!(client().get(&health).send().await.unwrap().status(), 200);
        }
    });
}

#[test]
fn a_frozen_redis_is_silent_and_a_stopped_one_refuses() {
    story(async {
        let redis = Redis::start().await;
        assert_eq!(redis.command("SET a 1").await.as_deref(), Some("+OK"));
        redis.freeze();
        let silent = tokio::time::timeout(Duration::from_millis(50), redis.command("PING")).await;
        assert!(silent.is_err());
        redis.thaw();
        assert_eq!(redis.command("PING").await.as_deref(), Some("+PONG"));
        redis.down();
        assert_eq!(redis.command("PING").await, None);
        redis.up().await;
        assert_eq!(redis.command("GET a").await.as_deref(), Some("$-1"));
    });
}

#[test]
fn the_upstream_writes_down_names_order_and_duplicates_as_they_came() {
    story(async {
        let upstream = Upstream::start().await;
        let mut stream = TcpStream::connect(upstream.authority()).await.unwrap();
        let request = b"POST /a%2Fb?q=1 HTTP/1.1\r\nHost: h\r\nX_User.Id: 1\r\nx-User-id: 2\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
        stream.write_all(request).await.unwrap();
        upstream.await_request(|request| request.complete).await;
        let seen = upstream.only_request();
        assert_eq!((seen.method(), seen.target()), ("POST", "/a%2Fb?q=1"));
        assert_eq!(seen.body, b"abcde");
        let aliases = seen.aliases("X-User-ID");
        assert_eq!(aliases, [("X_User.Id".into(), "1".into()), ("x-User-id".into(), "2".into())]);
        upstream.saw_nothing();
    });
}

#[test]
fn the_upstream_answers_as_it_is_told() {
    story(async {
        let upstream = Upstream::start().await;
        let client = client();
        let get = async || client.get(upstream.url()).send().await.unwrap();
        upstream.answer(Answer::status(418).with_header("X-A", "b"));
        let answer = get().await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-a"]),
            (418, &"b".parse().unwrap())
        );

        upstream.answer(Answer::AbortMidBody);
        assert!(get().await.bytes().await.is_err());

        let feed = upstream.answer_in_chunks();
        let mut answer = get().await;
        feed.send(b"one".to_vec()).unwrap();
        assert_eq!(answer.chunk().await.unwrap().unwrap(), "one");
        drop(feed);
        assert_eq!(answer.chunk().await.unwrap(), None);

        upstream.answer(Answer::status(200));
        upstream.hold();
        upstream.take_requests();
        let url = upstream.url();
        let held = tokio::spawn(async move { reqwest::get(url).await.unwrap().status() });
        upstream.await_request(|_| true).await;
        assert!(!held.is_finished());
        upstream.release();
        assert_eq!(held.await.unwrap(), 200);

        upstream.down().await;
        assert!(client.get(upstream.url()).send().await.is_err());
        upstream.up().await;
        assert_eq!(get().await.status(), 200);
    });
}

#[test]
fn the_recorder_counts_passes_and_fails() {
    story(async {
        let openfga = OpenFga::start(Version::Current).await;
        let recorder = Recorder::start(&openfga.url()).await;
        let store = openfga.create_store().await;
        openfga.write_model(&store, &guide_model()).await;
        let check = || {
            let url = format!("{}/stores/{store}/check", recorder.url());
            let key = json!({"user": "user:a", "relation": "viewer", "object": "feature:f"});
            client().post(url).json(&json!({"tuple_key": key}))
        };
        let answer = check().send().await.unwrap().json::<serde_json::Value>().await.unwrap();
        assert_eq!(answer["allowed"], false);
        recorder.set(Passage::Status(500));
        assert_eq!(check().send().await.unwrap().status(), 500);
        assert_eq!(recorder.count("/check"), 2);
        assert_eq!(recorder.calls()[0].body["tuple_key"]["user"], "user:a");

        recorder.set(Passage::Hang);
        let waiting = tokio::spawn(check().send());
        eventually("a third call", SOON, async || (recorder.count("/check") == 3).then_some(()))
            .await;
        assert!(!waiting.is_finished());
        recorder.set(Passage::Open);
        assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    });
}

#[test]
fn a_process_that_is_dropped_frees_its_port_and_shows_its_sockets() {
    story(async {
        let redis = Redis::start().await;
        let port = redis.url().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        assert!(accepts(port).await);
        let mine = free_port();
        let listener = std::net::TcpListener::bind(("127.0.0.1", mine)).unwrap();
        assert!(sockets::listening_ports(std::process::id()).contains(&mine));
        drop(listener);
        assert!(!sockets::listening_ports(std::process::id()).contains(&mine));
        drop(redis);
        assert!(!accepts(port).await);
    });
}

#[test]
fn what_outlives_the_test_run_is_killed() {
    story(async {
        let sleeper = || Process::spawn("sleeper", Command::new("sleep").arg("600"));
        let (left, dropped, own) = (sleeper(), sleeper(), sleeper());
        let mut reaper = Reaper::start();
        for process in [&left, &dropped, &own] {
            reaper.watch(process.pid());
        }
        reaper.forget(dropped.pid());
        reaper.forget(own.pid());
        drop(reaper);
        left.exit(SOON).await;
        assert!(own.exited().is_none() && dropped.exited().is_none());
    });
}

#[test]
fn every_attack_differs_from_the_honest_token_that_it_imitates() {
    story(async {
        let issuer = issuer::start_with(&[Algorithm::Rs256]).await;
        let honest = issuer.token("ann").sign().unwrap();
        let attacks = attack::all(&issuer, "ann");
        assert!(attacks.len() > 30);
        assert!(attacks.iter().all(|attack| attack.token != honest));
        let names = attacks.iter().map(|a| a.name).collect::<std::collections::HashSet<_>>();
        assert_eq!(names.len(), attacks.len());
        let pem = attack::public_key_pem(&issuer);
        assert!(jsonwebtoken::DecodingKey::from_rsa_pem(pem.as_bytes()).is_ok());
    });
}
