//! Sign-in with an OpenID Connect provider: the authorization code flow with PKCE (OpenID Connect Core 1.0,
//! section 3.1; RFC 7636).
//!
//! `web` sends a browser to the provider with [`OpenId::depart`], keeps the [`Departure`] sealed in a cookie,
//! and gives what comes back to [`OpenId::arrive`]. Who that is here, the store decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
    CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IdTokenClaims, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use super::names::{LONGEST_NAME, clean_name};
use crate::clock::Clock;
use crate::config::OpenIdSettings;

/// How long the provider is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read of an answer of the provider.
const ANSWER_BYTES: usize = 1 << 20;
/// How long the provider's account of itself, with its keys, is believed.
const KNOWN_FOR: TimeDelta = TimeDelta::hours(1);
/// How long somebody may take at the provider.
pub const AWAY_AT_MOST: TimeDelta = TimeDelta::minutes(15);

/// Claims beside the standard's.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct MoreClaims {
    #[serde(flatten)]
    all: HashMap<String, Value>,
}

impl AdditionalClaims for MoreClaims {}

type Fields = IdTokenFields<
    MoreClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type ProviderClient = Client<
    MoreClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why nobody came in. `Display` is for the log; what people are told is [`Failure::sentence`].
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The provider does not answer, or with what nobody can use.
    #[error("the provider failed: {0}")]
    Provider(String),
    /// The provider says no, or what came back is not what was asked for.
    #[error("the sign-in was refused: {0}")]
    Refused(String),
}

impl Failure {
    /// What somebody who wants to sign in is told.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Provider(_) => {
                "The sign-in service cannot be reached at the moment. Try again in a minute, or sign in with name \
                 and password."
            }
            Self::Refused(_) => {
                "The sign-in service did not let you in, or the sign-in took too long. Start it again; if it stays \
                 so, tell your trainer."
            }
        }
    }
}

/// What has to be known again when somebody comes back from the provider. A secret of their browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    state: String,
    nonce: String,
    verifier: String,
    /// When they left.
    at: DateTime<Utc>,
    /// Where they want to go afterwards.
    pub next: String,
    /// Who they are here already, if they only want to be known as somebody at the provider too.
    pub link_to: Option<uuid::Uuid>,
}

/// Somebody who comes from the provider, as it describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The provider.
    pub issuer: String,
    /// Who it is there; never given to anybody else.
    pub subject: String,
    /// As they are called, cleaned.
    pub name: String,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// Whether a group makes them an admin; `None` where no group does so for anybody.
    pub admin: Option<bool>,
}

/// The provider. Clones share what is known of it.
#[derive(Clone)]
pub struct OpenId(Arc<Inner>);

struct Inner {
    settings: OpenIdSettings,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    http: Http,
    clock: Clock,
    known: Mutex<Option<(DateTime<Utc>, CoreProviderMetadata)>>,
}

impl OpenId {
    /// The provider of the settings; `None` where there is none.
    ///
    /// # Errors
    /// A sentence for admins when the settings do not go together.
    pub fn new(settings: &OpenIdSettings, clock: Clock) -> Result<Option<Self>, String> {
        let Some(issuer) = &settings.issuer else {
            return match (&settings.client_id, &settings.client_secret) {
                (None, None) => Ok(None),
                _ => Err("`openid.client_id` and `openid.client_secret` do nothing without `openid.issuer`; write \
                          the provider's address there."
                    .into()),
            };
        };
        let client_id = settings.client_id.clone().ok_or(
            "`openid.issuer` is set and `openid.client_id` is not; write the name under which the provider knows \
             this server.",
        )?;
        let issuer = IssuerUrl::new(issuer.clone())
            .map_err(|error| format!("`openid.issuer` is no address: {error}."))?;
        Ok(Some(Self(Arc::new(Inner {
            issuer,
            client_id: ClientId::new(client_id),
            client_secret: settings.client_secret.clone().map(ClientSecret::new),
            http: Http::new()?,
            settings: settings.clone(),
            clock,
            known: Mutex::new(None),
        }))))
    }

    /// What the button says behind "Sign in with".
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Where the browser has to go, and what has to be known when it is back at `back`.
    ///
    /// # Errors
    /// [`Failure::Provider`] when the provider does not tell about itself.
    pub async fn depart(
        &self,
        back: &str,
        next: String,
        link_to: Option<uuid::Uuid>,
    ) -> Result<(String, Departure), Failure> {
        let client = self.client(back, false).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes = self.0.settings.scopes.iter().map(|scope| Scope::new(scope.clone()));
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        let departure = Departure {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            at: self.0.clock.now(),
            next,
            link_to,
        };
        Ok((url.into(), departure))
    }

    /// Who comes back with this code and state.
    ///
    /// # Errors
    /// [`Failure::Refused`] when it is not the browser that departed, it was away too long, or the provider's
    /// token does not hold; [`Failure::Provider`] when the provider does not answer.
    pub async fn arrive(
        &self,
        back: &str,
        departure: &Departure,
        code: String,
        state: &str,
    ) -> Result<Arrival, Failure> {
        let refused = |why: &str| Failure::Refused(why.to_owned());
        if !super::same(&departure.state, state) {
            return Err(refused("the state is another one"));
        }
        if self.0.clock.now() - departure.at > AWAY_AT_MOST {
            return Err(refused("it took too long"));
        }
        let client = self.client(back, false).await?;
        let http = |request: HttpRequest| self.0.http.call(request);
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| Failure::Provider(chain(&error)))?
            .set_pkce_verifier(PkceCodeVerifier::new(departure.verifier.clone()))
            .request_async(&http)
            .await
            .map_err(|error| match error {
                openidconnect::RequestTokenError::ServerResponse(said) => Failure::Refused(said.to_string()),
                other => Failure::Provider(chain(&other)),
            })?;
        let token = tokens.id_token().ok_or_else(|| Failure::Provider("there is no id token".into()))?;
        let nonce = Nonce::new(departure.nonce.clone());
        let claims = match token.claims(&self.verifier(&client), &nonce) {
            Ok(claims) => claims.clone(),
            // The provider may have new keys since it was asked.
            Err(first) => {
                let client = self.client(back, true).await?;
                let claims = token.claims(&self.verifier(&client), &nonce).cloned();
                claims
                    .map_err(|error| Failure::Refused(format!("{}; before that: {first}", chain(&error))))?
            }
        };
        Ok(self.arrival(&claims))
    }

    fn verifier<'c>(&self, client: &'c ProviderClient) -> openidconnect::IdTokenVerifier<'c, CoreJsonWebKey> {
        let clock = self.0.clock.clone();
        client.id_token_verifier().set_time_fn(move || clock.now())
    }

    fn arrival(&self, claims: &IdTokenClaims<MoreClaims, CoreGenderClaim>) -> Arrival {
        let text = |value: Option<&String>| value.cloned();
        let full = claims.name().and_then(|name| text(name.get(None).map(|name| &**name)));
        let short = text(claims.preferred_username().map(|name| &**name));
        let mail = claims.email().and_then(|mail| mail.split('@').next().map(str::to_owned));
        let mut names = [full, short, mail].into_iter().flatten();
        let name = names.find_map(|name| called(&name)).unwrap_or_else(|| "Somebody".to_owned());
        let groups = groups(&claims.additional_claims().all, &self.0.settings.groups_claim);
        let admins = &self.0.settings.admin_groups;
        let admin = (!admins.is_empty()).then(|| groups.iter().any(|group| admins.contains(group)));
        Arrival {
            issuer: claims.issuer().to_string(),
            subject: claims.subject().to_string(),
            name,
            groups,
            admin,
        }
    }

    /// A client that knows the provider; with `anew` it is asked about itself in any case.
    async fn client(&self, back: &str, anew: bool) -> Result<ProviderClient, Failure> {
        let now = self.0.clock.now();
        let mut known = self.0.known.lock().await;
        let metadata = match &*known {
            Some((since, metadata)) if !anew && now - *since < KNOWN_FOR => metadata.clone(),
            _ => {
                let http = |request: HttpRequest| self.0.http.call(request);
                let metadata = CoreProviderMetadata::discover_async(self.0.issuer.clone(), &http)
                    .await
                    .map_err(|error| Failure::Provider(chain(&error)))?;
                *known = Some((now, metadata.clone()));
                metadata
            }
        };
        drop(known);
        // The standard's default is the header (section 9); a provider that takes the body alone says so.
        let methods = metadata.token_endpoint_auth_methods_supported();
        let in_body = methods.is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let back = RedirectUrl::new(back.to_owned()).map_err(|error| Failure::Provider(chain(&error)))?;
        let (id, secret) = (self.0.client_id.clone(), self.0.client_secret.clone());
        let client = ProviderClient::from_provider_metadata(metadata, id, secret).set_redirect_uri(back);
        Ok(if in_body { client.set_auth_type(AuthType::RequestBody) } else { client })
    }
}

/// A provider's name for somebody as one of ours: what cannot be shown is left out, what is too long is cut.
fn called(name: &str) -> Option<String> {
    let shown: String = crate::text::visible(name).chars().take(LONGEST_NAME).collect();
    clean_name(&shown).ok()
}

/// The groups that a claim names: a list of texts, or one text.
fn groups(claims: &HashMap<String, Value>, claim: &str) -> Vec<String> {
    let nested = || {
        let (first, rest) = claim.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, key| value.get(key))
    };
    match claims.get(claim).or_else(nested) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Asks the provider. Redirects are not followed: none of its addresses has to send on.
#[derive(Clone)]
struct Http(Pool<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// No answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("it does not answer within {PATIENCE:?}")]
    Late,
    #[error(transparent)]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("its answer cannot be read: {0}")]
    Body(String),
}

impl Http {
    fn new() -> Result<Self, String> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(crate::tls::client_config()?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(Pool::builder(TokioExecutor::new()).build(connector)))
    }

    fn call(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, NoAnswer>> + Send + use<> {
        let pool = self.0.clone();
        async move {
            let asked = async {
                let answer = pool.request(request.map(|body| Full::new(Bytes::from(body)))).await?;
                let (head, body) = answer.into_parts();
                let body = Limited::new(body, ANSWER_BYTES).collect().await;
                let body = body.map_err(|error| NoAnswer::Body(error.to_string()))?;
                Ok(HttpResponse::from_parts(head, body.to_bytes().into()))
            };
            tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(NoAnswer::Late))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_found_where_the_settings_say() {
        let claims: HashMap<String, Value> = serde_json::from_value(json!({
            "groups": ["a", 7, "b"], "one": "c", "realm_access": {"roles": ["d"]}, "dotted.name": ["e"],
        }))
        .unwrap();
        assert_eq!(groups(&claims, "groups"), ["a", "b"]);
        assert_eq!(groups(&claims, "one"), ["c"]);
        assert_eq!(groups(&claims, "realm_access.roles"), ["d"]);
        assert_eq!(groups(&claims, "dotted.name"), ["e"]);
        for none in ["missing", "realm_access", "realm_access.missing", "groups.0"] {
            assert!(groups(&claims, none).is_empty(), "{none}");
        }
    }

    #[test]
    fn names_of_a_provider_are_made_fit() {
        assert_eq!(called("  Ada   Lovelace "), Some("Ada Lovelace".to_owned()));
        assert_eq!(called(" "), None);
        assert_eq!(called(&"x".repeat(200)), Some("x".repeat(LONGEST_NAME)));
        assert!(called("a\u{202E}b").is_none_or(|name| !name.contains('\u{202E}')));
    }

    #[test]
    fn settings_that_do_not_go_together_are_told() {
        let with = |issuer: Option<&str>, id: Option<&str>| OpenIdSettings {
            issuer: issuer.map(str::to_owned),
            client_id: id.map(str::to_owned),
            ..OpenIdSettings::default()
        };
        let new =
            |settings: OpenIdSettings| OpenId::new(&settings, Clock::system()).map(|found| found.is_some());
        assert_eq!(new(with(None, None)), Ok(false));
        assert_eq!(new(with(Some("https://login.example.org"), Some("drydock"))), Ok(true));
        assert!(new(with(None, Some("drydock"))).unwrap_err().contains("openid.issuer"));
        assert!(new(with(Some("https://login.example.org"), None)).unwrap_err().contains("openid.client_id"));
    }
}
