//! Checks over the network of a real stack: bytes, names and WebSockets, a good and a bad case for each
//! part, the phrases that students read, and that what they are told to type really works.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "common/paste.rs"]
mod paste;
#[path = "common/stage.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod stage;

use std::time::Duration;

use common::{BUSYBOX, Bench, script, start};
use drydock::clock::Clock;
use drydock::sandbox::{Ready, ServiceSpec};
use paste::paste;
use serde_json::json;
use stage::{Stage, proof};

fn listening(port: u16, spec: ServiceSpec) -> ServiceSpec {
    ServiceSpec { ready: Ready::Port { port, within: Duration::from_secs(20) }, ..spec }
}

fn python(port: u16, program: &str) -> ServiceSpec {
    let command = ["python", "-u", "-c", program].map(str::to_owned);
    let spec =
        ServiceSpec { image: Some("python:3.13-slim".into()), command: Some(command.into()), ..script("") };
    listening(port, spec)
}

/// Answers `PING` and stays; says bytes that are no text at `BIN`, breaks off at `RST`, repeats what it read
/// once there is an end at `EOF`.
const LINES: &str = r#"
import socket, struct, threading, time
def serve(client):
    seen = b""
    while not seen.endswith(b"\r\n"):
        piece = client.recv(1)
        if not piece: return
        seen += piece
    if seen == b"PING\r\n":
        client.sendall(b"+PO"); time.sleep(0.2); client.sendall(b"NG\r\n"); client.recv(1)
    elif seen == b"BIN\r\n":
        client.sendall(b"\x16\x03\xff\x00ok"); client.close()
    elif seen == b"RST\r\n":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); client.close()
    elif seen == b"EOF\r\n":
        while piece := client.recv(100): seen += piece
        client.sendall(b"end of " + seen); client.close()
    elif seen == b"FLOOD\r\n":
        while True: client.sendall(b"x" * 4096)
    else:
        time.sleep(60)
server = socket.create_server(("", 7))
while True:
    threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()
"#;

#[tokio::test]
async fn tcp_sees_what_a_service_answers() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(
        &sandbox,
        [
            ("app", python(7, LINES)),
            ("inside", listening(9, script("exec httpd -f -p 127.0.0.1:9"))),
            ("client", script("sleep 600")),
        ],
    )
    .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let clock = Clock::system().stopwatch();
    let detail = stage
        .passes("tcp", json!({"port": 7, "from": "client", "send": "PING\\r\\n", "answer": "+PONG\r\n", "within": "20s"}))
        .await;
    assert_eq!(detail.expected, "port 7, within 20 s: an answer that is `+PONG`");
    assert_eq!(detail.observed, "it answered `+PONG`");
    assert!(clock.elapsed() < Duration::from_secs(10), "told when it fits, not after {:?}", clock.elapsed());
    stage
        .passes("tcp", json!({"port": 7, "send_hex": "50 49 4e 47 0d 0a", "answer": "+PONG", "until": "timeout", "within": "1s"}))
        .await;
    let detail = stage
        .passes("tcp", json!({"port": 7, "send": "BIN\r\n", "answer": {"contains": "\u{16}\u{3}\\xff"}, "until": "close"}))
        .await;
    assert!(proof(&detail, "Answer, byte by byte").contains("16 03 ff 00 6f 6b"), "{detail:#?}");
    stage
        .passes("tcp", json!({"port": 7, "send": "EOF\r\n${random}", "half_close": true, "answer": {"contains": "r4nd0m"}}))
        .await;
    stage
        .passes(
            "tcp",
            json!({"port": 7, "send": "other\r\n", "answer": "", "until": "timeout", "within": "300ms"}),
        )
        .await;

    stage
        .fails(
            "tcp",
            json!({"port": 7, "send": "PING\r\n", "answer": "PONG", "within": "1s"}),
            "it answered `+PONG`, then nothing else, and the connection was open after 1 s",
        )
        .await;
    stage
        .fails(
            "tcp",
            json!({"port": 7, "send": "PING\r\n", "answer": "+PONG", "until": "close", "within": "1s"}),
            "it answered `+PONG`, then nothing else, and the connection was open",
        )
        .await;
    stage
        .fails(
            "tcp",
            json!({"port": 7, "send": "BIN\r\n", "answer": {"contains": "no"}}),
            "\\xff\\u{0}ok`, then it closed the connection",
        )
        .await;
    stage
        .fails(
            "tcp",
            json!({"port": 7, "send": "RST\r\n", "answer": "x"}),
            "answered nothing, then it broke the connection off",
        )
        .await;
    stage
        .fails(
            "tcp",
            json!({"port": 7, "send": "FLOOD\r\n", "until": "close"}),
            "and more than the 65536 bytes that are kept",
        )
        .await;
    stage
        .fails("tcp", json!({"service": "inside", "port": 9, "from": "client", "send": "a", "answer": "a", "within": "20s"}), "connection refused on port 9: the process listens on `127.0.0.1:9` only")
        .await;
    stage
        .fails(
            "tcp",
            json!({"port": 8, "answer": "a", "within": "300ms"}),
            "nothing listens on port 8; the container listens on `0.0.0.0:7` (waited 300 ms)",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn dns_tells_who_a_name_is() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    // The lines name their image, which is on every machine.
    let sleeping = || ServiceSpec { image: Some(BUSYBOX.into()), ..script("sleep 600") };
    let stack = start(&sandbox, [("app", sleeping()), ("db", sleeping())]).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let detail = stage.passes("dns", json!({"name": "db", "service": "db"})).await;
    let address = stack.service("db").expect("db").address();
    assert_eq!(detail.observed, format!("`db` is known to `app` as {address} (`db`)"));
    assert!(proof(&detail, "Addresses of the services").contains(&format!("db  {address}")));
    let clock = Clock::system().stopwatch();
    let detail = stage.passes("dns", json!({"name": "cache", "from": "db", "absent": true})).await;
    assert_eq!(detail.observed, "`cache` is not known to `db`");
    assert!(clock.elapsed() < Duration::from_secs(5), "not after {:?}", clock.elapsed());
    stage
        .fails(
            "dns",
            json!({"name": "db", "service": "app"}),
            &format!("`db` is known to `app` as {address} (`db`)"),
        )
        .await;
    stage.fails("dns", json!({"name": "cache", "service": "db"}), "`cache` is not known to `app`").await;
    let detail = stage.fails("dns", json!({"name": "db", "absent": true}), "(`db`)").await;
    assert_eq!(detail.expected, "`db` is not known to `app`");

    let detail = stage.passes("dns", json!({"name": "db", "service": "db"})).await;
    let text = paste(&detail).await;
    assert!(
        text.contains("Name:\tdb\n") && text.lines().any(|line| line.starts_with("Address: 1")),
        "{text}"
    );
    sandbox.clean().await;
    bench.close().await;
}

/// WebSockets by hand, as in RFC 6455: `/echo`, `/chat` (to everybody else, with a name before it), `/mute`,
/// `/greet` (a word, then the end), `/binary`; others are forbidden.
const SOCKETS: &str = r#"
import base64, hashlib, socket, threading, time
chat = []
def frame(text, op=1):
    data = text.encode() if isinstance(text, str) else text
    return bytes([0x80 | op, len(data)]) + data
def read(stream):
    first, second = stream.read(2)
    length = second & 0x7f
    if length == 126: length = int.from_bytes(stream.read(2), "big")
    mask = stream.read(4)
    return first & 15, bytes(b ^ mask[i % 4] for i, b in enumerate(stream.read(length)))
def serve(client):
    stream = client.makefile("rb")
    path = stream.readline().decode().split(" ")[1]
    headers = {}
    while (line := stream.readline().decode().strip()):
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    if path not in ["/echo", "/chat", "/mute", "/greet", "/binary", "/broken"] or headers.get("origin") == "http://evil":
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nstranger"); return client.close()
    key = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    if path == "/broken": accept = "bm8="
    offered = headers.get("sec-websocket-protocol", "")
    chosen = "Sec-WebSocket-Protocol: v2\r\n" if "v2" in offered else ""
    client.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{chosen}\r\n".encode())
    if path == "/chat":
        time.sleep(0.1); chat.append(client)
    if path == "/greet":
        client.sendall(frame("welcome") + frame(b"\x03\xe9bye", 8)); return client.close()
    while True:
        op, data = read(stream)
        if op == 8: return client.close()
        if op == 9: client.sendall(frame(data, 10))
        elif op == 1 and path == "/echo": client.sendall(frame(data))
        elif op == 1 and path == "/binary": client.sendall(frame(b"\xff" + data, 2))
        elif op == 1 and path == "/chat":
            for other in chat:
                if other is not client:
                    try: other.sendall(frame("someone: " + data.decode()))
                    except OSError: pass
server = socket.create_server(("", 8000))
while True:
    threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()
"#;

#[tokio::test]
async fn websocket_opens_echoes_and_broadcasts() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let web = listening(8080, script("exec httpd -f -p 8080 -h /tmp"));
    let stack =
        start(&sandbox, [("app", python(8000, SOCKETS)), ("web", web), ("client", script("sleep 600"))])
            .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };

    let detail = stage.passes("websocket", json!({"port": 8000, "path": "/mute"})).await;
    assert_eq!(
        (detail.expected.as_str(), detail.observed.as_str()),
        ("a WebSocket opens at `/mute`", "it opened")
    );
    assert!(proof(&detail, "Answer to the handshake").starts_with("HTTP 101\n"));
    let echo = json!({"port": 8000, "path": "/echo", "from": "client", "send": "hello ${random}", "echo": true, "within": "20s"});
    let clock = Clock::system().stopwatch();
    let detail = stage.passes("websocket", echo).await;
    assert!(clock.elapsed() < Duration::from_secs(10), "told when it comes, not after {:?}", clock.elapsed());
    assert_eq!(detail.observed, "it opened, the client received `hello r4nd0m`");
    assert!(proof(&detail, "What happened").contains("the client  received  hello r4nd0m\n"), "{detail:#?}");
    let detail = stage
        .passes("websocket", json!({"port": 8000, "path": "/chat", "clients": 3, "send": "hello ${random}"}))
        .await;
    assert_eq!(
        detail.observed,
        "3 connections opened, client 2 received `someone: hello r4nd0m`, client 3 received `someone: hello r4nd0m`"
    );
    stage.passes("websocket", json!({"port": 8000, "path": "/greet", "receives": "welcome"})).await;
    stage
        .passes("websocket", json!({"port": 8000, "path": "/binary", "send": "a", "receives": "\\xffa"}))
        .await;
    stage.passes("websocket", json!({"port": 8000, "path": "/echo", "subprotocol": "v2"})).await;
    stage
        .passes(
            "websocket",
            json!({"port": 8000, "path": "/echo", "headers": {"Origin": "http://evil"}, "status": 403}),
        )
        .await;

    stage
        .fails(
            "websocket",
            json!({"port": 8000, "path": "/mute", "send": "a", "echo": true, "within": "500ms"}),
            "the client received nothing (waited 500 ms)",
        )
        .await;
    stage
        .fails(
            "websocket",
            json!({"port": 8000, "path": "/echo", "clients": 2, "send": "a", "within": "1s"}),
            "client 2 received nothing (waited 1 s)",
        )
        .await;
    stage
        .fails(
            "websocket",
            json!({"port": 8000, "path": "/greet", "receives": "hello"}),
            "the client received `welcome` and nothing else (the connection was closed with code 1001 (bye))",
        )
        .await;
    stage
        .fails(
            "websocket",
            json!({"port": 8000, "path": "/echo", "subprotocol": "v1"}),
            "the service chose no subprotocol",
        )
        .await;
    stage
        .fails(
            "websocket",
            json!({"port": 8000, "path": "/nowhere"}),
            "the handshake was answered with status 403",
        )
        .await;
    stage
        .fails(
            "websocket",
            json!({"port": 8000, "path": "/echo", "status": 403}),
            "the connection was opened (status 101)",
        )
        .await;
    stage
        .fails(
            "websocket",
            json!({"port": 8000, "path": "/broken"}),
            "`sec-websocket-accept` is not the answer to the key",
        )
        .await;
    stage
        .fails(
            "websocket",
            json!({"service": "web", "port": 8080}),
            "the handshake was answered with status 404",
        )
        .await;
    stage
        .fails(
            "websocket",
            json!({"port": 8001, "within": "300ms"}),
            "nothing listens on port 8001; the container listens on `0.0.0.0:8000`",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn what_students_are_told_to_type_shows_the_same() {
    // One test for all: the lines name their container as a student would.
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", python(8000, SOCKETS))]).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let detail = stage
        .passes("websocket", json!({"port": 8000, "path": "/echo", "send": "it's 100% \\ me", "echo": true}))
        .await;
    let text = paste(&detail).await;
    assert!(text.contains("HTTP/1.1 101 Switching Protocols") && text.contains("it's 100% \\ me"), "{text}");
    let detail = stage
        .passes("websocket", json!({"port": 8000, "path": "/chat", "clients": 2, "send": "hello"}))
        .await;
    let text = paste(&detail).await;
    assert!(text.contains("someone: hello"), "{text}");
    let detail = stage.passes("websocket", json!({"port": 8000, "path": "/no", "status": 403})).await;
    let text = paste(&detail).await;
    assert!(text.contains("HTTP/1.1 403 Forbidden"), "{text}");

    let stack = start(&sandbox, [("app", python(7, LINES))]).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let detail = stage.passes("tcp", json!({"port": 7, "send": "PING\r\n", "answer": "+PONG"})).await;
    let text = paste(&detail).await;
    assert!(text.contains("+PONG\r\n"), "{text}");
    let detail = stage
        .passes(
            "tcp",
            json!({"port": 7, "send": "EOF\r\nit's %s", "half_close": true, "answer": {"contains": "%s"}}),
        )
        .await;
    let text = paste(&detail).await;
    assert!(text.contains("end of EOF\r\nit's %s"), "{text}");
    sandbox.clean().await;
    bench.close().await;
}
