//! What a person sees who types the command line that a check gives.

use std::path::Path;
use std::process::Stdio;

use drydock::checks::Detail;

/// What a line printed, standard error included, and whether it succeeded.
pub async fn shell(line: &str) -> (bool, String) {
    let output = tokio::process::Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("a shell");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs what a student would paste and takes away what it leaves. One at a time on this machine, for the
/// lines name their containers as a student would.
pub async fn paste(detail: &Detail) -> String {
    let line = detail.reproduce.as_deref().expect("a command line");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("paste.lock");
    let alone = std::fs::File::create(path).expect("a file");
    let alone = tokio::task::spawn_blocking(move || alone.lock().map(|()| alone)).await;
    let _alone = alone.expect("it runs to its end").expect("a lock");
    let clean = "docker rm -f app db client; docker network rm drydock";
    shell(clean).await;
    let (_, text) = shell(line).await;
    shell(clean).await;
    assert!(!text.contains("syntax error") && !text.contains("unknown flag"), "{line}\n{text}");
    text
}
