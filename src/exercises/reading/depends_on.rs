//! `depends_on`: which services of a stack wait for which.

use indexmap::IndexMap;

use super::Reader;
use crate::checks::compose::Condition as Wanted;
use crate::exercises::definition::{DependencyDefinition, DependsOnDefinition};
use crate::sandbox::{Condition, Dependency, StackSpec};
use crate::text::visible;
use crate::tree::{Place, unknown};

impl Reader<'_> {
    /// What a service waits for.
    pub(super) fn depends_on(
        &mut self,
        service: &str,
        depends_on: DependsOnDefinition,
        services: &[String],
    ) -> IndexMap<String, Dependency> {
        let at = ["stack", "services", service, "depends_on"];
        let started = Dependency { condition: Condition::Started, required: true };
        let (wanted, places): (IndexMap<String, Dependency>, Vec<Place>) = match depends_on {
            DependsOnDefinition::List(names) => {
                let places = self.places(&at);
                (names.into_iter().map(|name| (name, started)).collect(), places)
            }
            DependsOnDefinition::Map(wanted) => {
                let places =
                    wanted.keys().map(|name| self.place(&[at[0], at[1], at[2], at[3], name])).collect();
                let dependency = |wanted: DependencyDefinition| Dependency {
                    condition: match wanted.condition {
                        Wanted::ServiceStarted => Condition::Started,
                        Wanted::ServiceHealthy => Condition::Healthy,
                        Wanted::ServiceCompletedSuccessfully => Condition::CompletedSuccessfully,
                    },
                    required: wanted.required,
                };
                (wanted.into_iter().map(|(name, wanted)| (name, dependency(wanted))).collect(), places)
            }
        };
        for (index, name) in wanted.keys().enumerate() {
            let place = places.get(index).copied().unwrap_or_default();
            if name == service {
                self.mistakes.at(place, format!("`{}` cannot wait for itself", visible(name)));
            } else if !services.contains(name) {
                self.mistakes.at(place, unknown("service", name, services.iter().map(String::as_str)));
            }
        }
        wanted
    }

    /// Services that wait for each other.
    pub(super) fn circles(&mut self, stack: &StackSpec) {
        for start in stack.services.keys() {
            let mut way = vec![start.as_str()];
            let mut met: Vec<&str> = Vec::new();
            while let Some(name) = way.pop() {
                let waits_for =
                    stack.services.get(name).into_iter().flat_map(|service| service.depends_on.keys());
                for next in waits_for {
                    if next == start && name != start {
                        self.wrong(
                            &["stack", "services", start, "depends_on"],
                            format!("`{start}` waits for itself, by way of `{name}`; none of them could ever start"),
                        );
                        return;
                    }
                    if !met.contains(&next.as_str()) {
                        met.push(next);
                        way.push(next);
                    }
                }
            }
        }
    }
}
