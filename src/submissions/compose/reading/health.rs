//! `healthcheck` and `depends_on`: when a service is ready, and for whom it waits.

use indexmap::IndexMap;

use super::super::finding::quoted;
use super::super::model::{Condition, Dependency, Healthcheck};
use super::{Reader, View};

impl Reader<'_, '_> {
    pub(super) fn healthcheck(&mut self, service: &View<'_>) -> Option<Healthcheck> {
        let view = service.get("healthcheck")?;
        let test = self.health_test(&view);
        let none = test.as_deref().is_some_and(|test| test.first().is_some_and(|word| word == "NONE"));
        let disable = self.boolean(&view, "disable").unwrap_or_default() || none;
        Some(Healthcheck {
            origin: view.key.clone(),
            disable,
            test: test.filter(|_| !none),
            interval: self.duration(&view, "interval"),
            timeout: self.duration(&view, "timeout"),
            retries: self.count(&view, "retries", 0),
            start_period: self.duration(&view, "start_period"),
            start_interval: self.duration(&view, "start_interval"),
        })
    }

    /// A line for the shell, or a list that says how it is run.
    fn health_test(&mut self, healthcheck: &View<'_>) -> Option<Vec<String>> {
        let view = healthcheck.get("test")?;
        if let Some(line) = view.text() {
            return Some(vec!["CMD-SHELL".into(), line.into()]);
        }
        let test: Vec<String> = view.entries().filter_map(|entry| entry.item.printed()).collect();
        match test.first().map(String::as_str) {
            None => None,
            Some("CMD" | "CMD-SHELL" | "NONE") => Some(test),
            Some(word) => {
                let message = format!(
                    "a list begins with `CMD`, `CMD-SHELL` or `NONE`, not with {}: `[\"CMD\", {}, …]`",
                    quoted(word),
                    quoted(word).replace('`', "\"")
                );
                self.mistake(&view, "wrong-value", message);
                None
            }
        }
    }

    pub(super) fn depends_on(&mut self, service: &View<'_>) -> IndexMap<String, Dependency> {
        let mut dependencies = IndexMap::new();
        let Some(view) = service.get("depends_on") else { return dependencies };
        for (name, entry) in view.names() {
            let condition = match entry.get("condition").and_then(|view| view.text()) {
                Some("service_healthy") => Condition::ServiceHealthy,
                Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
                _ => Condition::ServiceStarted,
            };
            let restart = self.boolean(&entry, "restart").unwrap_or_default();
            let required = self.boolean(&entry, "required").unwrap_or(true);
            dependencies.insert(name.to_owned(), Dependency { condition, restart, required });
        }
        dependencies
    }
}
