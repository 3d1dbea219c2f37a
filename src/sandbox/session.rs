//! The session of a BuildKit build that is given secrets.
//!
//! BuildKit asks whoever started a build for the secrets that its steps mount: over a connection that we
//! open and upgrade (`POST /session`), on which then the engine is the client and we answer its calls
//! (gRPC over HTTP/2). The library's own session answers for registries only, so `build_run.rs` opens this
//! one first and builds under its id; the engine refuses the library's second session of that id,
//! which nobody waits for. Values go from memory to the step that mounts them, and nowhere else.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use bollard_buildkit_proto::health::HealthListRequest;
use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{HealthCheckRequest, HealthCheckResponse, HealthListResponse};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bytes::Bytes;
use futures::Stream;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Response, Status};
use tower::ServiceExt as _;

use super::build::digest;
use super::engine::{CALL, EngineInner};
use super::error::Error;

/// Secrets of one build, by id.
pub(super) type Values = BTreeMap<String, String>;

/// Answers the engine until dropped.
pub(super) struct Session {
    /// What `POST /build` names.
    pub(super) id: String,
    _answering: AbortOnDropHandle<()>,
}

/// Opens a session for one build.
///
/// # Errors
/// When the engine cannot be reached over a local socket or plain TCP, or does not agree to the session.
pub(super) async fn open(engine: &EngineInner, id: String, secrets: Values) -> Result<Session, Error> {
    let failed =
        |cause: String| Error::Engine { action: "open a session for a build's secrets".into(), cause };
    let opening = async {
        let stream = connect(&engine.endpoint).await?;
        let headers = [
            ("x-docker-expose-session-uuid", id.as_str()),
            ("x-docker-expose-session-name", "drydock"),
            ("x-docker-expose-session-grpc-method", "/moby.buildkit.secrets.v1.Secrets/GetSecret"),
        ];
        upgrade(stream, "/session", "h2c", &headers)
            .await
            .map_err(|error| failed(error.to_string()))?
            .ok_or_else(|| failed("it did not agree to speak HTTP/2".into()))
    };
    let connection = tokio::time::timeout(CALL, opening).await.map_err(|_| Error::TimedOut {
        action: "open a session for a build's secrets".into(),
        seconds: CALL.as_secs(),
    })??;
    let answering = tokio::spawn(async move {
        let health = HealthServer::new(Healthy);
        let secrets = SecretsServer::new(Answering { secrets: Arc::new(secrets) });
        let calls = tower::service_fn(move |call: Request<Incoming>| {
            let (health, secrets) = (health.clone(), secrets.clone());
            async move {
                if call.uri().path().starts_with("/grpc.health.") {
                    health.oneshot(call).await
                } else {
                    secrets.oneshot(call).await
                }
            }
        });
        // How the connection ends says nothing: the build tells what it missed.
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(connection, TowerToHyperService::new(calls))
            .await;
    });
    Ok(Session { id, _answering: AbortOnDropHandle::new(answering) })
}

/// A host name that belongs to these values, which every `RUN` of their build is given.
///
/// BuildKit takes two steps for one if nothing but the values of their secrets differs, also while both are
/// running, and cannot be told otherwise: the result of one grading would hold the secret of another. Host
/// names are part of what it compares.
pub(super) fn name_of(secrets: &Values) -> String {
    let all: String = secrets.iter().flat_map(|(id, value)| [id.as_str(), "\n", value, "\n"]).collect();
    format!("secrets-{}.invalid", digest(&all.into()))
}

/// A stream of bytes to the engine.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Opens a connection of our own to the engine.
pub(super) async fn connect(endpoint: &str) -> Result<Box<dyn Wire>, Error> {
    let stream: std::io::Result<Box<dyn Wire>> = if let Some(path) = endpoint.strip_prefix("unix://") {
        UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Wire>)
    } else if let Some(address) = endpoint.strip_prefix("tcp://").or_else(|| endpoint.strip_prefix("http://"))
    {
        TcpStream::connect(address.trim_end_matches('/'))
            .await
            .map(|stream| Box::new(stream) as Box<dyn Wire>)
    } else {
        return Err(Error::Unfit(format!(
            "the exercise gives its build secrets, which are handed over a unix:// or tcp:// connection only, and \
             DOCKER_HOST is {endpoint}"
        )));
    };
    stream.map_err(|error| Error::Unreachable { endpoint: endpoint.to_owned(), cause: error.to_string() })
}

/// Asks for another protocol than HTTP/1.1 on a connection; `None` where the engine answers as if it knew nothing
/// of it.
pub(super) async fn upgrade(
    stream: Box<dyn Wire>,
    path: &str,
    protocol: &'static str,
    headers: &[(&'static str, &str)],
) -> Result<Option<hyper::upgrade::Upgraded>, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let moving = AbortOnDropHandle::new(tokio::spawn(async move {
        // An error of the connection is seen by whoever waits for the answer.
        let _ = connection.with_upgrades().await;
    }));
    let mut asked = Request::new(Empty::<Bytes>::new());
    *asked.method_mut() = hyper::Method::POST;
    if let Ok(path) = path.parse() {
        *asked.uri_mut() = path;
    }
    let fixed = hyper::header::HeaderValue::from_static;
    let told = asked.headers_mut();
    told.insert(HOST, fixed("docker"));
    told.insert(CONNECTION, fixed("Upgrade"));
    told.insert(UPGRADE, fixed(protocol));
    for (name, value) in headers {
        if let Ok(value) = hyper::header::HeaderValue::from_str(value) {
            told.insert(*name, value);
        }
    }
    let answer = sender.send_request(asked).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(None);
    }
    let upgraded = hyper::upgrade::on(answer).await?;
    drop(moving);
    Ok(Some(upgraded))
}

/// Answers what BuildKit asks of the secrets.
struct Answering {
    secrets: Arc<Values>,
}

#[tonic::async_trait]
impl Secrets for Answering {
    async fn get_secret(
        &self,
        request: tonic::Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        let value =
            self.secrets.get(id).ok_or_else(|| Status::not_found(format!("there is no secret {id}")))?;
        Ok(Response::new(GetSecretResponse { data: value.clone().into_bytes() }))
    }
}

/// Says that the session lives; BuildKit ends one that does not answer this.
struct Healthy;

#[tonic::async_trait]
impl Health for Healthy {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(
        &self,
        _: tonic::Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("only `Check` is answered"))
    }

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only `Check` is answered"))
    }
}
