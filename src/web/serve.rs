//! The socket: accepts connections, gives each to the router, and stops in order.
//!
//! Written out instead of `axum::serve` for three things it does not offer: a deadline for request
//! heads (a client that sends one byte a minute is let go), a bound on connections, and an end to
//! the wait for clients that never hang up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::{AppState, router};

/// Connections at a time; more wait in the listener's backlog.
const CONNECTIONS: usize = 2048;
/// How long answers under way are waited for when the server stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serves until `shutdown` is cancelled, then lets answers under way finish for at most ten
/// seconds. Event streams end at once; browsers come back by themselves.
///
/// # Errors
/// When the listener does not tell its own address. Failures of single connections are no errors.
pub async fn serve(
    mut state: AppState,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    state.shutdown = shutdown.clone();
    let head = state.patience.head;
    let app = router(state);
    let tracker = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    tracing::info!(%address, "web.serving");
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(app.clone(), stream, peer, head, shutdown.clone());
                tracker.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, or a client gone before it was accepted: neither may end us.
                tracing::warn!(%error, "web.accept_failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    let open = tracker.len();
    if tokio::time::timeout(FAREWELL, tracker.wait()).await.is_err() {
        tracing::warn!(open = tracker.len(), "web.connections_cut");
    }
    tracing::info!(connections = open, "web.stopped");
    Ok(())
}

async fn connection(
    app: axum::Router,
    stream: TcpStream,
    peer: SocketAddr,
    head: Duration,
    shutdown: CancellationToken,
) {
    // Small answers and events must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let service = app.map_request(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "web.connection_ended");
    }
}
