use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::authz::Question;

/// What is answered to each call: one whole message, after which the connection ends.
struct Stub {
    client: OpenFga,
    server: tokio::task::JoinHandle<()>,
}

impl Stub {
    async fn answering(message: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // A server that says nothing need not be waited for long.
        let timeout = Duration::from_millis(if message.is_empty() { 20 } else { 60_000 });
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = Vec::new();
                // Neither checks nor look-ups are longer than what one read brings.
                stream.read_buf(&mut asked).await.unwrap();
                // A client that has seen enough hangs up.
                let _ = stream.write_all(&message).await;
                if message.is_empty() {
                    std::future::pending::<()>().await;
                }
            }
        });
        let settings = OpenFgaSettings {
            url: url.parse().unwrap(),
            store_id: "STORE".to_owned(),
            api_token: None,
            timeout,
        };
        Self { client: OpenFga::new(settings).unwrap(), server }
    }

    async fn check(&self) -> Result<bool, CheckFault> {
        let question = Question {
            user: "user:ann",
            relation: "viewer",
            object: "feature:reports",
            rule: "reports",
            consistency: ConsistencyPreference::MinimizeLatency,
        };
        self.client.decide(&question.to_check(1), "MODEL").await
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn message(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

const JSON: &str = "Content-Type: application/json\r\n";
const ALLOW: &str = r#"{"allowed":true,"resolution":""}"#;

#[tokio::test]
async fn openfga_s_own_answers_are_read() {
    for (headers, body, allowed) in [
        (JSON, ALLOW, true),
        (JSON, r#"{"allowed":false, "resolution":""}"#, false),
        (JSON, " \r\n\t{\"allowed\":true}\n", true),
        ("Content-Type: application/json; charset=utf-8\r\n", ALLOW, true),
        (JSON, r#"{"allowed":true,"more":[{"allowed":false}]}"#, true),
    ] {
        let stub = Stub::answering(message(200, headers, body)).await;
        assert_eq!(stub.check().await.unwrap(), allowed, "{headers} {body}");
    }
}

/// Whole messages that are no answer, whatever was asked.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let huge = format!(r#"{{"allowed":true,"x":"{}"}}"#, "x".repeat(MAX_BODY));
    let deep = format!(r#"{{"x":{}{},"allowed":true}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let mut messages: Vec<_> = [201, 202, 203, 204, 205, 206, 226, 299, 300, 302, 304]
        .into_iter()
        .map(|status| ("another status", message(status, JSON, ALLOW)))
        .collect();
    messages.extend([
        ("no content type", message(200, "", ALLOW)),
        ("HTML", message(200, "Content-Type: text/html\r\n", ALLOW)),
        ("a list of types", message(200, "Content-Type: application/json, text/html\r\n", ALLOW)),
        ("two types", message(200, &JSON.repeat(2), ALLOW)),
        ("a list", message(200, JSON, "[true]")),
        ("a list of lists", message(200, JSON, "[[true]]")),
        ("nothing", message(200, JSON, "")),
        ("white space", message(200, JSON, " \n")),
        ("an empty object", message(200, JSON, "{}")),
        ("a bare true", message(200, JSON, "true")),
        ("null", message(200, JSON, "null")),
        ("a text", message(200, JSON, r#"{"allowed":"true"}"#)),
        ("a number", message(200, JSON, r#"{"allowed":1}"#)),
        ("null inside", message(200, JSON, r#"{"allowed":null}"#)),
        ("a list inside", message(200, JSON, r#"{"allowed":[true]}"#)),
        ("another case", message(200, JSON, r#"{"Allowed":true}"#)),
        ("twice", message(200, JSON, r#"{"allowed":true,"allowed":true}"#)),
        ("both ways", message(200, JSON, r#"{"allowed":false,"allowed":true}"#)),
        ("no end", message(200, JSON, r#"{"allowed":true"#)),
        ("too much", message(200, JSON, r#"{"allowed":true}{"allowed":true}"#)),
        ("a comma too much", message(200, JSON, r#"{"allowed":true,}"#)),
        ("a byte order mark", message(200, JSON, "\u{feff}{\"allowed\":true}")),
        ("huge", message(200, JSON, &huge)),
        ("deep", message(200, JSON, &deep)),
        ("no HTTP", b"+OK\r\n".to_vec()),
        ("an old server", b"HTTP/0.9 200 OK\r\n\r\n{\"allowed\":true}".to_vec()),
        ("cut off", {
            let mut cut = message(200, JSON, ALLOW);
            cut.truncate(cut.len() - 3);
            cut
        }),
        ("bad chunks", format!(
            "HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\nzz\r\n{ALLOW}\r\n0\r\n\r\n"
        ).into_bytes()),
        ("an error page", message(400, "Content-Type: text/html\r\n", "<h1>Bad Request</h1>")),
        ("an error that is a list", message(400, JSON, r#"["validation_error","x"]"#)),
        ("an error without a code", message(400, JSON, r#"{"message":"x"}"#)),
        ("an error that allows", message(500, JSON, ALLOW)),
        ("a gateway's error", message(502, "Content-Type: text/html\r\n", "<h1>502</h1>")),
    ]);
    messages
}

#[tokio::test]
async fn an_odd_answer_is_no_answer() {
    for (name, message) in hostile() {
        let stub = Stub::answering(message).await;
        let fault = stub.check().await.expect_err(name);
        assert!(!fault.is_about_the_question(), "{name}: {fault}");
        assert!(fault.to_string().len() < 2 * MAX_WORDS, "{name}: {fault}");
        assert!(stub.client.latest_model().await.is_err(), "{name}");
        assert!(stub.client.model("MODEL").await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_none() {
    let stub = Stub::answering(Vec::new()).await;
    assert!(matches!(stub.check().await, Err(CheckFault::Deadline)));
    assert!(matches!(stub.client.latest_model().await, Err(CheckFault::Deadline)));
}

#[tokio::test]
async fn an_error_of_openfga_is_kept_apart_and_short() {
    let body = json!({"code": "c".repeat(10_000), "message": "m".repeat(100_000)}).to_string();
    for (status, is_about_the_question) in
        [(400, true), (401, false), (403, false), (404, false), (408, false), (409, false)]
            .into_iter()
            .chain([(422, true), (429, false), (500, false), (503, false)])
    {
        let stub = Stub::answering(message(status, JSON, &body)).await;
        let fault = stub.check().await.unwrap_err();
        assert!(matches!(fault, CheckFault::Refused { .. }), "{status}: {fault}");
        assert_eq!(fault.is_about_the_question(), is_about_the_question, "{status}");
        assert!(fault.to_string().len() < 3 * MAX_WORDS, "{status}");
    }
}

#[tokio::test]
async fn a_pause_is_kept_when_the_server_asks_for_one() {
    for (status, headers, expected) in [
        (429, "Retry-After: 3\r\n", Some(3)),
        (503, "Retry-After: 7200\r\nContent-Type: text/html\r\n", Some(10)),
        (429, "Retry-After: soon\r\n", None),
        (500, "Retry-After: 3\r\n", None),
        (429, "", None),
    ] {
        let stub = Stub::answering(message(status, headers, "")).await;
        let seconds = match stub.check().await.unwrap_err() {
            CheckFault::Busy { pause, .. } => Some(pause.as_secs()),
            _ => None,
        };
        assert_eq!(seconds, expected, "{status} {headers}");
    }
}

#[tokio::test]
async fn models_are_read_and_another_one_than_asked_for_is_none() {
    let model = json!({"id": "M", "type_definitions": []});
    let page = json!({"authorization_models": [model], "continuation_token": ""}).to_string();
    let stub = Stub::answering(message(200, JSON, &page)).await;
    assert_eq!(stub.client.latest_model().await.unwrap(), Some(model.clone()));

    let none = json!({"authorization_models": []}).to_string();
    let stub = Stub::answering(message(200, JSON, &none)).await;
    assert_eq!(stub.client.latest_model().await.unwrap(), None);

    let answer = json!({"authorization_model": model}).to_string();
    let stub = Stub::answering(message(200, JSON, &answer)).await;
    assert_eq!(stub.client.model("M").await.unwrap(), model);
    assert!(stub.client.model("N").await.is_err());
    for odd in [json!({"authorization_model": null}), json!({"authorization_models": {"id": "M"}})]
    {
        let stub = Stub::answering(message(200, JSON, &odd.to_string())).await;
        assert!(stub.client.model("M").await.is_err(), "{odd}");
        assert!(stub.client.latest_model().await.is_err(), "{odd}");
    }
}
