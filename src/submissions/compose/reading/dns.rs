//! What a service says of its resolver.
//!
//! The engine's own resolver knows the stack's names, and the sandbox sees to it that it asks nobody else. A
//! name server of the student's choice is never handed to it: addresses inside of the stack are not known when
//! the file is written, those outside of it cannot be reached, and whether an engine, which stands outside, asks
//! in the container's stead depends on its version.

use std::net::IpAddr;

use super::super::finding::{Kind, quoted};
use super::{Reader, View, texts};

/// The most domains that are searched (`resolv.conf(5)`: older resolvers take six).
const MOST_DOMAINS: usize = 6;

impl Reader<'_, '_> {
    pub(super) fn dns(&mut self, service: &View<'_>) -> Vec<String> {
        let servers = texts(service, "dns");
        if let Some(view) = service.get("dns")
            && !servers.is_empty()
        {
            if let Some(wrong) = servers.iter().find(|server| server.parse::<IpAddr>().is_err()) {
                self.refuse(&view, "address", format!("{} is no address of a name server", quoted(wrong)));
            }
            let message = "no name server outside of the stack can be asked here; services find each other by their \
                           names";
            self.ignore(&view, "dns", message);
        }
        servers
    }

    /// Domains to be searched; `.` alone means none.
    pub(super) fn dns_search(&mut self, service: &View<'_>) -> Vec<String> {
        let domains = texts(service, "dns_search");
        if let Some(view) = service.get("dns_search") {
            for domain in domains.iter().filter(|domain| *domain != ".") {
                self.host_name(&view, domain);
            }
            if domains.len() > MOST_DOMAINS {
                let message = format!("a resolver searches at most {MOST_DOMAINS} domains; leave some out");
                self.refuse(&view, "too-many", message);
            }
        }
        domains
    }

    /// Options as `resolv.conf(5)` has them: `ndots:1`, `use-vc`.
    pub(super) fn dns_options(&mut self, service: &View<'_>) -> Vec<String> {
        let options = texts(service, "dns_opt");
        let Some(view) = service.get("dns_opt") else { return options };
        let fits = |option: &str| {
            let (name, value) = option.split_once(':').unwrap_or((option, "0"));
            let named = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            named && value.len() <= 4 && !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())
        };
        if let Some(wrong) = options.iter().find(|option| !fits(option)) {
            let message =
                format!("{} is no option of a resolver; write one such as `ndots:1`", quoted(wrong));
            self.refuse(&view, "dns_opt", message);
        }
        // With it, names of the stack would first be looked up in other domains, of which nobody answers here,
        // not even that they are not there: each look-up would take ten seconds.
        if options.iter().any(|option| option.starts_with("ndots:")) {
            let message = "names are looked up as they are written before `dns_search` is tried, whatever `ndots` says, since \
                           nobody here answers for other domains";
            self.tell(Kind::Rewritten, &view, "dns_opt", message);
        }
        options
    }
}
