//! The pages and the API: axum, one file per page, the shared parts beside them.
//!
//! `main` opens the store and calls [`serve()`]. A request passes, from the outside in: its id and
//! log line ([`observe`]), headers ([`security`]), compression, the face of errors ([`error`]),
//! panics, the check of where it comes from ([`csrf`]), and then its route's door ([`access`]).
//! The room never touches the sandbox: what it shows comes from [`crate::store`] and
//! [`crate::live`], what it takes goes to the store's queue.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;

pub mod access;
pub mod account;
pub mod admin;
pub mod api;
pub mod assets;
pub mod body;
pub mod csrf;
pub mod error;
pub mod gradebook;
pub mod handin;
pub mod health;
pub mod markdown;
pub mod observe;
pub mod page;
pub mod routes;
pub mod security;
mod serve;
pub mod session;
pub mod shape;
pub mod shelf;
pub mod sse;
pub mod student;
pub mod terms;
pub mod trainer;
pub mod update;
pub mod words;

pub use access::{Scope, Viewer};
pub use csrf::Csrf;
pub use error::{Error, Result};
pub use routes::{Access, Routes};
pub use serve::serve;

use crate::accounts::Passwords;
use crate::accounts::openid::OpenId;
use crate::clock::Clock;
use crate::config::Settings;
use crate::live::Live;
use crate::store::Store;

/// What every handler may use. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// What is stored.
    pub store: Store,
    /// What happens in gradings.
    pub live: Live,
    /// The time.
    pub clock: Clock,
    /// The settings the server was started with.
    pub settings: Arc<Settings>,
    /// Ends event streams when the server stops.
    pub shutdown: CancellationToken,
    /// Figures about answers, for `/metrics`.
    pub http: observe::HttpFigures,
    /// Published exercises, parsed.
    pub shelf: shelf::Shelf,
    /// Bounds on uploads.
    pub desk: handin::Desk,
    /// How long clients and handlers may take.
    pub patience: access::Patience,
    /// Event streams that are open.
    pub streams: sse::Streams,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// The provider that people may sign in with, where there is one.
    pub openid: Option<OpenId>,
}

impl AppState {
    /// State for one server, on which nobody signs in with a provider yet.
    #[must_use]
    pub fn new(store: Store, live: Live, clock: Clock, settings: Arc<Settings>) -> Self {
        Self {
            shelf: shelf::Shelf::new(store.clone()),
            store,
            live,
            clock,
            settings,
            shutdown: CancellationToken::new(),
            http: observe::HttpFigures::default(),
            desk: handin::Desk::default(),
            patience: access::Patience::default(),
            streams: sse::Streams::default(),
            passwords: Passwords::default(),
            openid: None,
        }
    }

    /// Whether cookies are `Secure`: always, unless the server listens on the loopback address and
    /// people do not reach it by https.
    #[must_use]
    pub fn secure_cookies(&self) -> bool {
        self.by_https() || !self.settings.listen.ip().is_loopback()
    }

    /// Whether people reach the server by https.
    #[must_use]
    pub fn by_https(&self) -> bool {
        self.settings.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// Every route, of pages and API, in one table.
#[must_use]
pub fn routes(state: AppState) -> Routes {
    let routes = Routes::new(state)
        .get("/healthz", Access::Anyone, health::healthz)
        .get("/readyz", Access::Anyone, health::readyz)
        .get("/metrics", Access::Anyone, health::metrics);
    let routes = routes.get("/assets/{hash}/{name}", Access::Anyone, assets::serve);
    api::register(trainer::register(student::register(account::register(admin::register(routes)))))
}

/// The whole server but for its socket.
pub fn router(state: AppState) -> Router {
    let (router, _) = routes(state.clone()).finish();
    let mut origins = CsrfLayer::new();
    if let Some(url) = &state.settings.public_url
        && let Ok(trusting) = origins.clone().add_trusted_origin(url.trim_end_matches('/'))
    {
        origins = trusting;
    }
    router
        .fallback(|| async { Error::NotFound("There is nothing at this address.".into()) })
        .method_not_allowed_fallback(|method: Method| async { Error::MethodNotAllowed(method) })
        .layer(origins.with_rejection_response(|_| csrf::foreign().into_response()))
        // Bodies are bounded by each route's own limit, see `access`.
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(error::render))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(state.clone(), security::headers))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without text");
    Error::internal(format!("panicked: {text}")).into_response()
}
