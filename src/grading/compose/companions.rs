//! Services of the exercise's own beside those of a submitted compose file.
//!
//! They stand on the submission's networks and have names there, so that names and networks have to fit
//! together. What does not is the student's to mend: the exercise is the same for all.

use super::super::grade::{Halt, mounted_folders};
use super::plan::Plan;
use crate::sandbox::{ServiceSpec, StackSpec};
use crate::submissions::Content;

/// Adds them to the stack of a project.
pub(super) fn add(plan: &mut Plan, companions: StackSpec, content: &Content) -> Result<(), Halt> {
    let taken: Vec<(&str, &str)> = plan
        .spec
        .services
        .iter()
        .flat_map(|(name, service)| names(name, service).map(move |known| (name.as_str(), known)))
        .collect();
    let known = plan.spec.network_names();
    for (companion, service) in &companions.services {
        for name in names(companion, service) {
            if let Some((other, _)) = taken.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)) {
                let which = if *other == name {
                    format!("The compose file has a service `{name}`")
                } else {
                    format!("The service `{other}` of the compose file is also called `{name}`")
                };
                let sentence = format!(
                    "{which}, which is the name of a service that this exercise runs beside yours; call yours something \
                     else."
                );
                return Err(Halt::Student(sentence, None));
            }
        }
        if let Some(missing) = service.networks.iter().find(|name| !known.contains(&name.as_str())) {
            let sentence = format!(
                "The compose file has no network `{missing}` that a service of it is on, and the service `{companion}` \
                 that this exercise runs beside yours stands there; declare it, and give it to those that are meant to be \
                 reached."
            );
            return Err(Halt::Student(sentence, None));
        }
    }
    plan.folders.extend(mounted_folders(&companions, content)?);
    for volume in companions.volumes {
        if !plan.spec.volumes.contains(&volume) {
            plan.spec.volumes.push(volume);
        }
    }
    for (name, service) in companions.services {
        plan.spec.services.insert(name, ServiceSpec { companion: true, ..service });
    }
    Ok(())
}

/// What a service is called on its networks.
fn names<'s>(name: &'s str, service: &'s ServiceSpec) -> impl Iterator<Item = &'s str> {
    std::iter::once(name).chain(service.aliases.iter().map(String::as_str))
}
