//! `ulimits`: kept as they are written, and told where the sandbox gives less.

use indexmap::IndexMap;

use super::super::finding::Kind;
use super::super::model::Ulimit;
use super::super::scalars::whole;
use super::{Reader, View};
use crate::ulimits::{self, ulimit};

/// What `ulimit` can bound, by Docker's names.
const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Why a limit that the sandbox does not keep has no effect.
fn why_not(name: &str) -> &'static str {
    match name {
        "nproc" => {
            "it has no effect here, since it counts what a user runs on the whole machine; `pids_limit` bounds the \
             processes of a container"
        }
        "sigpending" => "it has no effect here, since it counts what a user has on the whole machine",
        "nice" | "rtprio" | "rttime" => {
            "it has no effect here; no process gets precedence on a machine that others use"
        }
        _ => "it has no effect here; `mem_limit` bounds the memory of a container",
    }
}

impl Reader<'_, '_> {
    pub(super) fn ulimits(&mut self, service: &View<'_>) -> IndexMap<String, Ulimit> {
        let mut limits = IndexMap::new();
        let Some(view) = service.get("ulimits") else { return limits };
        for (name, entry) in view.fields() {
            let pair = if entry.item.map().is_some() {
                self.value(&entry, "soft", whole).zip(self.value(&entry, "hard", whole))
            } else {
                self.value(&view, name, whole).map(|both| (both, both))
            };
            if !NAMES.contains(&name) {
                let message = crate::tree::unknown("limit", name, NAMES.iter().copied());
                self.refuse(&entry, "ulimits", message);
                continue;
            }
            if let Some((soft, hard)) = pair
                && self.judge_ulimit(&entry, name, soft, hard)
            {
                limits.insert(name.to_owned(), Ulimit { soft, hard });
            }
        }
        limits
    }

    /// Tells what becomes of a limit; whether it is one.
    fn judge_ulimit(&mut self, entry: &View<'_>, name: &str, soft: i64, hard: i64) -> bool {
        if soft < -1 || hard < -1 {
            self.refuse(entry, "ulimits", "a limit is a number from 0 on, or -1 for none");
            return false;
        }
        if hard != -1 && (soft > hard || soft == -1) {
            let message = "its `soft` limit is above its `hard` one, which Linux does not take";
            self.refuse(entry, "ulimits", message);
            return false;
        }
        let memory = self.options.limits.memory_bytes.unwrap_or(u64::MAX);
        match ulimit(name, ulimits::Ulimit { soft, hard }, memory) {
            None => self.ignore(entry, "ulimits", why_not(name)),
            Some(given) if (given.soft, given.hard) != (soft, hard) => {
                let given = if given.soft == given.hard {
                    given.hard.to_string()
                } else {
                    format!("{} (soft) and {} (hard)", given.soft, given.hard)
                };
                let message = format!("within the bounds that every container has here, it is {given}");
                self.tell(Kind::Rewritten, entry, "ulimits", message);
            }
            Some(_) => {}
        }
        true
    }
}
