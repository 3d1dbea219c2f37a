//! The probe against servers that do their worst.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::sandbox::network::{HttpRequest, TcpEnd, TcpExchange, WebSocketEvent, WebSocketTalk};

/// Answers one question; what comes in parts goes nowhere.
async fn reply(ask: Ask) -> Reply {
    let (answers, _) = mpsc::channel(1);
    super::reply(ask, &Pieces { id: 0, answers }).await
}

async fn within(deadline: Duration, ask: Ask) -> Reply {
    let (answers, _) = mpsc::channel(1);
    super::within(deadline, ask, &Pieces { id: 0, answers }).await
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server that reads the head of one request and then says `first`, and `again` for ever.
async fn hostile(first: &'static [u8], again: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let mut going = stream.write_all(first).await.is_ok();
        while going && !again.is_empty() {
            going = stream.write_all(again).await.is_ok();
        }
    });
    port
}

fn first_page(port: u16) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        port,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        body: None,
        within: Duration::from_secs(5),
        cap_bytes: 1000,
    }
}

async fn get(port: u16, within_ms: u64) -> Reply {
    let request = HttpRequest { within: Duration::from_millis(within_ms), ..first_page(port) };
    within(Duration::from_secs(20), Ask::Http { address: LOCAL, host: "app".into(), request }).await
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let port = hostile(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096]).await;
    match get(port, 5000).await {
        Reply::Http { status: 200, body, truncated: true, .. } => assert_eq!(body.len(), 1000),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn endless_headers_are_not_kept() {
    let port =
        hostile(b"HTTP/1.1 200 OK\r\n", b"X-Flood: 0123456789012345678901234567890123456789\r\n").await;
    assert!(matches!(get(port, 5000).await, Reply::Silent(Silence::Garbled(_))));
}

#[tokio::test]
async fn garbage_is_called_garbage() {
    let port = hostile(b"SSH-2.0-OpenSSH_9.2\r\n", b"").await;
    assert!(matches!(get(port, 5000).await, Reply::Silent(Silence::Garbled(_))));
}

#[tokio::test]
async fn a_connection_closed_at_once_is_told() {
    let port = hostile(b"", b"").await;
    match get(port, 5000).await {
        Reply::Silent(Silence::Garbled(words)) => assert!(words.contains("closed the connection"), "{words}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_slow_head_runs_into_the_deadline() {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(b"H").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
    });
    assert!(matches!(get(port, 200).await, Reply::Silent(Silence::TimedOut)));
}

#[tokio::test]
async fn a_body_that_never_ends_is_kept_as_far_as_it_came() {
    let port = hostile(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", b"").await;
    // The connection closes: broken off, not merely slow.
    assert!(matches!(get(port, 5000).await, Reply::Silent(Silence::Garbled(_))));
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
    match get(port, 200).await {
        Reply::Http { body, truncated: true, .. } => assert_eq!(body, b"part"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_redirect_and_a_compressed_body_come_as_they_are() {
    let port = hostile(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
        b"",
    )
    .await;
    match get(port, 5000).await {
        Reply::Http { status: 302, body, truncated: false, headers, .. } => {
            assert_eq!(body, b"\x1f\x8b\x08\x00");
            assert!(headers.contains(&("location".into(), "http://169.254.169.254/".into())));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_sent_as_asked() {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\nhello") {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    let request = HttpRequest {
        method: "PUT".into(),
        port,
        path: "/a?b=c".into(),
        host: None,
        headers: vec![("X-One".into(), "1".into())],
        body: Some(Bytes::from_static(b"hello")),
        within: Duration::from_secs(5),
        cap_bytes: 10,
    };
    let line = serde_json::to_string(&Request {
        id: 1,
        ask: Ask::Http { address: LOCAL, host: "app:8080".into(), request },
        within_ms: 5000,
    })
    .unwrap();
    let request: Request = serde_json::from_str(&line).unwrap();
    assert!(matches!(reply(request.ask).await, Reply::Http { status: 204, .. }));
    let seen = server.await.unwrap();
    assert!(seen.starts_with("PUT /a?b=c HTTP/1.1\r\n"), "{seen}");
    for header in ["x-one: 1\r\n", "host: app:8080\r\n", "content-length: 5\r\n"] {
        assert!(seen.contains(header), "{header} is not in {seen}");
    }
}

#[tokio::test]
async fn a_closed_port_refuses_and_an_open_one_is_waited_for() {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    assert!(matches!(reply(Ask::Connect { address }).await, Reply::Connected { .. }));
    drop(listener);
    assert!(matches!(reply(Ask::Connect { address }).await, Reply::Silent(Silence::Refused)));
    let waiting = tokio::spawn(within(Duration::from_secs(5), Ask::WaitForPort { port: address.port() }));
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!waiting.is_finished());
    let _listener = TcpListener::bind(address).await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Reply::Connected { .. }));
}

/// Every part of an answer, and its end.
async fn parts(ask: Ask) -> (Vec<Reply>, Reply) {
    let (answers, mut incoming) = mpsc::channel(64);
    let collecting = tokio::spawn(async move {
        let mut parts = Vec::new();
        while let Some(Answer { reply, more, .. }) = incoming.recv().await {
            assert!(more);
            parts.push(reply);
        }
        parts
    });
    let pieces = Pieces { id: 0, answers };
    let last = super::within(Duration::from_secs(20), ask, &pieces).await;
    drop(pieces);
    (collecting.await.unwrap(), last)
}

async fn exchange(port: u16, within_ms: u64, cap_bytes: u64) -> (Vec<u8>, Reply) {
    let within = Duration::from_millis(within_ms);
    let exchange = TcpExchange { port, send: b"hi".to_vec(), half_close: false, within, cap_bytes };
    let (parts, last) = parts(Ask::Exchange { address: LOCAL, exchange }).await;
    let bytes = parts.into_iter().flat_map(|part| match part {
        Reply::Piece(bytes) => bytes,
        other => panic!("{other:?}"),
    });
    (bytes.collect(), last)
}

#[tokio::test]
async fn an_endless_answer_is_cut_and_a_silent_one_runs_into_the_deadline() {
    let (bytes, last) = exchange(hostile(b"begin", &[b'x'; 4096]).await, 5000, 10_000).await;
    assert_eq!(bytes.len(), 10_000);
    assert!(bytes.starts_with(b"beginxx"), "{last:?}");
    assert!(matches!(last, Reply::Ended(TcpEnd::Full)), "{last:?}");
    let (bytes, last) = exchange(hostile(b"bye", b"").await, 5000, 100).await;
    assert_eq!(bytes, b"bye");
    assert!(matches!(last, Reply::Ended(TcpEnd::Closed)), "{last:?}");
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (bytes, last) = exchange(port, 200, 100).await;
    assert!(bytes.is_empty() && matches!(last, Reply::Ended(TcpEnd::TimedOut)), "{last:?}");
    drop(listener);
    let (_, last) = exchange(port, 200, 100).await;
    assert!(matches!(last, Reply::Silent(Silence::Refused)), "{last:?}");
}

/// A WebSocket server that answers the handshake rightly and then says `frames`, `again` for ever.
async fn hostile_socket(frames: &'static [u8], again: &'static [u8]) -> (Vec<WebSocketEvent>, Reply) {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let answer = websocket::answer_to(key);
        let head = format!(
            "HTTP/1.1 101 Yes\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Accept: {answer}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut going = stream.write_all(frames).await.is_ok();
        while going && !again.is_empty() {
            going = stream.write_all(again).await.is_ok();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    let (parts, last) = parts(talk(port)).await;
    server.abort();
    let events = parts.into_iter().map(|part| match part {
        Reply::WebSocket(event) => event,
        other => panic!("{other:?}"),
    });
    (events.collect(), last)
}

fn talk(port: u16) -> Ask {
    let request = HttpRequest { cap_bytes: 100_000, ..first_page(port) };
    let talk = WebSocketTalk { request, clients: 1, send: None };
    Ask::WebSocket { address: LOCAL, host: "app".into(), talk }
}

#[tokio::test]
async fn messages_are_counted_weighed_and_looked_at() {
    let (events, last) = hostile_socket(b"\x81\x02hi\x88\x02\x03\xe8", b"").await;
    let message = WebSocketEvent::Message { client: 0, content: b"hi".to_vec(), binary: false };
    assert_eq!(events[1], message, "{events:?}");
    assert_eq!(events[2], WebSocketEvent::Closed { client: 0, how: "with code 1000".into() });
    assert!(matches!(last, Reply::Ended(TcpEnd::Closed)), "{last:?}");

    let (events, last) = hostile_socket(b"", b"\x81\x01x").await;
    assert_eq!(events.len(), 1 + 1000, "{last:?}");
    assert!(matches!(last, Reply::Ended(TcpEnd::Full)), "{last:?}");

    // A frame that announces 2^40 bytes.
    let (events, _) = hostile_socket(b"\x82\x7f\0\0\x01\0\0\0\0\0", b"xxxxxxxxxxxxxxxx").await;
    let closed = |events: &[WebSocketEvent], word: &str| {
        assert!(
            matches!(events.last(), Some(WebSocketEvent::Closed { how, .. }) if how.contains(word)),
            "{events:?}"
        );
    };
    closed(&events, "more than 65536 bytes");
    let (events, _) = hostile_socket(b"SSH-2.0-OpenSSH_9.2\r\n", b"").await;
    closed(&events, "no WebSocket frame");
    let (events, _) = hostile_socket(b"\x81\x01\xff", b"").await;
    closed(&events, "no WebSocket frame");
}

#[tokio::test]
async fn an_upgrade_that_is_none_is_seen() {
    for (head, word) in [
        (&b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"[..], "the key"),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "without `upgrade: websocket`"),
    ] {
        let (_, last) = parts(talk(hostile(head, b"").await)).await;
        assert!(matches!(&last, Reply::Silent(Silence::Garbled(how)) if how.contains(word)), "{last:?}");
    }
    let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    let (_, last) = parts(talk(hostile(refusal, b"").await)).await;
    assert!(matches!(&last, Reply::Http { status: 403, body, .. } if body == b"no"), "{last:?}");
}
