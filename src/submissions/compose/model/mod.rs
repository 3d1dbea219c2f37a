//! The resolved project: what a student's compose files say once they are one, in types of ours.
//!
//! The engine part turns it into a stack, field by field; checks read it. Words and meaning are
//! Compose's (specification, 02-model to 09-secrets). What Compose could say beyond it has no place here,
//! so it cannot reach the engine. Serialized it is the JSON of `drydock compose --json`, which follows
//! `docker compose config --format json` where both say the same.

mod json;
mod mounts;
mod network;
mod service;

use indexmap::IndexMap;
use serde::Serialize;

pub use mounts::{Bind, FileMount, FileSource, Mount, MountKind, SharedFile, Tmpfs, Volume};
pub use network::{Attachment, Network, NetworkMode, Pool, Port};
pub use service::{
    Build, BuildContext, Condition, Dependency, Healthcheck, Hook, Limits, Link, PullPolicy, Restart,
    Service, Ulimit,
};

/// A project: services and what they share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Project {
    /// Its name, in lower case; what it makes is named after it in messages, never in the engine.
    pub name: String,
    /// Services to run, by name, in the order of the file. Those whose profile is not active are not here.
    pub services: IndexMap<String, Service>,
    /// Networks that a service stands on, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub networks: IndexMap<String, Network>,
    /// Named volumes that a service mounts, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub volumes: IndexMap<String, Volume>,
    /// Configs that a service mounts, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub configs: IndexMap<String, SharedFile>,
    /// Secrets that a service or a build mounts, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub secrets: IndexMap<String, SharedFile>,
}

impl Project {
    /// The services in an order in which each comes after those it depends on; of those that depend on
    /// nothing of each other, the one that is written first comes first.
    #[must_use]
    pub fn start_order(&self) -> Vec<&str> {
        let mut order: Vec<&str> = Vec::with_capacity(self.services.len());
        // A project has no cycles, so each round places at least one.
        while order.len() < self.services.len() {
            let ready = |service: &Service| {
                service
                    .depends_on
                    .keys()
                    .all(|name| !self.services.contains_key(name) || order.contains(&name.as_str()))
            };
            let next: Vec<&str> = self
                .services
                .iter()
                .filter(|(name, service)| !order.contains(&name.as_str()) && ready(service))
                .map(|(name, _)| name.as_str())
                .collect();
            if next.is_empty() {
                break;
            }
            order.extend(next);
        }
        order
    }
}
