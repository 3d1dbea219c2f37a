//! What services say of each other and of networks, volumes, configs and secrets has to fit together.
//!
//! The rules are those of `docker compose config`; the bounds at the end are the sandbox's.

use std::net::IpAddr;

use indexmap::{IndexMap, IndexSet};

use super::super::finding::quoted;
use super::super::model::{
    Attachment, BuildContext, Condition, Dependency, MountKind, NetworkMode, Project, Service,
};
use super::networks::{contains, subnet};
use super::{Reader, View};
use crate::tree::likely;

/// The most containers of a project.
const MAX_CONTAINERS: u32 = 64;

/// A dependency that another key brings with it.
const IMPLIED: Dependency =
    Dependency { condition: Condition::ServiceStarted, restart: true, required: true };

impl Reader<'_, '_> {
    /// Checks the project as a whole, and adds what follows from it. `declared` are the names that the files
    /// declare, `disabled` the services that are left out for their profiles.
    pub(in super::super) fn wire(&mut self, project: &mut Project, root: &View<'_>, disabled: &[String]) {
        let Some(services) = root.get("services") else {
            self.nothing_to_run(root, disabled);
            return;
        };
        if project.services.is_empty() {
            self.nothing_to_run(&services, disabled);
        }
        let names: Vec<String> = project.services.keys().cloned().collect();
        for name in &names {
            let (Some(view), Some(service)) = (services.get(name), project.services.get_mut(name)) else {
                continue;
            };
            imply_dependencies(service);
            let service = service.clone();
            self.wire_service(&service, &view, project, root);
            self.wire_dependencies(&service, &view, &names, disabled);
            self.wire_build(&service, &view, project);
        }
        self.check_cycles(project, &services);
        let containers: u32 = project.services.values().map(|service| service.replicas).sum();
        if containers > MAX_CONTAINERS {
            let message = format!(
                "the services have {containers} containers together; a stack has at most {MAX_CONTAINERS}"
            );
            self.refuse(&services, "too-many", message);
        }
    }

    fn nothing_to_run(&mut self, view: &View<'_>, disabled: &[String]) {
        if self.findings.lack_a_file() {
            return;
        }
        let message = if disabled.is_empty() {
            "there is no service in the project, so there is nothing to run; add one under `services`"
        } else {
            "every service belongs to a profile that is not active, so there is nothing to run"
        };
        self.refuse(view, "no-services", message);
    }

    /// A name that is used and nowhere declared.
    fn undeclared<'n>(
        &mut self,
        view: &View<'_>,
        section: &str,
        name: &str,
        declared: impl IntoIterator<Item = &'n str>,
    ) {
        if self.findings.leave_out() {
            return;
        }
        let mut declared: Vec<&str> = declared.into_iter().collect();
        declared.sort_unstable();
        let one = section.trim_end_matches('s');
        let message = match likely(name, declared) {
            Some(near) => format!("there is no {one} {}, did you mean {}?", quoted(name), quoted(near)),
            None if section == "services" => format!("there is no service {}", quoted(name)),
            None if section == "volumes" => format!(
                "there is no volume {0}; declare it (`volumes:` at the left edge, and `{name}:` below), or write `./{name}` \
                 where the folder of that name is meant",
                quoted(name)
            ),
            None => format!(
                "there is no {one} {}; declare it (`{section}:` at the left edge, and `{name}:` below)",
                quoted(name)
            ),
        };
        self.mistake(view, "undeclared", message);
    }

    fn wire_service(&mut self, service: &Service, view: &View<'_>, project: &Project, root: &View<'_>) {
        let declared = |section: &str| -> Vec<&str> {
            root.item
                .get(section)
                .and_then(|item| item.map())
                .map(|map| map.keys().map(String::as_str).collect())
                .unwrap_or_default()
        };
        let told = ["image", "build", "extends"].iter().any(|key| self.findings.tell_of(&view.path.key(key)));
        if service.image.is_none() && service.build.is_none() && !told {
            let message =
                "the service has neither `image` nor `build`, so there is nothing to run; add one of them";
            self.mistake(view, "no-image", message);
        }
        for (name, attachment) in &service.networks {
            let at = view.get("networks").map_or_else(|| view.clone(), |networks| at_name(&networks, name));
            if name != "default" && !declared("networks").contains(&name.as_str()) {
                self.undeclared(&at, "networks", name, declared("networks"));
            }
            self.wire_address(attachment, name, &at, project);
        }
        let entries =
            |key: &str| view.get(key).map(|view| view.entries().collect::<Vec<_>>()).unwrap_or_default();
        let source = |entry: &View<'_>| {
            entry.item.get("source").and_then(|item| item.text()).unwrap_or_default().to_owned()
        };
        for mount in &service.mounts {
            if let MountKind::Volume { source: Some(name), .. } = &mount.kind
                && !declared("volumes").contains(&name.as_str())
                && let Some(entry) = entries("volumes").iter().find(|entry| source(entry) == *name)
            {
                self.undeclared(entry, "volumes", name, declared("volumes"));
            }
        }
        self.wire_targets(service, view);
        for section in ["configs", "secrets"] {
            for entry in entries(section) {
                let name = source(&entry);
                if !name.is_empty() && !declared(section).contains(&name.as_str()) {
                    self.undeclared(&entry, section, &name, declared(section));
                }
            }
        }
    }

    /// Two mounts cannot be at one place; the engine would say so only when it makes the container.
    fn wire_targets(&mut self, service: &Service, view: &View<'_>) {
        let mut seen: IndexSet<&str> = service.mounts.iter().map(|mount| mount.target.as_str()).collect();
        let tmpfs = service.tmpfs.keys().map(|target| ("tmpfs", target));
        let configs = service.configs.iter().map(|file| ("configs", &file.target));
        let secrets = service.secrets.iter().map(|file| ("secrets", &file.target));
        for (key, target) in tmpfs.chain(configs).chain(secrets) {
            if !seen.insert(target)
                && let Some(view) = view.get(key)
            {
                let message =
                    format!("there is already something mounted at {}; choose another place", quoted(target));
                self.refuse(&view, "mount-target", message);
            }
        }
    }

    /// A fixed address has to be one of its network's.
    fn wire_address(&mut self, attachment: &Attachment, name: &str, at: &View<'_>, project: &Project) {
        let addresses = [
            ("ipv4_address", attachment.ipv4_address.map(IpAddr::from)),
            ("ipv6_address", attachment.ipv6_address.map(IpAddr::from)),
        ];
        for (key, address) in addresses {
            let (Some(address), Some(network)) = (address, project.networks.get(name)) else { continue };
            let mut subnets = network.pools.iter().filter_map(|pool| subnet(pool.subnet.as_deref()?));
            if !subnets.any(|subnet| contains(subnet, address))
                && let Some(view) = at.get(key)
            {
                let message = format!(
                    "{address} is no address of the network {0}; give that a subnet with it (`networks.{name}.ipam.config`)",
                    quoted(name)
                );
                self.refuse(&view, "address", message);
            }
        }
    }

    fn wire_dependencies(
        &mut self,
        service: &Service,
        view: &View<'_>,
        names: &[String],
        disabled: &[String],
    ) {
        for (name, dependency) in &service.depends_on {
            if names.contains(name) {
                continue;
            }
            let place = ["depends_on", "links", "network_mode"]
                .iter()
                .find_map(|key| {
                    let at = view.get(key)?;
                    let is_it = *key != "depends_on" || at.item.get(name).is_some();
                    is_it.then(|| at_name(&at, name))
                })
                .unwrap_or_else(|| view.clone());
            if !disabled.contains(name) {
                self.undeclared(&place, "services", name, names.iter().map(String::as_str));
            } else if dependency.required {
                let message = format!(
                    "the service {} is left out, since none of its profiles is active; give this one the same profile, or \
                     write `required: false`",
                    quoted(name)
                );
                self.mistake(&place, "inactive-profile", message);
            }
        }
    }

    fn wire_build(&mut self, service: &Service, view: &View<'_>, project: &Project) {
        let (Some(build), Some(view)) = (&service.build, view.get("build")) else { return };
        let declared: Vec<&str> = project.secrets.keys().map(String::as_str).collect();
        for entry in view.get("secrets").iter().flat_map(View::entries) {
            let name = entry.item.get("source").and_then(|item| item.text()).unwrap_or_default();
            if !name.is_empty() && !self.declared_secrets.contains(name) {
                self.undeclared(&entry, "secrets", name, declared.iter().copied());
            }
        }
        for (name, context) in &build.additional_contexts {
            let BuildContext::Service(other) = context else { continue };
            let Some(view) = view.get("additional_contexts").and_then(|contexts| contexts.get(name)) else {
                continue;
            };
            match project.services.get(other) {
                None => {
                    self.undeclared(&view, "services", other, project.services.keys().map(String::as_str));
                }
                Some(Service { build: None, .. }) => {
                    let message = format!(
                        "the service {} has no `build`, so there is no image to start from",
                        quoted(other)
                    );
                    self.mistake(&view, "no-image", message);
                }
                Some(_) => {}
            }
        }
        if let Some(platform) = &service.platform
            && !build.platforms.is_empty()
            && !build.platforms.contains(platform)
            && let Some(view) = view.get("platforms")
        {
            let message = format!("the service's own platform, {}, has to be one of them", quoted(platform));
            self.mistake(&view, "both", message);
        }
    }

    /// Services that wait for each other would wait for ever.
    fn check_cycles(&mut self, project: &Project, services: &View<'_>) {
        let mut done: IndexSet<&str> = IndexSet::new();
        for name in project.services.keys() {
            let mut trail = Vec::new();
            if let Some(cycle) = cycle(project, name, &mut trail, &mut done)
                && let Some(view) = services.get(&cycle[0])
            {
                let message =
                    format!("these services wait for each other, so none could start: {}", cycle.join(" → "));
                let view = view.get("depends_on").unwrap_or(view);
                self.mistake(&view, "depends-cycle", message);
            }
        }
    }
}

/// The names from the first that comes again to itself. No deeper than there may be services.
fn cycle<'p>(
    project: &'p Project,
    name: &'p str,
    trail: &mut Vec<&'p str>,
    done: &mut IndexSet<&'p str>,
) -> Option<Vec<String>> {
    if let Some(start) = trail.iter().position(|before| *before == name) {
        return Some(trail[start..].iter().copied().chain([name]).map(str::to_owned).collect());
    }
    if done.contains(name) {
        return None;
    }
    trail.push(name);
    let dependencies: IndexMap<_, _> =
        project.services.get(name).map(|service| &service.depends_on).into_iter().flatten().collect();
    let found = dependencies
        .keys()
        .filter(|other| project.services.contains_key(other.as_str()))
        .find_map(|other| cycle(project, other, trail, done));
    trail.pop();
    done.insert(name);
    found
}

/// Links and a shared network mean that the other service comes first.
fn imply_dependencies(service: &mut Service) {
    let links = service.links.iter().map(|link| link.service.clone());
    let shared = match &service.network_mode {
        NetworkMode::Service(name) => Some(name.clone()),
        NetworkMode::Networks | NetworkMode::None => None,
    };
    for name in links.chain(shared).collect::<Vec<_>>() {
        service.depends_on.entry(name).or_insert(IMPLIED);
    }
}

/// The value of that name in a map or list of names, or the whole.
fn at_name<'i>(view: &View<'i>, name: &str) -> View<'i> {
    let is_it = |entry: &View<'_>| entry.text().is_some_and(|text| text.split(':').next() == Some(name));
    match view.item.map().and_then(|map| map.get(name)) {
        Some(field) => View::new(&field.item, &field.key, view.path.key(name)),
        None => view.entries().find(is_it).unwrap_or_else(|| view.clone()),
    }
}
