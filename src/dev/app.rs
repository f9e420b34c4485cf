//! The sample application: it answers every request with what it received.

use std::io;
use std::net::{SocketAddr, TcpListener};

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::server::Server;

/// An application that shows what reaches an upstream behind the gateway.
#[derive(Debug)]
pub struct App {
    server: Server,
}

impl App {
    /// Serves until dropped. Port 0 takes any free port.
    pub async fn start(listen: SocketAddr) -> io::Result<Self> {
        Self::on(tokio::net::TcpListener::bind(listen).await?.into_std()?)
    }

    /// The same on a listener that is open already.
    pub(super) fn on(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { server: Server::on(listener, |_| Router::new().fallback(show))? })
    }

    /// What `UPSTREAM_URL` has to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }
}

async fn show(request: Request) -> Json<Value> {
    let user = request.headers().get("x-user-id").map(|v| String::from_utf8_lossy(v.as_bytes()));
    Json(json!({
        "method": request.method().as_str(),
        "path": request.uri().to_string(),
        "user": user,
        "headers": all_values(request.headers()),
    }))
}

fn all_values(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .keys()
        .map(|name| {
            let values = headers.get_all(name).iter();
            let values = values.map(|v| String::from_utf8_lossy(v.as_bytes())).collect::<Vec<_>>();
            (name.to_string(), json!(values))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_application_shows_the_user_and_every_header() {
        let app = App::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request =
            client.post(format!("{}/orders?page=2", app.url())).header("X-User-ID", "ann");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();

        assert_eq!(answer["method"], "POST");
        assert_eq!(answer["path"], "/orders?page=2");
        assert_eq!(answer["user"], "ann");
        assert_eq!(answer["headers"]["x-user-id"], json!(["ann"]));
    }
}
