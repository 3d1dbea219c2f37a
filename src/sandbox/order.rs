//! In which order the services of a stack start: side by side, as far as `depends_on` allows.
//!
//! `stack.rs` starts every service as soon as what it waits for is true. Where that cannot become true any
//! more, the service is not started, as `docker compose up` has it, and says why.

use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::watch;

use super::error::Error;
use super::health::HealthStatus;
use super::service::Service;
use super::spec::{Condition, Dependency};

/// How far a service has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for others, or is being started.
    Pending,
    /// Its containers were started.
    Started,
    /// It will not be started, for this reason.
    NotStarted(String),
}

/// How far each service of a stack has come.
pub(super) struct Order(IndexMap<String, watch::Sender<Progress>>);

impl Order {
    pub(super) fn of<'a>(services: impl Iterator<Item = &'a str>) -> Self {
        Self(services.map(|name| (name.to_owned(), watch::Sender::new(Progress::Pending))).collect())
    }

    /// Says how far a service has come.
    pub(super) fn tell(&self, service: &str, progress: Progress) {
        if let Some(sender) = self.0.get(service) {
            sender.send_replace(progress);
        }
    }

    /// Waits until a service may start; the reason, as a phrase, if it never may. `services` are the
    /// containers of all.
    ///
    /// # Errors
    /// A trouble of ours.
    pub(super) async fn wait_for(
        &self,
        depends_on: &IndexMap<String, Dependency>,
        services: &IndexMap<String, Vec<Service>>,
        within: Duration,
    ) -> Result<Option<String>, Error> {
        let waits = depends_on.iter().map(|(name, dependency)| async move {
            let containers = services.get(name).map_or(&[][..], Vec::as_slice);
            let reason = self.wait_for_one(name, dependency.condition, containers, within).await?;
            Ok::<_, Error>(reason.filter(|_| dependency.required))
        });
        let reasons = futures::future::try_join_all(waits).await?;
        Ok(reasons.into_iter().flatten().next())
    }

    async fn wait_for_one(
        &self,
        name: &str,
        condition: Condition,
        containers: &[Service],
        within: Duration,
    ) -> Result<Option<String>, Error> {
        let Some(sender) = self.0.get(name) else {
            return Ok(Some(format!("it depends on `{name}`, which is not there")));
        };
        let mut progress = sender.subscribe();
        // The sender lives as long as `self`.
        let reached =
            progress.wait_for(|progress| *progress != Progress::Pending).await.map(|now| now.clone());
        if let Ok(Progress::NotStarted(reason)) = reached {
            return Ok(Some(format!("it depends on `{name}`, which was not started: {reason}")));
        }
        let waits = containers.iter().map(|service| fulfilled(service, condition, within));
        let reasons = futures::future::try_join_all(waits).await?;
        Ok(reasons.into_iter().flatten().next())
    }
}

/// Waits until a started container is as a service that depends on it wants it to be; why it is not.
async fn fulfilled(
    service: &Service,
    condition: Condition,
    within: Duration,
) -> Result<Option<String>, Error> {
    let name = service.host_name();
    match condition {
        Condition::Started => Ok(None),
        Condition::Healthy => {
            let Some(health) = Box::pin(service.settled_health(within)).await? else {
                return Ok(Some(format!("it waits for `{name}` to be healthy, which has no health check")));
            };
            if health.status == HealthStatus::Healthy {
                return Ok(None);
            }
            let state = service.container().state()?;
            Ok(Some(match (state.running, state.exit_code) {
                (false, Some(code)) => {
                    format!("it waits for `{name}` to be healthy, which ended with exit code {code}")
                }
                _ => format!("it waits for `{name}` to be healthy, which it was not"),
            }))
        }
        Condition::CompletedSuccessfully => {
            let container = service.container();
            let ended = tokio::time::timeout(within, container.gone()).await.is_ok();
            let code = container.state()?.exit_code;
            Ok(match (ended, code) {
                (true, Some(0)) => None,
                (true, Some(code)) => Some(format!(
                    "it waits for `{name}` to end successfully, which ended with exit code {code}"
                )),
                _ => Some(format!("it waits for `{name}` to end, which still runs")),
            })
        }
    }
}
