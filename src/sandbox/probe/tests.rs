//! The probe against servers that do their worst.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::sandbox::network::HttpRequest;

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

async fn get(port: u16, within_ms: u64) -> Reply {
    let request = HttpRequest {
        method: "GET".into(),
        port,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        body: None,
        within: Duration::from_millis(within_ms),
        cap_bytes: 1000,
    };
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
