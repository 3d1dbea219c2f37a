//! Ways out over the network, and answers that are made to harm whoever asked.

use super::arena::{Arena, Attack};

/// A server of a few lines of Python on port 8080; `answer` is run with `connection`.
fn server(what: &'static str, exercise: &'static str, answer: &str) -> Attack {
    let indented: String = answer.lines().map(|line| format!("        {line}\n")).collect();
    let program = format!(
        "import socket, struct, threading, time, os, base64, hashlib\n\
         listener = socket.socket()\n\
         listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
         listener.bind(('0.0.0.0', 8080))\n\
         listener.listen(64)\n\
         def serve(connection, peer):\n    try:\n        request = connection.recv(65536)\n{indented}\n    except OSError: pass\n    connection.close()\n\
         while True:\n    threading.Thread(target=serve, args=listener.accept(), daemon=True).start()\n"
    );
    Attack::python(what, exercise, &program)
}

/// From: SSRF against metadata services, CVE-2024-29018 (names looked up outside from an internal network),
/// CVE-2020-13401 (router advertisements over `NET_RAW`), the host's address on an internal bridge.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reached_but_the_own_stack() {
    let arena = Arena::open().await;
    let build = "LABEL hostile=@ARENA@\nRUN for host in @HOST@ @NEIGHBOUR@ 169.254.169.254 1.1.1.1; do \
                 for port in @PORT@ 8080 80 53; do nc -w 1 $host $port </dev/null && echo BROKE $host && exit 0; done; done; exit 9";
    arena
        .run(vec![
            Attack::python("network", "escape", include_str!("attacks/network.py")).passes(),
            Attack::dockerfile("network of a build", "escape", build).says("exit code 9"),
            // An address of ours cannot be told from a student's own: the answer has to be right for everyone.
            server(
                "answers only to the grader's address",
                "web",
                "own = socket.gethostbyname(socket.gethostname())\n\
                 body = b'hello swordfish' if peer[0] != own else b'hello ' + b'0' * 8\n\
                 connection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s' % (len(body), body))",
            )
            .says("hello"),
        ])
        .await;
    arena.close().await;
}

/// Answers that never end, or claim to be more than they are. From: gzip bombs against HTTP clients
/// (CVE-2018-1000115-like amplification), slow-loris turned round, CVE-2023-26964 and CVE-2022-41723 (headers without
/// end), RFC 6455 lengths of 2^63 (tungstenite's CVE-2023-43669), open redirects for SSRF.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_harms_nobody() {
    let arena = Arena::open().await;
    let ok = "connection.sendall(b'HTTP/1.1 200 OK\\r\\n')\n";
    let redirect = |to: &str| {
        format!(
            "connection.sendall(b'HTTP/1.1 302 Found\\r\\nLocation: {to}\\r\\nContent-Length: 0\\r\\n\\r\\n')"
        )
    };
    let handshake = "key = [line.split(b': ')[1].strip() for line in request.split(b'\\r\\n') if line.lower().startswith(b'sec-websocket-key')][0]\n\
                     accept = base64.b64encode(hashlib.sha1(key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest())\n\
                     connection.sendall(b'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + b'\\r\\n\\r\\n')\n";
    let socket = |what, rest: &str| server(what, "socket", &format!("{handshake}{rest}"));
    let mut attacks = vec![
        server(
            "a body without end",
            "web",
            &format!("{ok}connection.sendall(b'\\r\\n')\nwhile True: connection.sendall(b'x' * 65536)"),
        ),
        server(
            "a header without end",
            "web",
            &format!("{ok}while True: connection.sendall(b'X-A: ' + b'x' * 65536)"),
        ),
        server(
            "a million headers",
            "web",
            &format!("{ok}for i in range(1000000): connection.sendall(b'X-%d: y\\r\\n' % i)"),
        ),
        server("byte by byte", "web", &format!("{ok}while True: connection.sendall(b'X'); time.sleep(0.2)")),
        server(
            "chunks of 2^63",
            "web",
            &format!(
                "{ok}connection.sendall(b'Transfer-Encoding: chunked\\r\\n\\r\\n7fffffffffffffff\\r\\n')\nwhile True: connection.sendall(b'x' * 65536)"
            ),
        ),
        server(
            "100 Continue for ever",
            "web",
            "while True: connection.sendall(b'HTTP/1.1 100 Continue\\r\\n\\r\\n')",
        ),
        server(
            "a gzip bomb",
            "web",
            "import gzip\nbomb = gzip.compress(b'\\0' * (64 << 20))\nconnection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Encoding: gzip\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(bomb) + bomb)",
        ),
        server("no answer at all", "web", "time.sleep(1000)"),
        server(
            "all ports of the namespace",
            "web",
            "held = []\nfor i in range(4000):\n    s = socket.socket()\n    s.bind(('127.0.0.1', 0))\n    s.listen(1)\n    held.append(s)\ntime.sleep(1000)",
        ),
        server("a redirect to metadata", "web", &redirect("http://169.254.169.254/latest/meta-data/")),
        server("a redirect to the host", "web", &redirect("http://172.17.0.1:@PORT@/")),
        server("a redirect to a neighbour", "web", &redirect("http://@NEIGHBOUR@:8080/")),
        server("a redirect to itself", "web", &redirect("/")),
        server("a redirect to a file", "web", &redirect("file://@CANARY@")),
        socket(
            "a frame of 2^63",
            "connection.sendall(b'\\x81\\x7f\\x7f' + b'\\xff' * 7)\nwhile True: connection.sendall(b'x' * 65536)",
        ),
        socket("frames without end", "while True: connection.sendall(b'\\x81\\x01x' * 10000)"),
        socket("pings without end", "while True: connection.sendall(b'\\x89\\x00' * 10000)"),
        socket(
            "fragments without end",
            "connection.sendall(b'\\x01\\x01x')\nwhile True: connection.sendall(b'\\x00\\x01x' * 1000)",
        ),
    ];
    for attack in &mut attacks {
        if attack.what.starts_with("a redirect") {
            attack.says.push("302".into());
        }
    }
    arena.run(attacks).await;
    arena.close().await;
}
