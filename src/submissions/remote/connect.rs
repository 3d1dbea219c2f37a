//! Connections, made only to addresses that may be spoken to.
//!
//! Names are resolved here and the addresses judged here, then connected to: nothing is looked up a second
//! time, so that a name which changes in between gains nothing. Addresses that stand in an URL themselves
//! come the same way.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use super::reach::Reach;

/// How long the resolver, and each address, is waited for.
const WITHIN: Duration = Duration::from_secs(10);
/// How many addresses of a host are tried.
const ADDRESSES: usize = 4;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoConnection {
    /// There is no such host, or it may not be spoken to; which of both is nobody's business.
    #[error("no host to speak to")]
    Forbidden,
    #[error("the resolver failed: {0}")]
    Resolver(io::Error),
    #[error("no connection: {0}")]
    Failed(io::Error),
}

/// Connects for hyper, over TCP.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) reach: Reach,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = NoConnection;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoConnection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoConnection>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let reach = self.reach.clone();
        Box::pin(async move { connect(&reach, &uri).await.map(TokioIo::new) })
    }
}

async fn connect(reach: &Reach, uri: &Uri) -> Result<TcpStream, NoConnection> {
    let host = uri.host().ok_or(NoConnection::Forbidden)?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let mut addresses = addresses(host, port).await?;
    addresses.retain(|address| reach.may(host, port, address.ip()));
    let mut failed = None;
    for address in addresses.into_iter().take(ADDRESSES) {
        match timeout(WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are whole when they are sent; waiting for more would only be waiting.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failed = Some(error),
            Err(late) => failed = Some(late.into()),
        }
    }
    Err(failed.map_or(NoConnection::Forbidden, NoConnection::Failed))
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, NoConnection> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    match timeout(WITHIN, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) if is_no_such_host(&error) => Err(NoConnection::Forbidden),
        Ok(Err(error)) => Err(NoConnection::Resolver(error)),
        Err(late) => Err(NoConnection::Resolver(late.into())),
    }
}

/// Whether the resolver did its work and found nothing. The standard library keeps the code of getaddrinfo(3)
/// to itself, so its text has to tell: glibc's for `EAI_NONAME` and `EAI_NODATA`, and musl's.
fn is_no_such_host(error: &io::Error) -> bool {
    let text = error.to_string();
    [
        "Name or service not known",
        "No address associated",
        "Name does not resolve",
        "Name has no usable address",
    ]
    .iter()
    .any(|answer| text.contains(answer))
}
