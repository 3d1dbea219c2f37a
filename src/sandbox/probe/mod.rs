//! The process inside a pod: `drydock probe`.
//!
//! `main` hands its arguments to [`main`]; everything else happens over stdin and stdout, in the words
//! of `protocol.rs`. The process listens on nothing, holds no secret, and believes nothing it reads
//! from a student's service: every question has a deadline, every answer a size. It ends when its
//! stdin ends, so a pod does not outlive the process that attached to it.

pub(in crate::sandbox) mod allocate;
mod disk;
pub(in crate::sandbox) mod greed;
mod http;
pub(in crate::sandbox) mod intruder;
pub(in crate::sandbox) mod names;
mod objects;
mod processes;
pub(in crate::sandbox) mod sockets;
mod tcp;
mod websocket;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::network::Silence;
use super::protocol::{Answer, Ask, Reply, Request};
use crate::clock::Clock;

/// Runs `drydock probe` with the arguments after `probe`.
///
/// Without arguments it answers questions until stdin ends. With `--objects` it prints which files
/// it consists of, as JSON, for `probe_image.rs`. With the other options it behaves as a hostile program
/// would, for `builder.rs` and the doctor: see `allocate.rs`, `greed.rs` and `intruder.rs`.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    match arguments {
        [] => serve(),
        [option] if option == "--objects" => objects::print(),
        [option, bytes] if option == "--allocate" => allocate::allocate(bytes),
        [option, number] if option == "--threads" => allocate::threads(number),
        [option, millis] if option == "--burn" => greed::burn(millis),
        [option, bytes] if option == "--fill" => greed::fill(bytes),
        [option] if option == "--flood" => greed::flood(),
        [option, threads, permille] if option == "--step" => greed::step(threads, permille),
        [option, attempts] if option == "--look-around" => intruder::look_around(attempts),
        _ => {
            eprintln!(
                "usage: drydock probe [--objects | --allocate BYTES | --threads NUMBER | --burn MILLISECONDS | \
                 --fill BYTES | --flood | --step THREADS PERMILLE | --look-around ATTEMPTS]"
            );
            ExitCode::from(2)
        }
    }
}

fn serve() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the probe cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(answer_all());
    // A name being looked up in a thread of its own must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the probe lost its caller: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Requests that are being worked on, so that they can be cancelled.
type Running = Arc<Mutex<HashMap<u64, AbortHandle>>>;

async fn answer_all() -> std::io::Result<()> {
    let (answers, mut outgoing) = mpsc::channel::<Answer>(64);
    let writer = tokio::spawn(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(answer) = outgoing.recv().await {
            let mut line = serde_json::to_vec(&answer)?;
            line.push(b'\n');
            stdout.write_all(&line).await?;
            stdout.flush().await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let running = Running::default();
    let mut requests = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = requests.next_line().await? {
        let Request { id, ask, within_ms } = serde_json::from_str(&line)?;
        if let Ask::Cancel { id } = ask {
            if let Some(task) = locked(&running).remove(&id) {
                task.abort();
            }
            continue;
        }
        let pieces = Pieces { id, answers: answers.clone() };
        let done = Arc::clone(&running);
        // Registered while the lock is held, so that the task cannot end before it is known.
        let mut known = locked(&running);
        let task = tokio::spawn(async move {
            let reply = within(Duration::from_millis(within_ms), ask, &pieces).await;
            locked(&done).remove(&id);
            pieces.answer(reply, false).await;
        });
        known.insert(id, task.abort_handle());
    }
    drop(answers);
    writer.abort();
    Ok(())
}

fn locked(running: &Running) -> std::sync::MutexGuard<'_, HashMap<u64, AbortHandle>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way back for the answers to one question.
struct Pieces {
    id: u64,
    answers: mpsc::Sender<Answer>,
}

impl Pieces {
    /// A part of the answer.
    async fn send(&self, part: Reply) {
        self.answer(part, true).await;
    }

    async fn answer(&self, reply: Reply, more: bool) {
        // The writer ends only when the caller is gone; then nobody waits for this.
        let _ = self.answers.send(Answer { id: self.id, reply, more }).await;
    }
}

async fn within(deadline: Duration, ask: Ask, pieces: &Pieces) -> Reply {
    tokio::time::timeout(deadline, reply(ask, pieces)).await.unwrap_or(Reply::Silent(Silence::TimedOut))
}

async fn reply(ask: Ask, pieces: &Pieces) -> Reply {
    match ask {
        Ask::Ping => Reply::Pong,
        Ask::Http { address, host, request } => http::ask(address, &host, request).await,
        Ask::Exchange { address, exchange } => tcp::exchange(address, exchange, pieces).await,
        Ask::WebSocket { address, host, talk } => websocket::talk(address, &host, talk, pieces).await,
        Ask::Connect { address } => connect(address).await,
        Ask::Listeners => sockets::listeners().map_or_else(unable, Reply::Listeners),
        Ask::WaitForPort { port } => wait_for_port(port).await,
        Ask::WaitForConnection { address } => wait_for_connection(address).await,
        Ask::Resolve { name } => resolve(name).await,
        Ask::Processes => processes::all().map_or_else(unable, Reply::Processes),
        Ask::KillForeign { age_ms } => processes::kill_foreign(Duration::from_millis(age_ms))
            .map_or_else(unable, |processes| Reply::Killed { processes }),
        Ask::DiskUsage { paths } => {
            // Walking a file system blocks; the other questions go on meanwhile.
            match tokio::task::spawn_blocking(move || disk::usage(&paths)).await {
                Ok(bytes) => Reply::DiskUsage { bytes },
                Err(error) => Reply::Unable(error.to_string()),
            }
        }
        Ask::Cancel { .. } => Reply::Unable("a cancellation has no answer".into()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_or_else")]
fn unable(error: std::io::Error) -> Reply {
    Reply::Unable(error.to_string())
}

/// What a failed connection says about the other side.
fn silence(error: &std::io::Error) -> Silence {
    match error.kind() {
        ErrorKind::ConnectionRefused => Silence::Refused,
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Silence::TimedOut,
        _ => Silence::Garbled(format!("the connection broke ({error})")),
    }
}

async fn connect(address: SocketAddr) -> Reply {
    let watch = Clock::system().stopwatch();
    match TcpStream::connect(address).await {
        Ok(_) => Reply::Connected { micros: micros(watch.elapsed()) },
        Err(error) => Reply::Silent(silence(&error)),
    }
}

/// Looks every few milliseconds; a table with many sockets is looked at less often, so that a
/// student's service cannot keep the probe busy.
async fn wait_for_port(port: u16) -> Reply {
    let watch = Clock::system().stopwatch();
    loop {
        let look = Clock::system().stopwatch();
        match sockets::listens(port) {
            Ok(true) => return Reply::Connected { micros: micros(watch.elapsed()) },
            Ok(false) => {}
            Err(error) => return unable(error),
        }
        tokio::time::sleep(pause(look.elapsed(), watch.elapsed())).await;
    }
}

async fn wait_for_connection(address: SocketAddr) -> Reply {
    let watch = Clock::system().stopwatch();
    loop {
        let look = Clock::system().stopwatch();
        let attempt = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address));
        if let Ok(Ok(_)) = attempt.await {
            return Reply::Connected { micros: micros(watch.elapsed()) };
        }
        tokio::time::sleep(pause(look.elapsed(), watch.elapsed())).await;
    }
}

/// 2 ms while a start is young, 20 ms once it takes longer than a second.
fn pause(look: Duration, waited: Duration) -> Duration {
    let pause = if waited < Duration::from_secs(1) { 2 } else { 20 };
    Duration::from_millis(pause).max(look * 4)
}

async fn resolve(name: String) -> Reply {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            Reply::Addresses(addresses)
        }
        Err(_) => Reply::Silent(Silence::UnknownName),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
