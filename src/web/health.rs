//! What machines ask: is the process alive, can it serve, and how is it doing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::error::{Error, Result};
use super::observe::{BUCKETS, Figures};
use crate::report::{Phase, Verdict};
use crate::store::{PHASE_BUCKETS, Worker};

/// A worker that has not told about itself for so long is not told of.
const WORKER_GONE: Duration = Duration::from_mins(5);

/// The process is alive. Says nothing of the store: a restart would not mend that.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The store answers and the server is not about to stop: requests can be sent here.
///
/// # Errors
/// [`Error::Unavailable`], 503, when not.
pub async fn readyz(State(state): State<AppState>) -> Result<&'static str> {
    if state.shutdown.is_cancelled() {
        return Err(Error::Unavailable("The server is stopping.".into()));
    }
    state.store.ping().await.map_err(|error| {
        tracing::warn!(%error, "web.not_ready");
        Error::Unavailable("The database does not answer.".into())
    })?;
    Ok("ready\n")
}

/// Figures in the text format of Prometheus.
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
///
/// # Errors
/// A fault of ours when the store fails.
pub async fn metrics(State(state): State<AppState>) -> Result<Response> {
    let (depth, oldest) = state.store.queue_depth().await?;
    let age = oldest.map_or(0.0, |since| (state.clock.now() - since).as_seconds_f64().max(0.0));
    let mut text = String::new();
    gauge(&mut text, "drydock_queue_depth", "Gradings that wait for a worker.", depth);
    gauge(&mut text, "drydock_queue_oldest_seconds", "How long the oldest of them has waited.", age);
    gauge(&mut text, "drydock_event_streams", "Event streams that are open.", state.streams.open());
    let now = state.clock.now();
    let mut workers = state.store.workers().await?;
    workers.retain(|worker| (now - worker.last_seen).to_std().unwrap_or_default() <= WORKER_GONE);
    gradings(&mut text, &workers);
    http(&mut text, &state);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

/// What the workers have done, each since it started.
fn gradings(text: &mut String, workers: &[Worker]) {
    let name = "drydock_worker_paused";
    head(text, name, "gauge", "Whether a worker claims nothing because its engine does not answer.");
    for worker in workers {
        let paused = u8::from(worker.paused_because.is_some());
        let _ = writeln!(text, "{name}{{{}}} {paused}", label(worker));
    }
    let name = "drydock_verdicts_total";
    head(text, name, "counter", "Gradings that ended, by verdict.");
    for worker in workers {
        for verdict in [Verdict::Passed, Verdict::Failed, Verdict::ExerciseFault, Verdict::PlatformFault] {
            let count = worker.figures.verdicts.get(&verdict).unwrap_or(&0);
            let word = word(verdict);
            let _ = writeln!(text, "{name}{{verdict=\"{word}\",{}}} {count}", label(worker));
        }
    }
    let name = "drydock_engine_errors_total";
    let help = "How often the engine or something else of ours failed: in an attempt at a grading, or when a worker asked whether it is there.";
    head(text, name, "counter", help);
    for worker in workers {
        for (during, count) in [("grading", worker.figures.faults), ("heartbeat", worker.figures.silences)] {
            let _ = writeln!(text, "{name}{{during=\"{during}\",{}}} {count}", label(worker));
        }
    }
    let name = "drydock_grading_phase_seconds";
    head(text, name, "histogram", "What a phase of a grading took.");
    for worker in workers {
        for phase in Phase::ALL {
            let Some(took) = worker.figures.phases.get(&phase) else { continue };
            let labels = format!("phase=\"{}\",{}", phase.name(), label(worker));
            for (bound, count) in PHASE_BUCKETS.iter().zip(&took.buckets) {
                let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
            }
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", took.count);
            let _ = writeln!(text, "{name}_sum{{{labels}}} {}", took.seconds);
            let _ = writeln!(text, "{name}_count{{{labels}}} {}", took.count);
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::ExerciseFault => "exercise_fault",
        Verdict::PlatformFault => "platform_fault",
    }
}

/// Counts of different workers never stand in one series: each begins at 0 when its worker starts.
fn label(worker: &Worker) -> String {
    let id = worker.id.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("worker=\"{id}\"")
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn http(text: &mut String, state: &AppState) {
    let all = state.http.all();
    let _ = writeln!(text, "# HELP drydock_http_requests_total Requests that were answered.");
    let _ = writeln!(text, "# TYPE drydock_http_requests_total counter");
    for (series, figures) in &all {
        let _ = writeln!(
            text,
            "drydock_http_requests_total{{route=\"{}\",method=\"{}\",status=\"{}\"}} {}",
            series.route, series.method, series.status, figures.count
        );
    }
    // Buckets for every status would be many series that nobody looks at.
    let mut by_route = BTreeMap::<(&str, &str), Figures>::new();
    for (series, figures) in &all {
        let sum = by_route.entry((&series.route, series.method)).or_default();
        sum.count += figures.count;
        sum.seconds += figures.seconds;
        for (bucket, more) in sum.buckets.iter_mut().zip(figures.buckets) {
            *bucket += more;
        }
    }
    let name = "drydock_http_request_seconds";
    let _ = writeln!(text, "# HELP {name} Time until the head of an answer.\n# TYPE {name} histogram");
    for ((route, method), figures) in by_route {
        let labels = format!("route=\"{route}\",method=\"{method}\"");
        for (bound, count) in BUCKETS.iter().zip(figures.buckets) {
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", figures.count);
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", figures.seconds);
        let _ = writeln!(text, "{name}_count{{{labels}}} {}", figures.count);
    }
}
