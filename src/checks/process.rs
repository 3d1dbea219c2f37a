//! `process`: the main process of a service, as the kernel tells.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{Argv, Set, Text, User, Variables, listed, shown};
use super::shell::line;
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings, main_process};
use crate::report::Phase;
use crate::sandbox::Process as Seen;

/// The process with id 1: which program, which user, which capabilities and namespaces.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// Name of the program, without its folder.
    pub name: Option<Text>,
    /// Its command line.
    pub argv: Option<Argv>,
    /// `false`: process 1 is not a shell that runs the program as its child.
    pub shell: Option<bool>,
    /// The user id it runs as: a number, `root`, or for example `{not: root}`.
    pub uid: Option<User>,
    /// The group id it runs as.
    pub gid: Option<User>,
    /// Its effective capabilities, such as `NET_BIND_SERVICE`.
    pub capabilities: Option<Set>,
    /// Namespaces shared or not with another service.
    pub namespaces: Option<Namespaces>,
}

/// Which namespaces two services share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Namespaces {
    /// The other service.
    pub with: String,
    /// These are shared.
    #[serde(default)]
    pub shared: Vec<Namespace>,
    /// These are not.
    #[serde(default)]
    pub separate: Vec<Namespace>,
}

/// The kinds of namespaces, named as in `/proc/<pid>/ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// Control groups.
    Cgroup,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Mounts.
    Mnt,
    /// Network.
    Net,
    /// Process ids.
    Pid,
    /// User ids.
    User,
    /// Host name.
    Uts,
}

impl Check for Process {
    const NAME: &'static str = "process";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("process.yaml"),
        evidence: &[
            ("Processes", "those of the container, with ids, users and command lines"),
            ("Last lines of its output", "of the service, where it has ended"),
        ],
        fails: &[
            "process 1 is another program, or a shell around it",
            "it runs as another user or group, or with other capabilities",
            "namespaces are shared that should not be, or the other way round",
            "the service has ended",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        if let Some(name) = &self.name {
            name.mistakes("name", false, &mut mistakes);
            if let Text::Exactly(name) = name
                && name.0.contains('/')
            {
                mistakes
                    .push("`name` is the program's name without its folder; use `argv` for a path".into());
            }
        }
        if let Some(argv) = &self.argv {
            argv.mistakes("argv", &mut mistakes);
        }
        if self.shell == Some(true) {
            mistakes.push("`shell` can only be `false`; where a shell is wanted, write `name: sh`".into());
        }
        for (field, user) in [("uid", &self.uid), ("gid", &self.gid)] {
            if let Some(user) = user {
                user.0.mistakes(field, false, &mut mistakes);
                if let Text::Exactly(id) = &user.0
                    && id.0 != "root"
                    && id.0.parse::<u32>().is_err()
                {
                    mistakes.push(format!("`{field}: {}` is no number; the kernel knows no names", id.0));
                }
            }
        }
        if let Some(capabilities) = &self.capabilities {
            capabilities.mistakes("capabilities", &mut mistakes);
        }
        if let Some(namespaces) = &self.namespaces {
            around.other("namespaces.with", Some(&namespaces.with), &mut mistakes);
            if self.service.as_ref() == Some(&namespaces.with) {
                mistakes.push("`namespaces.with` is the service itself".into());
            }
            if namespaces.shared.is_empty() && namespaces.separate.is_empty() {
                mistakes.push("`namespaces` asks nothing; write `shared` or `separate`".into());
            }
            if namespaces.shared.iter().any(|kind| namespaces.separate.contains(kind)) {
                mistakes.push("a namespace cannot be both `shared` and `separate`".into());
            }
        }
        let asks = self.name.is_some()
            || self.argv.is_some()
            || self.shell.is_some()
            || self.uid.is_some()
            || self.gid.is_some()
            || self.capabilities.is_some()
            || self.namespaces.is_some();
        if !asks {
            mistakes.push("this check asks nothing; write for example `uid: {not: root}`".into());
        }
        mistakes
    }

    fn inspects(&self) -> Vec<Option<&str>> {
        let other = self.namespaces.iter().map(|namespaces| Some(namespaces.with.as_str()));
        other.chain([self.service.as_deref()]).collect()
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let wanted = self.resolved(scene.variables).map_err(Fault::Exercise)?;
        let processes = match main_process::processes(service).await? {
            Ok(processes) => processes,
            Err(why) => return Ok(Finding::Failed(why.detail(service, wanted.expected()))),
        };
        let mut tally = Tally::default();
        wanted.program(&processes, &mut tally);
        wanted.rights(&processes[0], &mut tally);
        if let Some(namespaces) = &wanted.namespaces {
            let other = scene.service(Some(&namespaces.with))?;
            match main_process::processes(other).await? {
                Ok(others) => namespaces.judge(&processes[0], &others[0], &mut tally),
                Err(why) => {
                    let observed = format!("service {}: {}", shown(&namespaces.with), why.sentence);
                    return Ok(Finding::Failed(Detail::new(wanted.expected(), observed)));
                }
            }
        }
        let name = service.name();
        let start = service.reproduce(&line(["-d", "--name", name]));
        let look = line(["docker", "top", name, "-eo", "pid,uid,gid,args"]);
        let detail = tally.detail().proof("Processes", main_process::table(&processes));
        Ok(tally.finding(detail.reproduce(format!("{start} && sleep 1 && {look}"))))
    }
}

impl Process {
    /// With the grading's values in place of `${name}`.
    fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        Ok(Self {
            name: self.name.as_ref().map(|text| text.resolved(variables)).transpose()?,
            argv: self.argv.as_ref().map(|argv| argv.resolved(variables)).transpose()?,
            capabilities: self.capabilities.as_ref().map(|set| set.resolved(variables)).transpose()?,
            ..self.clone()
        })
    }

    fn name_expected(wanted: &Text) -> String {
        format!("process 1 is a program whose name {}", wanted.describe())
    }

    fn argv_expected(wanted: &Argv) -> String {
        format!("the command line of process 1 {}", wanted.describe())
    }

    const NO_SHELL: &str = "process 1 is the program itself, not a shell";

    /// All that is wanted, for when there is nothing to compare it with.
    fn expected(&self) -> String {
        let mut all = Vec::new();
        all.extend(self.name.as_ref().map(Self::name_expected));
        all.extend(self.argv.as_ref().map(Self::argv_expected));
        all.extend(self.shell.map(|_| Self::NO_SHELL.to_owned()));
        all.extend(self.uid.as_ref().map(|wanted| format!("the user id {}", wanted.0.describe())));
        all.extend(self.gid.as_ref().map(|wanted| format!("the group id {}", wanted.0.describe())));
        all.extend(self.capabilities.as_ref().map(|wanted| format!("capabilities: {}", wanted.describe())));
        if let Some(namespaces) = &self.namespaces {
            all.extend(namespaces.wanted().map(|(kind, shared)| namespaces.say(kind, shared)));
        }
        all.join(", ")
    }

    /// Which program process 1 is.
    fn program(&self, processes: &[Seen], tally: &mut Tally) {
        let main = &processes[0];
        let command = Argv::show(Some(&main.argv));
        if let Some(wanted) = &self.name {
            let names = main_process::names(main);
            // The name it was called by, or that of the file it really is (`sh` may link to `dash`).
            let holds = if wanted.may_change_its_mind() {
                names.iter().all(|name| wanted.accepts(name))
            } else {
                names.iter().any(|name| wanted.accepts(name))
            };
            tally.note(holds, Self::name_expected(wanted), format!("process 1 is {command}"));
        }
        if let Some(wanted) = &self.argv {
            let holds = wanted.accepts(Some(&main.argv));
            tally.note(holds, Self::argv_expected(wanted), format!("process 1 is {command}"));
        }
        if self.shell == Some(false) {
            let shell = main_process::is_shell(main);
            let child = processes.iter().find(|other| other.parent_pid == main.pid && !other.argv.is_empty());
            let observed = match (shell, child) {
                (false, _) => format!("process 1 is {command}"),
                (true, None) => format!("process 1 is the shell {command}"),
                (true, Some(child)) => format!(
                    "process 1 is the shell {command}, and the program {} is its child",
                    Argv::show(Some(&child.argv))
                ),
            };
            tally.note(!shell, Self::NO_SHELL, observed);
        }
    }

    /// As whom process 1 runs and what it may do.
    fn rights(&self, main: &Seen, tally: &mut Tally) {
        for (what, wanted, id) in [("user", &self.uid, main.uid), ("group", &self.gid, main.gid)] {
            if let Some(wanted) = wanted {
                let root = if id == 0 { " (root)" } else { "" };
                tally.note(
                    wanted.accepts(&id.to_string()),
                    format!("the {what} id {}", wanted.0.describe()),
                    format!("process 1 runs with {what} id {id}{root}"),
                );
            }
        }
        if let Some(wanted) = &self.capabilities {
            let seen: Vec<String> = main.capabilities.iter().map(|name| capability(name)).collect();
            let told: Vec<String> = seen.iter().map(|name| shown(name)).collect();
            let told = if told.is_empty() { "none".into() } else { listed(&told, "and") };
            tally.note(
                wanted.spelled(&capability).accepts(&seen),
                format!("capabilities: {}", wanted.describe()),
                format!("capabilities: {told}"),
            );
        }
    }
}

impl Namespaces {
    fn wanted(&self) -> impl Iterator<Item = (Namespace, bool)> {
        let shared = self.shared.iter().map(|kind| (*kind, true));
        shared.chain(self.separate.iter().map(|kind| (*kind, false)))
    }

    fn say(&self, kind: Namespace, shared: bool) -> String {
        let not = if shared { "" } else { "not " };
        format!("the {} namespace is {not}shared with {}", kind.name(), shown(&self.with))
    }

    fn judge(&self, main: &Seen, other: &Seen, tally: &mut Tally) {
        for (kind, shared) in self.wanted() {
            let ids = main.namespaces.get(kind.name()).zip(other.namespaces.get(kind.name()));
            let same = ids.map(|(own, other)| own == other);
            let observed = match same {
                Some(same) => self.say(kind, same),
                None => format!("the {} namespace cannot be seen", kind.name()),
            };
            tally.note(same == Some(shared), self.say(kind, shared), observed);
        }
    }
}

/// `CAP_NET_RAW` and `net_raw` are `NET_RAW`.
fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
}

impl Namespace {
    fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Ipc => "ipc",
            Self::Mnt => "mnt",
            Self::Net => "net",
            Self::Pid => "pid",
            Self::User => "user",
            Self::Uts => "uts",
        }
    }
}
