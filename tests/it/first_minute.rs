//! `auth-gateway dev`: what a developer sees who has just found this gateway.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::BINARY;
use crate::support::process::{Process, free_port};
use crate::support::{SOON, eventually, story};

struct Dev(Process);

impl Dev {
    fn launch(words: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).arg("dev").args(words);
        // Set for another gateway: the sandbox is its own.
        command.env("ZITADEL_ISSUER_URL", "").env("ZITADEL_KEY_FILE", "/absent/key.json");
        Self(Process::spawn("auth-gateway dev", &mut command))
    }

    /// Waits for the whole welcome.
    async fn start(words: &[&str]) -> Self {
        let dev = Self::launch(words);
        dev.0.ready(async || dev.lines().iter().any(|line| line.starts_with("Ctrl-C"))).await;
        dev
    }

    fn lines(&self) -> Vec<String> {
        self.0.output().stdout()
    }

    /// Where the welcome says that a part is.
    fn authority(&self, part: &str) -> String {
        let lines = self.lines();
        let line = lines.iter().find_map(|line| line.strip_prefix(&format!("{part} ")));
        let url = line.unwrap_or_else(|| panic!("no {part} in {lines:?}")).trim();
        let authority = url.strip_prefix("http://").unwrap().split([' ', '/']).next();
        authority.unwrap().to_owned()
    }

    fn port(&self, part: &str) -> u16 {
        self.authority(part).rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Both outputs of one that ends by itself.
    async fn ended(words: &[&str]) -> (Option<i32>, Vec<String>, String) {
        let dev = Self::launch(words);
        let status = dev.0.exit(SOON * 3).await.code();
        let said = eventually("it says why", SOON, async || {
            let said = dev.0.output().stderr().join("\n");
            (!said.is_empty()).then_some(said)
        });
        (status, dev.lines(), said.await)
    }
}

/// Runs a line that was printed to be copied.
async fn shell(line: &str) -> String {
    let mut command = tokio::process::Command::new("bash");
    let output = command.arg("-c").arg(line).output().await.expect("bash runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

fn written(folder: &TempDir, name: &str, content: &Value) -> String {
    let file = folder.path().join(name);
    std::fs::write(&file, content.to_string()).unwrap();
    path(&file).to_owned()
}

#[test]
fn the_sandbox_does_what_it_prints_and_prints_nothing_before() {
    story(async {
        let dev = Dev::start(&["--port", "0"]).await;
        let printed = dev.lines();
        assert!(printed[0].starts_with("gateway      http://127.0.0.1:"), "{printed:?}");
        let is_line = |line: &&String| line.starts_with("curl ") || line.starts_with("for ");
        let lines: Vec<_> = printed.iter().filter(is_line).collect();
        let expected = [" 200 ", " 403 ", " 401 ", "{}", " 200 ", "{}", " 403 "];
        assert_eq!(lines.len(), expected.len() + 1, "{printed:?}");
        for (line, expected) in lines.iter().zip(expected) {
            let answer = shell(line).await;
            let first = answer.lines().next().unwrap_or_default();
            assert!(format!("{first} ").contains(expected), "{line}\n{answer}");
        }
        let statuses = shell(lines.last().unwrap()).await;
        let statuses: Vec<_> = statuses.split_whitespace().collect();
        assert!(statuses.len() > 100 && statuses[0] == "200", "{statuses:?}");
        assert_eq!(statuses.last(), Some(&"429"), "{statuses:?}");

        let logged: Vec<_> = dev.lines().into_iter().filter(|l| l.starts_with('{')).collect();
        let is_alarming = |line: &&String| line.contains("WARN") || line.contains("ERROR");
        let alarms: Vec<_> = logged.iter().filter(is_alarming).collect();
        assert!(!logged.is_empty() && alarms.is_empty(), "{alarms:?}");
        assert!(dev.0.output().stderr().is_empty(), "{:?}", dev.0.output().stderr());
        let gateway = dev.authority("gateway");
        dev.0.signal(Signal::SIGINT);
        dev.0.exit(SOON).await;
        assert!(std::net::TcpStream::connect(gateway).is_err());
    });
}

#[test]
fn the_next_four_ports_are_taken_where_the_usual_ones_are_not_free_and_it_says_so() {
    story(async {
        // One of these two finds the ports taken: by the other, if by nobody else on this machine.
        let (one, other) = tokio::join!(Dev::start(&[]), Dev::start(&[]));
        for dev in [&one, &other] {
            let first = dev.port("gateway");
            let ports = ["admin", "issuer", "application"].map(|part| dev.port(part));
            assert_eq!(ports, [first + 1, first + 2, first + 3], "{:?}", dev.lines());
            let issuer = dev.authority("issuer");
            let line = format!(
                "curl -si http://127.0.0.1:{first}/api/reports -H \"Authorization: Bearer $(curl -s \
                 http://{issuer}/token/ann)\""
            );
            assert!(shell(&line).await.starts_with("HTTP/1.1 200 "));
        }
        assert_ne!(one.port("gateway"), other.port("gateway"));
        let moved: Vec<_> =
            [&one, &other].into_iter().filter(|dev| dev.port("gateway") != 3000).collect();
        assert!(!moved.is_empty());
        for dev in moved {
            let first = &dev.lines()[0];
            let told = format!("taken; the gateway is on {}, admin on", dev.port("gateway"));
            assert!(first.contains(&told) && first.starts_with("300"), "{first}");
        }
    });
}

#[test]
fn a_port_that_was_asked_for_is_had_or_the_sandbox_ends() {
    story(async {
        let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = occupied.local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let server = written(&folder, "server.yaml", &json!({"server": {"listen": taken}}));
        let admin = written(&folder, "admin.yaml", &json!({"admin": {"listen": taken}}));
        let cases: [(&[&str], &str); 4] = [
            (&["--port", "0", "--listen", &taken], "server.listen (--listen)"),
            (&["--port", "0", "--admin-listen", &taken], "admin.listen (--admin-listen)"),
            (&["--port", "0", "--config", &server], "server.listen (--listen)"),
            (&["--port", "0", "--config", &admin], "admin.listen (--admin-listen)"),
        ];
        for (words, key) in cases {
            let (status, printed, said) = Dev::ended(words).await;
            assert_eq!(status, Some(1), "{words:?}: {said}");
            assert!(printed.is_empty(), "{words:?}: {printed:?}");
            let expected = format!(
                "auth-gateway: {key}: cannot listen on {taken}: the port is taken; end what listens \
                 there, or choose another address"
            );
            assert_eq!(said, expected, "{words:?}");
        }
        let port = taken.rsplit(':').next().unwrap();
        let (status, _, said) = Dev::ended(&["--port", port]).await;
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(&format!("--port {port}: {port} is taken")), "{said}");
    });
}

#[test]
fn a_configuration_of_its_own_is_obeyed() {
    story(async {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("documents.fga.yaml");
        let text = "model: |\n  model\n    schema 1.1\n  type user\n  type document\n    relations\n      \
            define reader: [user]\ntuples:\n  - user: user:ann\n    relation: reader\n    object: \
            document:plan\n";
        std::fs::write(&model, text).unwrap();
        let [listen, admin] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        let config = written(
            &folder,
            "gateway.yaml",
            &json!({
                "server": {"listen": listen},
                "admin": {"listen": admin},
                "authz": {"mode": "embedded", "model_file": path(&model)},
            }),
        );
        let rules = json!([
            {"path": "/documents/{id}", "method": "GET", "feature": "documents",
                "object": "document:{id}", "action": "reader"},
            {"path": "/stores/*path", "method": "*", "feature": "public_access", "target": "openfga"},
        ]);
        let rules = written(&folder, "rules.json", &rules);
        let dev = Dev::start(&["--port", "0", "--config", &config, "--rules", &rules]).await;
        assert_eq!(
            [dev.authority("gateway"), dev.authority("admin")],
            [listen.clone(), admin.clone()]
        );
        let ask = async |user: &str| {
            let mint = format!("http://{}/token/{user}", dev.authority("issuer"));
            let line = format!(
                "curl -si -H \"Authorization: Bearer $(curl -s {mint})\" http://{listen}/documents/plan"
            );
            shell(&line).await
        };
        assert!(ask("ann").await.starts_with("HTTP/1.1 200 "));
        assert!(ask("bob").await.starts_with("HTTP/1.1 403 "));
        assert!(
            shell(&format!("curl -si http://{admin}/readyz")).await.starts_with("HTTP/1.1 200 ")
        );
        let printed = dev.lines();
        let welcome = printed.iter().position(|line| line.starts_with("Ctrl-C")).unwrap();
        let warning = printed.iter().position(|line| line.contains("public rule to OpenFGA's API"));
        assert!(warning.is_some_and(|warning| warning > welcome), "{printed:?}");
        assert!(!printed.iter().any(|line| line.contains("/api/reports")), "{printed:?}");
    });
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    story(async {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        let no_model = json!({"authz": {"mode": "embedded", "model_file": path(&absent)}});
        let no_model = written(&folder, "model.yaml", &no_model);
        let model = folder.path().join("model.fga");
        std::fs::write(&model, "model\n  schema 1.1\ntype user\n").unwrap();
        let no_tuples = json!({"authz": {"mode": "embedded", "model_file": path(&model),
            "tuples_file": path(&absent)}});
        let no_tuples = written(&folder, "tuples.yaml", &no_tuples);
        let broken = written(&folder, "broken.json", &json!({"not": "a list"}));
        let cases: [(&[&str], &str); 5] = [
            (&["--config", path(&absent)], path(&absent)),
            (&["--config", &no_model], path(&absent)),
            (&["--config", &no_tuples], path(&absent)),
            (&["--rules", path(&absent)], path(&absent)),
            (&["--rules", &broken], &broken),
        ];
        for (words, named) in cases {
            let (status, printed, said) = Dev::ended(&[words, &["--port", "0"]].concat()).await;
            assert_eq!(status, Some(78), "{words:?}: {said}");
            assert!(said.contains(named), "{words:?}: {said}");
            assert!(printed.is_empty(), "{words:?}: {printed:?}");
        }
    });
}
