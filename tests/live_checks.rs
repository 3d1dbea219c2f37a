//! Checks of images and of running containers against the real engine: a good and a bad case for
//! each part, the phrases that students read, and that what they are told to type really works.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "common/paste.rs"]
mod paste;
#[path = "common/stage.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod stage;

mod live_checks {
    mod commands;
    mod http;
    mod images;
    mod lives;
    mod processes;
    mod reproduce;
}

use std::time::Duration;

use common::script;
use drydock::sandbox::{Ready, ServiceSpec};
use indexmap::IndexMap;

/// A web server of busybox with a page, a folder and two programs.
const SITE: &str = "mkdir -p /tmp/www/dir /tmp/www/cgi-bin && cd /tmp/www && echo \"hello $GREETING\" > index.html && \
     printf '{\"items\": [{\"name\": \"a\"}], \"count\": 3}' > data.json && \
     printf '#!/bin/sh\\necho Content-Type: text/plain; echo; echo \"$REQUEST_METHOD $HTTP_X_TOKEN\"; cat\\n' > cgi-bin/echo && \
     printf '#!/bin/sh\\nsleep 1; echo Content-Type: text/plain; echo; echo slow\\n' > cgi-bin/slow && \
     chmod +x cgi-bin/*";

fn serving(address: &str) -> ServiceSpec {
    ServiceSpec {
        env: IndexMap::from([("GREETING".to_owned(), "r4nd0m".to_owned())]),
        ready: Ready::Port { port: 8080, within: Duration::from_secs(20) },
        ..script(&format!("{SITE}; echo started; exec httpd -f -p {address} -h /tmp/www"))
    }
}
