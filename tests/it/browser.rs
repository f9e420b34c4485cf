//! What browsers make of it.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::credentials::protocol;
use crate::support::browser::Page;
use crate::support::upstream::Answer;
use crate::support::{Mint, World, story};

/// Opens WebSockets one after the other, says hello on each and reports how it went.
const SCRIPT: &str = "
document.cookie = COOKIE;
const attempt = (name, protocols) => new Promise(done => {
  const seen = {name};
  const socket = new WebSocket(ADDRESS, protocols);
  socket.onopen = () => { seen.protocol = socket.protocol; socket.send('hello'); };
  socket.onmessage = message => { seen.echo = message.data; socket.close(1000); };
  socket.onclose = end => { seen.code = end.code; done(seen); };
});
(async () => {
  for (const [name, protocols] of ATTEMPTS) report(JSON.stringify(await attempt(name, protocols)));
})();
";

/// A page of `listener` that makes these attempts, with a cookie for its host.
fn page(listener: TcpListener, world: &World, cookie: &str, attempts: &Value) -> Page {
    let address = format!("ws://{}/api/socket", world.gateway.authority());
    let values =
        format!("const ADDRESS = '{address}', COOKIE = '{cookie}', ATTEMPTS = {attempts};");
    Page::serve(listener, &format!("{values}{SCRIPT}"))
}

async fn report(page: &mut Page) -> Value {
    serde_json::from_str(&page.report().await).unwrap()
}

/// The attempt of this name opens, with this subprotocol.
async fn opens(page: &mut Page, world: &World, name: &str, protocol: &str, user: &str) {
    let seen = json!({"name": name, "protocol": protocol, "echo": "hello", "code": 1000});
    assert_eq!(report(page).await, seen);
    let request = world.upstream.only_request();
    assert_eq!(request.header("x-user-id"), Some(user));
    assert_eq!(request.header("sec-websocket-protocol"), None);
    assert_eq!(request.header("cookie"), None);
}

async fn fails(page: &mut Page, world: &World, name: &str) {
    assert_eq!(report(page).await, json!({"name": name, "code": 1006}));
    world.saw_nothing();
}

#[test]
fn websockets_open_in_chromium_for_whoever_is_admitted() {
    story(async {
        let ours = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", ours.local_addr().unwrap());
        let world = World::build()
            .without_redis()
            .env("ALLOWED_ORIGINS", &origin)
            .set("credentials.sources", "websocket_protocol, cookie:sid")
            .start()
            .await;
        world.upstream.answer(Answer::WebSocket(None));
        let user = world.viewer("ann").await;
        let token = world.token(&user).jwt();
        let (offered, cookie) = (protocol(&token), format!("sid={token}"));
        let stranger = protocol(&world.token(&World::user("bob")).jwt());

        let attempts = json!([
            ["companion", [offered, "auth-gateway"]],
            ["other way round", ["auth-gateway", offered]],
            ["alone", [offered]],
            ["denied", [stranger, "auth-gateway"]],
        ]);
        let mut page_of_ours = page(ours, &world, "", &attempts);
        {
            let _browser = page_of_ours.open();
            let page = &mut page_of_ours;
            opens(page, &world, "companion", "auth-gateway", &user).await;
            opens(page, &world, "other way round", "auth-gateway", &user).await;
            fails(page, &world, "alone").await;
            fails(page, &world, "denied").await;
        }
        // Cookies know no ports: whatever else runs on this host can make browsers send them.
        let theirs = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let attempts = json!([["cookie", []], ["both", [offered, "auth-gateway"]]]);
        let mut page_of_theirs = page(theirs, &world, &cookie, &attempts);
        let _browser = page_of_theirs.open();
        fails(&mut page_of_theirs, &world, "cookie").await;
        opens(&mut page_of_theirs, &world, "both", "auth-gateway", &user).await;
    });
}

#[test]
fn a_cookie_opens_a_websocket_in_chromium_from_an_allowed_page() {
    story(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let world = World::build()
            .without_redis()
            .env("ALLOWED_ORIGINS", &origin)
            .set("credentials.sources", "cookie:sid")
            .start()
            .await;
        world.upstream.answer(Answer::WebSocket(None));
        let user = world.viewer("ann").await;
        let cookie = format!("sid={}", world.token(&user).jwt());
        let mut page = page(listener, &world, &cookie, &json!([["cookie", []]]));
        let _browser = page.open();
        opens(&mut page, &world, "cookie", "", &user).await;
    });
}
