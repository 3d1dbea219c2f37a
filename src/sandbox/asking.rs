//! What is asked over a stack's network, each question from a service's own pod.
//!
//! Checks call these methods of [`Service`]; the probe does the asking (see `probe`). What the other
//! side does is in the inner result, a trouble of ours in the outer one.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;

use super::error::Error;
use super::network::{
    HttpRequest, HttpResponse, Silence, TcpAnswer, TcpEnd, TcpExchange, WebSocketAnswer, WebSocketEvent,
    WebSocketTalk,
};
use super::protocol::{Ask, Reply};
use super::service::Service;
use super::stack::unexpected;

/// How much longer than a conversation its probe may take, for one that hangs.
const MARGIN: Duration = Duration::from_secs(1);

impl Service {
    /// Asks `target` over its network address, from this service's own pod. One try.
    ///
    /// # Errors
    /// A trouble of ours; what the target does is in the inner result.
    pub async fn http(
        &self,
        target: &Self,
        request: HttpRequest,
    ) -> Result<Result<HttpResponse, Silence>, Error> {
        let within = request.within;
        let host = host(target, request.port);
        // The probe keeps the request's own time; ours is only for a probe that hangs.
        let ask = Ask::Http { address: target.address_for(self), host, request };
        match self.ground.probe().ask(ask, within + MARGIN).await? {
            Reply::Silent(silence) => Ok(Err(silence)),
            other => response(other).map(Ok),
        }
    }

    /// Opens (and closes) a TCP connection to `target`, from this service's own pod. One try; says
    /// how long it took.
    ///
    /// # Errors
    /// A trouble of ours; what the target does is in the inner result.
    pub async fn connect(
        &self,
        target: &Self,
        port: u16,
        within: Duration,
    ) -> Result<Result<Duration, Silence>, Error> {
        self.connect_to(SocketAddr::new(target.address_for(self), port), within).await
    }

    /// Opens (and closes) a TCP connection to any address, from this service's own pod. One try; says
    /// how long it took.
    ///
    /// # Errors
    /// A trouble of ours; what became of it is in the inner result.
    pub async fn connect_to(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> Result<Result<Duration, Silence>, Error> {
        let ask = Ask::Connect { address };
        match self.ground.probe().ask(ask, within).await? {
            Reply::Connected { micros } => Ok(Ok(Duration::from_micros(micros))),
            Reply::Silent(silence) => Ok(Err(silence)),
            other => Err(unexpected(&other)),
        }
    }

    /// The addresses of a name, asked from this service's own pod.
    ///
    /// # Errors
    /// A trouble of ours; an unknown name is in the inner result.
    pub async fn resolve(&self, name: &str, within: Duration) -> Result<Result<Vec<IpAddr>, Silence>, Error> {
        match self.ground.probe().ask(Ask::Resolve { name: name.to_owned() }, within).await? {
            Reply::Addresses(addresses) => Ok(Ok(addresses)),
            Reply::Silent(silence) => Ok(Err(silence)),
            other => Err(unexpected(&other)),
        }
    }

    /// Whether the name server of this service's network answers at all, so that silence about a name
    /// says something about the name.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn names_are_served(&self, within: Duration) -> Result<bool, Error> {
        // With the dot of the root it is not the name in the container's own list of hosts.
        let own = format!("{}.", self.name());
        Ok(matches!(self.resolve(&own, within).await?, Ok(addresses) if !addresses.is_empty()))
    }

    /// Sends bytes to `target` and reads what it answers, until `enough` says so of what came so far,
    /// the other side ends it, or the exchange's time or size is over. One try.
    ///
    /// # Errors
    /// A trouble of ours; what the target does is in the inner result.
    pub async fn exchange(
        &self,
        target: &Self,
        exchange: TcpExchange,
        mut enough: impl FnMut(&[u8]) -> bool,
    ) -> Result<Result<TcpAnswer, Silence>, Error> {
        let within = exchange.within + MARGIN;
        let ask = Ask::Exchange { address: target.address_for(self), exchange };
        let mut bytes = Vec::new();
        let part = |reply: Reply| {
            if let Reply::Piece(piece) = reply {
                bytes.extend(piece);
            }
            if enough(&bytes) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.ground.probe().ask_for_parts(ask, within, part).await? {
            None => Ok(Ok(TcpAnswer { bytes, end: TcpEnd::Enough })),
            Some(Reply::Ended(end)) => Ok(Ok(TcpAnswer { bytes, end })),
            Some(Reply::Silent(silence)) => Ok(Err(silence)),
            Some(other) => Err(unexpected(&other)),
        }
    }

    /// Opens WebSocket connections to `target` and says and listens what `talk` wants, until `enough`
    /// says so of what happened so far. One try.
    ///
    /// # Errors
    /// A trouble of ours; what the target does is in the inner result.
    pub async fn websocket(
        &self,
        target: &Self,
        talk: WebSocketTalk,
        mut enough: impl FnMut(&[(Duration, WebSocketEvent)]) -> bool,
    ) -> Result<Result<WebSocketAnswer, Silence>, Error> {
        let within = talk.request.within + MARGIN;
        let host = host(target, talk.request.port);
        let ask = Ask::WebSocket { address: target.address_for(self), host, talk };
        let watch = self.ledger.engine.context.clock.stopwatch();
        let mut events = Vec::new();
        let part = |reply: Reply| {
            if let Reply::WebSocket(event) = reply {
                events.push((watch.elapsed(), event));
            }
            if enough(&events) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.ground.probe().ask_for_parts(ask, within, part).await? {
            None => Ok(Ok(WebSocketAnswer::Talked { events, end: TcpEnd::Enough })),
            Some(Reply::Ended(end)) => Ok(Ok(WebSocketAnswer::Talked { events, end })),
            Some(Reply::Silent(silence)) => Ok(Err(silence)),
            Some(other) => Ok(Ok(WebSocketAnswer::Refused(response(other)?))),
        }
    }
}

/// The Host header for a service's port.
fn host(target: &Service, port: u16) -> String {
    match port {
        80 => target.name().to_owned(),
        port => format!("{}:{port}", target.name()),
    }
}

fn response(reply: Reply) -> Result<HttpResponse, Error> {
    match reply {
        Reply::Http { status, headers, body, truncated, micros } => Ok(HttpResponse {
            status,
            headers,
            body: Bytes::from(body),
            truncated,
            took: Duration::from_micros(micros),
        }),
        other => Err(unexpected(&other)),
    }
}
