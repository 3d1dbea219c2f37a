//! Browsers and programs that speak to the server of a test, and what they get back.

use std::sync::Arc;
use std::time::Duration;

use drydock::store::Person;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::multipart;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::App;

/// How a client is signed in.
pub struct SignedIn {
    pub person: Person,
    pub token: String,
    pub csrf: String,
}

/// A browser or a program.
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub csrf: Option<String>,
    pub bearer: Option<String>,
    pub person: Option<Person>,
}

impl Client {
    pub fn new(app: &App, signed_in: Option<SignedIn>) -> Self {
        let base = format!("http://{}", app.address);
        let jar = Arc::new(reqwest::cookie::Jar::default());
        if let Some(signed_in) = &signed_in {
            let name = if app.state.secure_cookies() { "__Host-session" } else { "session" };
            jar.add_cookie_str(&format!("{name}={}; Path=/", signed_in.token), &base.parse().unwrap());
        }
        let http = reqwest::Client::builder()
            .cookie_provider(jar)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let (person, csrf) = signed_in.map(|signed_in| (signed_in.person, signed_in.csrf)).unzip();
        Self { http, base, csrf, bearer: None, person }
    }

    pub fn person(&self) -> &Person {
        self.person.as_ref().expect("a signed-in client")
    }

    /// A request with this client's cookies or token, and with a page's `Accept`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        if path.starts_with("/api/") { request } else { request.header("accept", "text/html") }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    /// The CSRF token: that of the session, or what the form of a page has.
    pub async fn token(&self, page: &str) -> String {
        if let Some(csrf) = &self.csrf {
            return csrf.clone();
        }
        let answer = self.get(page).await;
        let found =
            answer.text.split_once("name=\"csrf\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
        found.unwrap_or_else(|| panic!("{page} has no form: {}", answer.text)).0.to_owned()
    }

    /// Sends a form of a page, as a browser does.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.token(path).await;
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        Answer::of(
            self.request(Method::POST, path)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin")
                .body(urlencoded(&all))
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// Sends a multipart form, the token first.
    pub async fn multipart(
        &self,
        page: &str,
        path: &str,
        add: impl FnOnce(multipart::Form) -> multipart::Form,
    ) -> Answer {
        let form = multipart::Form::new().text("csrf", self.token(page).await);
        let request =
            self.request(Method::POST, path).header("sec-fetch-site", "same-origin").multipart(add(form));
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.unsafe_request(Method::POST, path).json(body).send().await.unwrap()).await
    }

    pub async fn send_raw(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let request = self.unsafe_request(method, path).header("content-type", kind).body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A request that changes something, with the token in the header where there is a session.
    pub fn unsafe_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.request(method, path);
        match &self.csrf {
            Some(csrf) => request.header("x-csrf-token", csrf),
            None => request,
        }
    }

    /// Opens an event stream.
    pub async fn stream(&self, path: &str, last_event_id: Option<i64>) -> EventStream {
        let mut request = self.request(Method::GET, path).header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        EventStream { response, buffer: String::new() }
    }
}

/// `application/x-www-form-urlencoded`.
pub fn urlencoded(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect::<String>()
    };
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap<HeaderValue>,
    pub text: String,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned() }
    }

    #[track_caller]
    pub fn assert(&self, status: StatusCode) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    #[track_caller]
    pub fn assert_redirect(&self, to: &str) -> &Self {
        self.assert(StatusCode::SEE_OTHER);
        assert_eq!(self.header("location"), to);
        self
    }

    #[track_caller]
    pub fn assert_says(&self, words: &str) -> &Self {
        assert!(self.text.contains(words), "{words:?} is not in: {}", self.text);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// One event as a browser reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub id: Option<String>,
    pub name: String,
    pub data: String,
}

/// An open event stream.
pub struct EventStream {
    response: reqwest::Response,
    buffer: String,
}

impl EventStream {
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What a page is told up to its verdict; the stream of a page goes on, for what trainers add.
    pub async fn until_done(&mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while !all.last().is_some_and(|event: &Received| event.data.contains("\"done\":true")) {
            all.push(self.next().await.expect("the verdict comes before the end"));
        }
        all
    }

    /// The next event; `None` when the server ended the stream. Fails after ten seconds of silence.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let mut event = Received::default();
                for line in block.lines() {
                    match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
                        Some(("id", value)) => event.id = Some(value.to_owned()),
                        Some(("event", value)) => value.clone_into(&mut event.name),
                        Some(("data", value)) => event.data.push_str(value),
                        _ => {}
                    }
                }
                self.buffer = rest.to_owned();
                if !event.data.is_empty() {
                    return Some(event);
                }
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk());
            let chunk = chunk.await.expect("an event within ten seconds").unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub async fn rest(mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}
