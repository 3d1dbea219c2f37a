//! A server whose certificate nobody signed.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drydock::submissions::remote::{GitAddress, Revision};

use super::repositories::{LIMITS, WITHIN, refused};
use super::server::remote;

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |words: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(folder.path()).args(words.split(' '));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let made = openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=127.0.0.1 -addext \
         subjectAltName=IP:127.0.0.1",
    )
    .status();
    assert!(made.expect("openssl is installed by tests/run").success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let serve = format!("s_server -accept 127.0.0.1:{port} -key key.pem -cert cert.pem -www -quiet");
    let _server = Ended(openssl(&serve).spawn().unwrap());
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let address: GitAddress = format!("https://127.0.0.1:{port}/x/y").parse().unwrap();
    let sentence =
        refused(remote().repository(&address, &Revision::Default, None, false, &LIMITS, WITHIN).await);
    assert!(sentence.contains("certificate") && sentence.contains("not trusted"), "{sentence}");
}
