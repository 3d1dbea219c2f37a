//! An OpenID Connect provider on the loopback address, as small as one can be that is real: it tells about
//! itself, sends browsers back with a code, checks the client's secret and the code's verifier (RFC 7636), and
//! signs its tokens with a key of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Json, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const CLIENT: &str = "drydock";
pub const SECRET: &str = "a secret & a half";

/// The provider, and who is signed in there.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    key: Mutex<Key>,
    /// Claims of whoever signs in next.
    claims: Mutex<Value>,
    /// What was asked for, by code.
    given: Mutex<HashMap<String, HashMap<String, String>>>,
}

struct Key {
    id: String,
    private: CoreRsaPrivateSigningKey,
}

impl Key {
    fn new(id: &str) -> Self {
        let made =
            Command::new("openssl").args(["genrsa", "-traditional", "2048"]).output().expect("openssl");
        let pem = String::from_utf8(made.stdout).unwrap();
        let name = Some(JsonWebKeyId::new(id.to_owned()));
        Self { id: id.to_owned(), private: CoreRsaPrivateSigningKey::from_pem(&pem, name).unwrap() }
    }
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            address: listener.local_addr().unwrap(),
            key: Mutex::new(Key::new("first")),
            claims: Mutex::new(json!({})),
            given: Mutex::default(),
        };
        let provider = Self(Arc::new(inner));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(about))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Who signs in next, and further claims, which may also replace what the token would say.
    pub fn sign_in(&self, claims: Value) {
        *self.0.claims.lock().unwrap() = claims;
    }

    /// Signs with another key from now on.
    pub fn change_key(&self) {
        *self.0.key.lock().unwrap() = Key::new("second");
    }

    /// Signs with a key that it does not tell of.
    pub fn forge(&self) {
        let mut key = self.0.key.lock().unwrap();
        *key = Key { id: format!("{} ", key.id), ..Key::new("first") };
    }
}

async fn about(State(provider): State<Provider>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", provider.issuer());
    Json(json!({
        "issuer": provider.issuer(),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let key = provider.0.key.lock().unwrap();
    if key.id.ends_with(' ') {
        let other = Key::new(key.id.trim_end());
        return Json(json!({ "keys": [other.private.as_verification_key()] }));
    }
    Json(json!({ "keys": [key.private.as_verification_key()] }))
}

async fn authorize(
    State(provider): State<Provider>,
    Query(asked): Query<HashMap<String, String>>,
) -> Response {
    if asked["client_id"] != CLIENT || asked["response_type"] != "code" || !asked["scope"].contains("openid")
    {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let code = format!("code-{}", provider.0.given.lock().unwrap().len());
    let mut back: reqwest::Url = asked["redirect_uri"].parse().unwrap();
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
    provider.0.given.lock().unwrap().insert(code, asked);
    Redirect::to(back.as_str()).into_response()
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    // Name and secret are form-encoded before they are put into the header (RFC 6749, section 2.3.1).
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(CLIENT), encode(SECRET))));
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(basic.as_str()) {
        return refused("invalid_client");
    }
    let Some(asked) = provider.0.given.lock().unwrap().remove(&form["code"]) else {
        return refused("invalid_grant");
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    if asked["code_challenge"] != challenge || asked["redirect_uri"] != form["redirect_uri"] {
        return refused("invalid_grant");
    }
    #[expect(clippy::disallowed_methods, reason = "the provider's own clock")]
    let now = chrono::Utc::now().timestamp();
    let mut claims = json!({
        "iss": provider.issuer(), "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
    });
    for (name, value) in provider.0.claims.lock().unwrap().as_object().unwrap() {
        claims[name] = value.clone();
    }
    let key = provider.0.key.lock().unwrap();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = json!({ "alg": "RS256", "typ": "JWT", "kid": key.id.trim_end() });
    let signed = format!("{}.{}", encode(&head), encode(&claims));
    let algorithm = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
    let signature = key.private.sign(&algorithm, signed.as_bytes()).unwrap();
    let id_token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    Json(json!({ "access_token": "nothing to see", "token_type": "Bearer", "id_token": id_token }))
        .into_response()
}
