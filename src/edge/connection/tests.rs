use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::edge::patience::Overdue;
use crate::edge::refused::RefusedHead;

/// What clients are told whose heads are refused.
const REFUSED: &str = "HTTP/1.1 418 Refused";

/// The heads that were refused.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Vec<HeadFault>>);

impl RefuseHeads for Refused {
    fn refuse(&self, head: &RefusedHead) -> Bytes {
        self.0.lock().push(head.fault);
        Bytes::from_static(REFUSED.as_bytes())
    }
}

const PATIENCE: Patience = Patience {
    keepalive: secs(75),
    head: secs(10),
    read: secs(60),
    write: secs(30),
    websocket: secs(3600),
    head_bytes: 100,
};

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A connection, the client's end of it, and what is refused on it.
pub(super) fn connect() -> (Connection, DuplexStream, Arc<Refused>) {
    let (ours, client) = tokio::io::duplex(1024);
    let refused = Arc::new(Refused::default());
    let connection = Connection::new(Box::new(ours), PATIENCE, Arc::clone(&refused) as _);
    (connection, client, refused)
}

/// Reads until something is wrong or nothing comes any more: when, and why.
async fn outlast(connection: &mut Connection) -> (Duration, Option<Overdue>) {
    let began = timer_now();
    let mut buf = [0; 64];
    loop {
        match connection.read(&mut buf).await {
            Ok(0) => return (began.elapsed(), None),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                let cause = error.get_ref().unwrap().downcast_ref::<Overdue>();
                return (began.elapsed(), cause.copied());
            }
        }
    }
}

/// Sends a byte at each of these times.
async fn drip(mut client: DuplexStream, at: &[u64]) -> DuplexStream {
    let began = timer_now();
    for at in at {
        tokio::time::sleep_until(began + secs(*at)).await;
        client.write_all(b"x").await.unwrap();
    }
    client
}

fn about(time: Duration, expected: u64) -> bool {
    (secs(expected)..secs(expected) + Duration::from_millis(10)).contains(&time)
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_as_if_the_client_had_closed_it() {
    let (mut connection, _client, _) = connect();
    let (took, overdue) = outlast(&mut connection).await;
    assert!(about(took, 75), "{took:?}");
    assert_eq!(overdue, None);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_to_be_whole_in_time_however_it_trickles() {
    let (mut connection, client, refused) = connect();
    let client = tokio::spawn(drip(client, &[20, 22, 24, 26, 28]));
    let (took, overdue) = outlast(&mut connection).await;
    assert!(about(took, 30), "{took:?}");
    assert_eq!(overdue, Some(Overdue::Head));
    drop(connection);
    was_told(client.await.unwrap(), &refused, HeadFault::Slow).await;
}

/// That the client got one whole answer, for this reason.
async fn was_told(mut client: DuplexStream, refused: &Refused, fault: HeadFault) {
    let mut told = String::new();
    client.read_to_string(&mut told).await.unwrap();
    assert_eq!(told, REFUSED);
    assert_eq!(*refused.0.lock(), [fault]);
}

#[tokio::test(start_paused = true)]
async fn empty_lines_begin_no_head_and_win_no_time() {
    let (mut connection, mut client, _) = connect();
    let (took, overdue) = {
        let drip = tokio::spawn(async move {
            tokio::time::sleep(secs(70)).await;
            client.write_all(b"\r\n").await.unwrap();
            let mut told = String::new();
            client.read_to_string(&mut told).await.unwrap();
            told
        });
        let outcome = outlast(&mut connection).await;
        drop(connection);
        assert_eq!(drip.await.unwrap(), "");
        outcome
    };
    assert!(about(took, 75), "{took:?}");
    assert_eq!(overdue, None);
}

#[tokio::test(start_paused = true)]
async fn a_head_may_not_grow_for_ever() {
    let (mut connection, mut client, refused) = connect();
    let mut buf = [0; 64];
    for _ in 0..2 {
        client.write_all(&[b'x'; 64]).await.unwrap();
        assert_eq!(connection.read(&mut buf).await.unwrap(), 64);
    }
    client.write_all(b"x").await.unwrap();
    connection.read(&mut buf).await.unwrap_err();
    drop(connection);
    was_told(client, &refused, HeadFault::TooLarge).await;

    // What comes after a head does not count.
    let (mut connection, mut client, _) = connect();
    client.write_all(&[b'x'; 64]).await.unwrap();
    assert_eq!(connection.read(&mut buf).await.unwrap(), 64);
    connection.awaits(Awaited::Body);
    for _ in 0..10 {
        client.write_all(&[b'x'; 64]).await.unwrap();
        assert_eq!(connection.read(&mut buf).await.unwrap(), 64);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_before_there_is_a_request_is_answered_by_us() {
    for (lines, fault) in [(1, HeadFault::Unreadable), (300, HeadFault::TooLarge)] {
        let (mut connection, mut client, refused) = connect();
        client.write_all(&b"x\n".repeat(lines)).await.unwrap();
        let mut buf = [0; 1024];
        assert!(connection.read(&mut buf).await.unwrap() > 0);
        for part in ["HTTP/1.1 400 Bad Request\r\nServer: Pingora\r\n", "\r\n", "body"] {
            connection.write_all(part.as_bytes()).await.unwrap();
        }
        let parts = [io::IoSlice::new(b""), io::IoSlice::new(b"more")];
        assert!(connection.write_vectored(&parts).await.unwrap() > 0);
        drop(connection);
        was_told(client, &refused, fault).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_request_is_not_seen_before_it_is_wanted() {
    let (mut connection, mut client, _) = connect();
    let mut buf = [0; 64];
    client.write_all(b"first").await.unwrap();
    assert_eq!(connection.read(&mut buf).await.unwrap(), 5);
    connection.awaits(Awaited::Body);
    connection.answer_within(secs(20));
    connection.has_whole_request();
    client.write_all(b"second").await.unwrap();
    for _ in 0..2 {
        let wait = tokio::time::timeout(secs(5), connection.read(&mut buf[..1])).await;
        assert!(wait.is_err(), "the first one is still answered");
    }
    assert!(!connection.has_read_beyond(5));
    // The upstream has no more time for that.
    let (took, overdue) = outlast(&mut connection).await;
    assert!(about(took, 10), "{took:?}");
    assert_eq!(overdue, Some(Overdue::Answer));

    connection.awaits(Awaited::Request);
    let mut told = [0; 6];
    connection.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"second");
    assert!(!connection.has_read_beyond(6) && connection.has_read_beyond(5));
    drop(client);
    connection.has_whole_request();
    assert_eq!(connection.read(&mut buf).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_body_and_of_an_answer_renews_the_wait() {
    let (mut connection, client, _) = connect();
    connection.awaits(Awaited::Body);
    let client = tokio::spawn(drip(client, &[50, 100, 150]));
    let (took, overdue) = outlast(&mut connection).await;
    assert!(about(took, 210), "{took:?}");
    assert_eq!(overdue, Some(Overdue::Body));

    connection.answer_within(secs(5));
    connection.awaits(Awaited::Answer);
    let mut buf = [0; 1];
    for _ in 0..3 {
        let wait = tokio::time::timeout(secs(4), connection.read(&mut buf)).await;
        assert!(wait.is_err(), "the upstream has time");
        connection.progresses();
    }
    let (took, overdue) = outlast(&mut connection).await;
    assert!(about(took, 5), "{took:?}");
    assert_eq!(overdue, Some(Overdue::Answer));
    drop(client.await);
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_after_a_long_one_is_kept() {
    let (mut connection, mut client, _) = connect();
    connection.awaits(Awaited::Tunnel);
    let mut buf = [0; 64];
    assert!(tokio::time::timeout(secs(60), connection.read(&mut buf)).await.is_err());
    client.write_all(b"x").await.unwrap();
    assert_eq!(connection.read(&mut buf).await.unwrap(), 1);

    connection.answer_within(Duration::from_millis(1500));
    connection.awaits(Awaited::Answer);
    let (took, overdue) = outlast(&mut connection).await;
    assert!(took >= Duration::from_millis(1500) && took < secs(2), "{took:?}");
    assert_eq!(overdue, Some(Overdue::Answer));

    // A connection that is told to go on does.
    connection.awaits(Awaited::Request);
    let (took, overdue) = outlast(&mut connection).await;
    assert!(about(took, 75), "{took:?}");
    assert_eq!(overdue, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_left() {
    let (mut connection, mut client, _) = connect();
    connection.awaits(Awaited::Answer);
    let body = [b'x'; 4096];
    let began = timer_now();
    let reader = tokio::spawn(async move {
        let mut buf = [0; 512];
        for at in [20, 40, 60] {
            tokio::time::sleep_until(began + secs(at)).await;
            client.read_exact(&mut buf).await.unwrap();
        }
        client
    });
    let error = connection.write_all(&body).await.unwrap_err();
    assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&Overdue::Reading));
    assert!(about(began.elapsed(), 90), "{:?}", began.elapsed());
    drop(reader.await);
}
