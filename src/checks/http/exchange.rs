//! One request and its answer: what is sent, what is wanted, the same with curl.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;

use super::{ANSWER, BODY_BYTES, Http, Send};
use crate::checks::diagnosis;
use crate::checks::matcher::{Literal, Text, Variables, fill, listed, shown};
use crate::checks::shell::line;
use crate::checks::tally::Tally;
use crate::sandbox::{HttpRequest, HttpResponse, Service};

impl Http {
    pub(super) fn answer_within(&self) -> Duration {
        // Somewhat more than is wanted, so that the exact figure can be told.
        self.time.map_or(ANSWER, |time| time.0.saturating_mul(2) + Duration::from_secs(1))
    }

    /// With the grading's values in place of `${name}`.
    pub(in crate::checks) fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        let filled = |text: &str| fill(text, variables).into_owned();
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.resolved(variables)).transpose();
        Ok(Self {
            path: filled(&self.path),
            host: self.host.as_deref().map(filled),
            send: Send {
                headers: self
                    .send
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), Literal(filled(&value.0))))
                    .collect(),
                body: self.sent_body().map(|body| Literal(filled(&body))),
                json: self.send.json.clone(),
            },
            headers: self
                .headers
                .iter()
                .map(|(name, wanted)| Ok((name.clone(), wanted.resolved(variables)?)))
                .collect::<Result<_, String>>()?,
            body: text(&self.body)?,
            redirect: text(&self.redirect)?,
            ..self.clone()
        })
    }

    fn sent_body(&self) -> Option<String> {
        match (&self.send.body, &self.send.json) {
            (Some(body), _) => Some(body.0.clone()),
            (None, Some(json)) => Some(json.to_string()),
            (None, None) => None,
        }
    }

    fn sent_headers(&self) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> =
            self.send.headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if self.send.json.is_some() && !typed {
            headers.push(("content-type".into(), "application/json".into()));
        }
        headers
    }

    pub(super) fn request(&self) -> HttpRequest {
        HttpRequest {
            method: self.method.clone(),
            port: self.port,
            path: self.path.clone(),
            host: self.host.clone(),
            headers: self.sent_headers(),
            body: self.sent_body().map(Bytes::from),
            within: self.answer_within(),
            cap_bytes: BODY_BYTES,
        }
    }

    pub(super) fn request_text(&self, service: &str) -> String {
        let host = self.host.clone().unwrap_or_else(|| format!("{service}:{}", self.port));
        let mut text = format!("{} {} HTTP/1.1\nhost: {host}\n", self.method, self.path);
        for (name, value) in self.sent_headers() {
            let _ = writeln!(text, "{name}: {value}");
        }
        if let Some(body) = self.sent_body() {
            let _ = write!(text, "\n{body}");
        }
        text
    }

    /// The same with plain docker: the container with its port published, and curl.
    pub(in crate::checks) fn command(&self, target: &Service) -> String {
        format!("{} && {}", self.started(target), self.curl())
    }

    /// The service as it is started for [`Self::curl`].
    pub(in crate::checks) fn started(&self, target: &Service) -> String {
        let port = self.port;
        target.reproduce(&line([
            "-d",
            "--name",
            target.host_name(),
            "-p",
            &format!("127.0.0.1:{port}:{port}"),
        ]))
    }

    /// The request with curl, to a port published on this machine.
    pub(in crate::checks) fn curl(&self) -> String {
        let port = self.port;
        // While the server starts, docker's proxy already takes connections and drops them.
        let mut words =
            vec!["curl".to_owned(), "-sS".into(), "--retry".into(), "5".into(), "--retry-all-errors".into()];
        match self.method.as_str() {
            "GET" => words.push("-i".into()),
            "HEAD" => words.push("-I".into()),
            method => words.extend(["-i".into(), "-X".into(), method.to_owned()]),
        }
        if let Some(host) = &self.host {
            words.extend(["-H".into(), format!("Host: {host}")]);
        }
        for (name, value) in self.sent_headers() {
            words.extend(["-H".into(), format!("{name}: {value}")]);
        }
        if let Some(body) = self.sent_body() {
            words.extend(["--data-binary".into(), body]);
        }
        words.push(format!("localhost:{port}{}", self.path));
        line(words)
    }

    pub(super) fn expected(&self) -> String {
        self.conditions(None).detail().expected
    }

    pub(super) fn judge(&self, response: &HttpResponse) -> Tally {
        self.conditions(Some(response))
    }

    /// All conditions, compared with a response if there is one.
    fn conditions(&self, response: Option<&HttpResponse>) -> Tally {
        let mut tally = Tally::default();
        if let Some(wanted) = &self.status {
            let status = response.map_or(0, |response| response.status);
            tally.note(
                wanted.accepts(status.into()),
                format!("status {}", wanted.describe()),
                format!("status {status}"),
            );
        }
        let seen = |name: &str| -> Vec<&str> {
            let all = response.into_iter().flat_map(|response| &response.headers);
            all.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
        };
        let told = |name: &str, values: &[&str]| match values {
            [] => format!("no header `{name}`"),
            values => {
                let values: Vec<String> = values.iter().map(|value| shown(value)).collect();
                format!("header `{name}` {}", listed(&values, "and"))
            }
        };
        for (name, wanted) in &self.headers {
            let values = seen(name);
            let holds = if values.is_empty() {
                wanted.accepts_option(None)
            } else if wanted.may_change_its_mind() {
                values.iter().all(|value| wanted.accepts(value))
            } else {
                values.iter().any(|value| wanted.accepts(value))
            };
            tally.note(holds, format!("header `{name}` {}", wanted.describe()), told(name, &values));
        }
        if let Some(wanted) = &self.redirect {
            let status = response.map_or(0, |response| response.status);
            let values = seen("location");
            let holds = (300..400).contains(&status) && values.iter().any(|value| wanted.accepts(value));
            tally.note(
                holds,
                format!("a redirect whose Location {}", wanted.describe()),
                format!("status {status} with {}", told("location", &values)),
            );
        }
        if let Some(wanted) = &self.body {
            let body = response.map(|response| String::from_utf8_lossy(&response.body)).unwrap_or_default();
            let seen =
                if body.is_empty() { "an empty body".into() } else { format!("body {}", shown(&body)) };
            tally.note(wanted.accepts(&body), format!("body {}", wanted.describe()), seen);
        }
        if let Some(wanted) = self.time {
            let took = response.map(|response| response.took).unwrap_or_default();
            tally.note(
                took <= wanted.0,
                format!("answered within {wanted}"),
                format!("answered after {}", diagnosis::told(took)),
            );
        }
        tally
    }
}
