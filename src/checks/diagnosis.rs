//! Why a service does not answer: what a person would look up next, said at once.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::matcher::listed;
use super::{Detail, Fault};
use crate::clock::Stopwatch;
use crate::sandbox::{Error, Listener, Output, Service, State};
use crate::units::Span;

/// How many lines of output are shown.
const LAST_LINES: usize = 20;

/// A time as it is told: to the millisecond below ten seconds.
pub(super) fn told(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let rounded = match millis {
        0..100 => millis,
        100..10_000 => millis / 10 * 10,
        _ => millis / 1000 * 1000,
    };
    Span(Duration::from_millis(rounded)).to_string()
}

/// The exit code of a program that SIGXFSZ has ended.
const FILE_TOO_LARGE: i64 = 153;

/// "the container ended with exit code 1 after 200 ms"; `None` while it runs.
pub(super) fn ended(state: &State) -> Option<String> {
    if state.running {
        return None;
    }
    if let Some(reason) = &state.not_started {
        return Some(format!("the container was not started: {reason}"));
    }
    let after = told(state.ran_for);
    let again = match state.restarts {
        0 => String::new(),
        1 => ", having been started again once".into(),
        times => format!(", having been started again {times} times"),
    };
    Some(end(state, &after) + again.as_str())
}

fn end(state: &State, after: &str) -> String {
    if state.oom_killed {
        format!("the container was killed after {after}, because it needed more memory than it may have")
    } else if state.over_disk {
        format!("the container was stopped after {after}, because it wrote more than it may keep on disk")
    } else {
        match state.exit_code {
            Some(FILE_TOO_LARGE) => format!(
                "the container ended with exit code {FILE_TOO_LARGE} after {after}, as a program does whose file grows \
                 larger than all that may be kept on disk"
            ),
            Some(code) => format!("the container ended with exit code {code} after {after}"),
            None => "the container does not run".into(),
        }
    }
}

/// The last lines of what a service printed.
pub(super) fn last_lines(output: &Output) -> String {
    let tail = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    };
    match (output.stdout.is_empty(), output.stderr.is_empty()) {
        (_, true) => tail(&output.stdout),
        (true, false) => tail(&output.stderr),
        (false, false) => {
            format!("standard output:\n{}\n\nstandard error:\n{}", tail(&output.stdout), tail(&output.stderr))
        }
    }
}

impl Detail {
    /// With the last lines that a service printed.
    pub(super) fn with_output(self, output: &Output) -> Self {
        self.proof("Last lines of its output", last_lines(output))
    }
}

/// The command line that shows it: `running`, but a container that has ended is seen best in the
/// foreground.
pub(super) async fn command(service: &Service, running: impl FnOnce() -> String) -> Result<String, Fault> {
    let ended = ended(&service.state().await?).is_some();
    Ok(if ended { service.reproduce("") } else { running() })
}

/// The sockets of a service; `None` under a runtime where they cannot be seen.
pub(super) async fn listeners(service: &Service) -> Result<Option<Vec<Listener>>, Fault> {
    match service.listeners().await {
        Ok(mut listeners) => {
            // The engine's own name server, at 127.0.0.11, is nobody's service.
            listeners.retain(|listener| listener.address != IpAddr::from([127, 0, 0, 11]));
            listeners.sort_by_key(|listener| (listener.udp, listener.port, listener.address));
            Ok(Some(listeners))
        }
        Err(Error::Unfit(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// "`127.0.0.1:8080`"
pub(super) fn place(listener: &Listener) -> String {
    format!(
        "`{}{}`",
        std::net::SocketAddr::new(listener.address, listener.port),
        if listener.udp { " (UDP)" } else { "" }
    )
}

/// One socket on a line, for the evidence.
pub(super) fn sockets(listeners: &[Listener]) -> String {
    if listeners.is_empty() {
        return "none".into();
    }
    let mut text = String::new();
    for listener in listeners {
        let protocol = if listener.udp { "udp" } else { "tcp" };
        let _ = writeln!(text, "{protocol}  {}", std::net::SocketAddr::new(listener.address, listener.port));
    }
    text
}

/// Why nothing answers at a port.
pub(super) struct Unreached {
    /// A phrase for the student.
    pub(super) observed: String,
    /// Whether waiting longer cannot help.
    pub(super) settled: bool,
    listeners: Option<Vec<Listener>>,
    output: Output,
}

/// Between two tries of a port that refuses.
const PAUSE: Duration = Duration::from_millis(50);

impl Unreached {
    /// For who was refused `within` a time in which it is tried again, because the service may still be
    /// starting. `None`, after a pause: try again.
    pub(super) async fn after(
        service: &Service,
        port: u16,
        tried: &Stopwatch,
        within: Span,
    ) -> Result<Option<Self>, Fault> {
        let mut why = Self::look(service, port).await?;
        if !why.settled {
            if tried.elapsed() < within.0 {
                tokio::time::sleep(PAUSE).await;
                return Ok(None);
            }
            // Writing to a String cannot fail.
            let _ = write!(why.observed, " (waited {within})");
        }
        Ok(Some(why))
    }

    /// Looks why nothing answers at a TCP port of `service`.
    pub(super) async fn look(service: &Service, port: u16) -> Result<Self, Fault> {
        let state = service.state().await?;
        let output = service.output();
        if let Some(ended) = ended(&state) {
            let observed = format!("nothing listens on port {port}: {ended}");
            return Ok(Self { observed, settled: !state.restarting, listeners: None, output });
        }
        let listeners = listeners(service).await?;
        let tcp: Vec<&Listener> = listeners.iter().flatten().filter(|listener| !listener.udp).collect();
        let here: Vec<String> =
            tcp.iter().filter(|listener| listener.port == port).map(|l| place(l)).collect();
        let loopback = tcp.iter().filter(|listener| listener.port == port).all(|l| l.address.is_loopback());
        let (observed, settled) = if listeners.is_none() {
            (format!("connection refused on port {port}"), false)
        } else if !here.is_empty() && loopback {
            let observed = format!(
                "connection refused on port {port}: the process listens on {} only, so nothing outside its \
                 container can reach it",
                listed(&here, "and")
            );
            (observed, true)
        } else if !here.is_empty() {
            (
                format!("connection refused on port {port}, though {} is listened on", listed(&here, "and")),
                false,
            )
        } else if tcp.is_empty() {
            (format!("nothing listens on port {port}, nor on any other"), false)
        } else {
            let others: Vec<String> = tcp.iter().map(|listener| place(listener)).collect();
            (
                format!(
                    "nothing listens on port {port}; the container listens on {}",
                    listed(&others, "and")
                ),
                false,
            )
        };
        Ok(Self { observed, settled, listeners, output })
    }

    /// The proof.
    pub(super) fn proof(&self, detail: Detail) -> Detail {
        let detail = match &self.listeners {
            Some(listeners) => detail.proof("Listening sockets", sockets(listeners)),
            None => detail,
        };
        detail.with_output(&self.output)
    }
}

/// Text of a program as a matcher sees it: without colours, lossless otherwise.
pub(super) fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    crate::text::ansi_stripped(text)
}
