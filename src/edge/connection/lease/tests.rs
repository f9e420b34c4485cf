use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::edge::connection::Connection;
use crate::edge::connection::tests::{connect, secs};
use crate::edge::patience::Awaited;

const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
/// A client's answer to a close frame.
const CLIENT_CLOSE: &[u8] = b"\x88\x82\x01\x02\x03\x04\x02\xf2";

/// A tunnel of ten seconds, whose answer's head has been sent, and the client's end of it.
async fn open() -> (Connection, DuplexStream) {
    let (mut connection, mut client, _) = connect();
    connection.awaits(Awaited::Tunnel);
    connection.ends_after(secs(10), 0);
    connection.write_all(HEAD).await.unwrap();
    let mut head = vec![0; HEAD.len()];
    client.read_exact(&mut head).await.unwrap();
    (connection, client)
}

/// Everything that goes to the upstream, until the connection ends; when and why it does.
async fn relay(connection: &mut Connection) -> (Vec<u8>, Duration, Option<Overdue>) {
    let began = timer_now();
    let mut relayed = Vec::new();
    loop {
        match connection.read_buf(&mut relayed).await {
            Ok(0) => return (relayed, began.elapsed(), None),
            Ok(_) => {}
            Err(error) => {
                let cause = error.get_ref().and_then(|cause| cause.downcast_ref()).copied();
                return (relayed, began.elapsed(), cause);
            }
        }
    }
}

async fn everything(client: &mut DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    all
}

fn about(time: Duration, expected: u64) -> bool {
    (secs(expected)..secs(expected) + Duration::from_millis(10)).contains(&time)
}

#[tokio::test(start_paused = true)]
async fn both_ends_are_told_when_the_time_is_over() {
    let (mut connection, mut client) = open().await;
    let client = tokio::spawn(async move {
        client.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
        let mut told = vec![0; TO_CLIENT.len()];
        client.read_exact(&mut told).await.unwrap();
        assert_eq!(told, TO_CLIENT);
        client.write_all(CLIENT_CLOSE).await.unwrap();
        client
    });
    let (relayed, took, cause) = relay(&mut connection).await;
    assert_eq!(relayed, [b"\x81\x82\0\0\0\0hi", TO_UPSTREAM].concat());
    assert!(about(took, 10), "{took:?}");
    assert_eq!(cause, Some(Overdue::Token));
    assert!(connection.has_expired());
    drop(client.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_is_not_waited_for() {
    let (mut connection, mut client) = open().await;
    let (relayed, took, cause) = relay(&mut connection).await;
    assert_eq!((relayed.as_slice(), cause), (TO_UPSTREAM, Some(Overdue::Token)));
    assert!(about(took, 15), "{took:?}");
    drop(connection);
    assert_eq!(everything(&mut client).await, TO_CLIENT);
}

#[tokio::test(start_paused = true)]
async fn a_frame_on_its_way_is_finished_first() {
    let (mut connection, mut client) = open().await;
    // Half a frame in each direction.
    connection.write_all(b"\x81\x04ab").await.unwrap();
    client.write_all(b"\x81\x83\0\0\0\0x").await.unwrap();
    let mut relayed = vec![0; 7];
    connection.read_exact(&mut relayed).await.unwrap();
    tokio::time::sleep(secs(11)).await;

    let mut buf = [0; 64];
    let wait = tokio::time::timeout(secs(1), connection.read(&mut buf)).await;
    assert!(wait.is_err(), "neither is between two frames");
    // The rest of each, and what nobody is to see.
    connection.write_all(b"cd\x81\x03bad").await.unwrap();
    client.write_all(b"yz\x81\x83\0\0\0\0bad").await.unwrap();
    client.write_all(CLIENT_CLOSE).await.unwrap();
    let (relayed, _, cause) = relay(&mut connection).await;
    assert_eq!(relayed, [b"yz", TO_UPSTREAM].concat());
    assert_eq!(cause, Some(Overdue::Token));
    connection.write_all(b"\x81\x03bad").await.unwrap();
    drop(connection);
    assert_eq!(everything(&mut client).await, [b"\x81\x04abcd", TO_CLIENT].concat());
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_never_over_is_cut() {
    let (mut connection, mut client) = open().await;
    connection.write_all(b"\x81\x04ab").await.unwrap();
    client.write_all(b"\x81\x83\0\0\0\0x").await.unwrap();
    let (relayed, took, cause) = relay(&mut connection).await;
    assert_eq!((relayed.as_slice(), cause), (&b"\x81\x83\0\0\0\0x"[..], Some(Overdue::Token)));
    assert!(about(took, 15), "{took:?}");
    drop(connection);
    assert_eq!(everything(&mut client).await, b"\x81\x04ab");
}

#[tokio::test(start_paused = true)]
async fn a_busy_tunnel_ends_in_time_too() {
    let (mut connection, mut client) = open().await;
    let chatter = tokio::spawn(async move {
        let mut sent = 0;
        while client.write_all(b"\x82\x81\0\0\0\0x").await.is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        (sent, client)
    });
    let (relayed, took, cause) = relay(&mut connection).await;
    assert!(about(took, 15), "{took:?}");
    assert_eq!(cause, Some(Overdue::Token));
    assert_eq!(relayed.len() - TO_UPSTREAM.len(), 100 * 7);
    assert!(relayed.ends_with(TO_UPSTREAM));
    drop(connection);
    let (sent, mut client) = chatter.await.unwrap();
    assert!(sent > 100, "the client went on");
    assert_eq!(everything(&mut client).await, TO_CLIENT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_not_waited_for() {
    let (mut connection, _client) = open().await;
    let began = timer_now();
    let error = connection.write_all(&[0x82; 4096]).await.unwrap_err();
    assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&Overdue::Token));
    assert!(about(began.elapsed(), 15), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_closing_already_is_not_told_again() {
    let (mut connection, mut client) = open().await;
    connection.write_all(b"\x88\x02\x03\xe8").await.unwrap();
    client.write_all(CLIENT_CLOSE).await.unwrap();
    let (relayed, _, cause) = relay(&mut connection).await;
    assert_eq!((relayed.as_slice(), cause), (CLIENT_CLOSE, Some(Overdue::Token)));
    drop(connection);
    assert_eq!(everything(&mut client).await, b"\x88\x02\x03\xe8");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_is_told_nothing_where_frames_have_gone_by_unseen() {
    let (mut connection, mut client, _) = connect();
    connection.awaits(Awaited::Tunnel);
    connection.ends_after(secs(10), 7);
    connection.write_all(HEAD).await.unwrap();
    let (relayed, took, cause) = relay(&mut connection).await;
    assert_eq!((relayed.as_slice(), cause), (&b""[..], Some(Overdue::Token)));
    assert!(about(took, 15), "{took:?}");
    drop(connection);
    assert_eq!(everything(&mut client).await, [HEAD, TO_CLIENT].concat());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_when_the_client_has_answered() {
    let (mut connection, mut client) = open().await;
    tokio::time::sleep(secs(11)).await;
    let mut told = vec![0; TO_UPSTREAM.len()];
    connection.read_exact(&mut told).await.unwrap();
    // The upstream closes first: Pingora reads no more.
    let began = timer_now();
    let client = tokio::spawn(async move {
        tokio::time::sleep(secs(2)).await;
        client.write_all(b"\x82\x81\0\0\0\0x").await.unwrap();
        client.write_all(CLIENT_CLOSE).await.unwrap();
        everything(&mut client).await
    });
    connection.shutdown().await.unwrap();
    assert!(about(began.elapsed(), 2), "{:?}", began.elapsed());
    assert_eq!(client.await.unwrap(), TO_CLIENT);
}
