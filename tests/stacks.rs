//! What stacks can have, against the real engine: several networks, volumes and submitted folders,
//! restart policies, several containers of a service. And the checks that look at them.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "stacks/disturb.rs"]
mod disturb;
#[path = "stacks/looks.rs"]
mod looks;
#[path = "stacks/networks.rs"]
mod networks;
#[path = "stacks/order.rs"]
mod order;
#[path = "stacks/restarts.rs"]
mod restarts;
#[path = "common/stage.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod stage;
#[path = "stacks/volumes.rs"]
mod volumes;

use drydock::sandbox::{HttpRequest, Service, ServiceSpec, StackSpec};

use common::stack;

/// A web server of busybox that answers with what `text` is to the shell, such as `$(hostname)`.
fn web(text: &str) -> ServiceSpec {
    common::web(text, "8080")
}

/// On these networks alone.
fn on(service: ServiceSpec, networks: &[&str]) -> ServiceSpec {
    ServiceSpec { networks: networks.iter().map(|name| (*name).to_owned()).collect(), ..service }
}

/// A stack with named networks.
fn networked<const N: usize>(networks: &[&str], services: [(&str, ServiceSpec); N]) -> StackSpec {
    StackSpec { networks: networks.iter().map(|name| (*name).to_owned()).collect(), ..stack(services) }
}

fn get(path: &str) -> HttpRequest {
    HttpRequest { path: path.into(), ..common::get(8080) }
}

/// What `to` answers to `from`.
async fn answer(from: &Service, to: &Service, path: &str) -> String {
    let response = from.http(to, get(path)).await.expect("a probe").expect("an answer");
    String::from_utf8(response.body.to_vec()).expect("text").trim().to_owned()
}
