//! Package managers: versions, questions, caches and lists left behind.

use super::shell::{Command, Script};
use super::source::Step;
use super::{Report, Steps};
use crate::submissions::dockerfile::Keyword;

pub(super) fn look(steps: Steps<'_>, report: &mut Report) {
    for step in steps.steps.iter().filter(|step| step.keyword == Keyword::Run) {
        let script = &step.script;
        apt(step, report);
        apk(step, report);
        pip(step, report);
        npm(step, report);
        gem_and_go(step, report);
        yum(step, report);
        dnf(step, report);
        zypper(step, report);
        if script.any(|command| command.is("yarn", &["install"]))
            && !cleaned_after(
                script,
                |command| command.is("yarn", &["install"]),
                |command| command.is("yarn", &["cache", "clean"]),
            )
            && !mounts(step, ".cache/yarn")
        {
            report.add(step.line, "DL3060");
        }
    }
    pip_cache(steps, report);
    apt_lists(steps, report);
}

/// Whether the first clean-up stands after the first installation.
fn cleaned_after(
    script: &Script,
    installs: impl Fn(&Command) -> bool,
    cleans: impl Fn(&Command) -> bool,
) -> bool {
    let (installed, cleaned) = (script.first(installs), script.first(cleans));
    cleaned.is_some_and(|cleaned| installed.is_some_and(|installed| installed < cleaned))
}

/// The first package that is not pinned, of each command that installs some.
fn unpinned(
    report: &mut Report,
    step: &Step,
    id: &str,
    packages: impl Fn(&Command) -> Vec<&str>,
    pinned: impl Fn(&str) -> bool,
) {
    let mut all = step.script.commands.iter().flat_map(packages);
    if let Some(package) = all.find(|package| !pinned(package)) {
        report.about(step.line, id, package);
    }
}

/// Tells of the first command for which it holds.
fn told(report: &mut Report, step: &Step, id: &str, holds: impl Fn(&Command) -> bool) {
    if step.script.any(holds) {
        report.add(step.line, id);
    }
}

/// Whether a cache or a file system in memory is mounted at a path that contains `part`.
fn mounts(step: &Step, part: &str) -> bool {
    mounted(step, &["cache", "tmpfs"]).iter().any(|target| target.contains(part))
}

fn mounted(step: &Step, kinds: &[&str]) -> Vec<String> {
    let field = |mount: &str, names: &[&str]| {
        mount.split(',').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            names
                .contains(&name.to_ascii_lowercase().as_str())
                .then(|| super::source::unquoted(value).to_owned())
        })
    };
    step.flag("mount")
        .filter(|mount| field(mount, &["type"]).is_some_and(|kind| kinds.contains(&kind.as_str())))
        .filter_map(|mount| field(mount, &["target", "dst", "destination"]))
        .collect()
}

fn apt(step: &Step, report: &mut Report) {
    let installs = |command: &Command| command.is("apt-get", &["install"]);
    told(report, step, "DL3005", |command| command.is("apt-get", &["upgrade", "dist-upgrade"]));
    told(report, step, "DL3014", |command| {
        let quiet = command.arguments.iter().any(|word| word == "-qq" || word == "-q=2");
        let twice =
            command.arguments.iter().filter(|word| matches!(word.as_str(), "-q" | "--quiet")).count() > 1;
        installs(command)
            && !command.has_flag(&["y", "yes", "assume-yes"])
            && !(quiet || twice || command.has(&["--quiet=2"]))
    });
    told(report, step, "DL3015", |command| {
        installs(command)
            && !command.has_flag(&["no-install-recommends"])
            && !command.has(&["APT::Install-Recommends=false"])
    });
    told(report, step, "DL3027", |command| command.name == "apt");
    unpinned(
        report,
        step,
        "DL3008",
        |command| {
            if !command.is("apt-get", &["install"]) {
                return Vec::new();
            }
            let operands = command.operands(&["t", "target-release"]);
            operands.into_iter().filter(|word| *word != "install").collect()
        },
        |package| package.contains(['=', '/']) || has_extension(package, &[".deb"]),
    );
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    extensions.iter().any(|extension| path.ends_with(extension))
}

/// Lists that `apt-get update` leaves in a layer, in the stage that is built and in those that it is
/// built from.
fn apt_lists(steps: Steps<'_>, report: &mut Report) {
    struct Stage<'a> {
        name: Option<&'a str>,
        lists: Vec<usize>,
    }
    let froms: Vec<_> = steps.steps.iter().filter_map(|step| super::stages::From::of(step)).collect();
    let mut stages = vec![Stage { name: None, lists: Vec::new() }];
    let mut from = froms.iter();
    for step in steps.steps {
        let Some(stage) = stages.last_mut() else { return };
        match step.keyword {
            Keyword::From => {
                let name = from.next().and_then(|from| from.name);
                stages.push(Stage { name, lists: Vec::new() });
            }
            Keyword::Run => {
                let script = &step.script;
                let cached = mounted(step, &["cache", "tmpfs"]);
                let below = |folder: &str| cached.iter().any(|target| target.starts_with(folder));
                let updates = script.any(|command| command.is("apt-get", &["update"]));
                let removes = script.any(|command| command.is("rm", &["-rf", "/var/lib/apt/lists/*"]));
                let cached = below("/var/lib/apt/lists") || below("/var/lib/apt") && below("/var/cache/apt");
                let forgotten = updates && !removes && !cached;
                if forgotten {
                    stage.lists.push(step.line);
                }
            }
            _ => {}
        }
    }
    let last = stages.len() - 1;
    for (index, stage) in stages.iter().enumerate() {
        let used = stage.name.is_some_and(|name| froms.iter().any(|from| from.image == name));
        if index == last || used {
            stage.lists.iter().for_each(|line| report.add(*line, "DL3009"));
        }
    }
}

fn apk(step: &Step, report: &mut Report) {
    told(report, step, "DL3017", |command| command.is("apk", &["upgrade"]));
    let cached = mounts(step, "/var/cache/apk");
    told(report, step, "DL3019", |command| {
        command.is("apk", &["add"]) && !command.has_flag(&["no-cache"]) && !cached
    });
    unpinned(
        report,
        step,
        "DL3018",
        |command| {
            if !command.is("apk", &["add"]) {
                return Vec::new();
            }
            let operands = command.operands(&["t", "virtual", "repository", "X"]);
            operands.into_iter().filter(|word| *word != "add").collect()
        },
        |package| package.contains(['=', '~']) || has_extension(package, &[".apk"]),
    );
}

/// `pip install`, `pip3 install`, `python3 -m pip install`.
fn installs_with_pip(command: &Command) -> bool {
    let itself = command.name.starts_with("pip") && !command.name.starts_with("pipenv");
    itself && command.has(&["install"])
        || command.name.starts_with("python") && command.has_in_a_row(&["-m", "pip", "install"])
}

fn pip(step: &Step, report: &mut Report) {
    const WITH_VALUE: &[&str] = &[
        "abi",
        "b",
        "build",
        "e",
        "editable",
        "extra-index-url",
        "f",
        "find-links",
        "i",
        "index-url",
        "implementation",
        "no-binary",
        "only-binary",
        "platform",
        "prefix",
        "progress-bar",
        "proxy",
        "python-version",
        "root",
        "src",
        "t",
        "target",
        "trusted-host",
        "upgrade-strategy",
    ];
    unpinned(
        report,
        step,
        "DL3013",
        |command| {
            let elsewhere =
                command.has(&["--requirement", "-r", "."]) || command.has_flag(&["constraint", "c"]);
            if !installs_with_pip(command) || elsewhere {
                return Vec::new();
            }
            let operands = command.operands(WITH_VALUE);
            let after =
                operands.iter().skip_while(|word| **word != "install").skip_while(|word| **word == "install");
            after.copied().collect()
        },
        |package| {
            let versioned =
                ["==", ">=", "<=", ">", "<", "!=", "~="].iter().any(|sign| package.contains(sign));
            let repository = ["git", "hg+", "svn", "bzr+"].iter().any(|scheme| package.starts_with(scheme))
                && (package.contains("://") || package.starts_with("git"));
            versioned
                || has_extension(package, &[".whl", ".tar.gz"])
                || if repository { package.contains('@') } else { package.contains('/') }
        },
    );
}

/// Whether a word switches something on, as pip reads it.
fn on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes")
}

/// Pip's cache, which `PIP_NO_CACHE_DIR` switches off for a stage and those built from it.
fn pip_cache(steps: Steps<'_>, report: &mut Report) {
    let mut off: std::collections::HashMap<String, bool> = std::collections::HashMap::new();
    let mut current = String::new();
    for step in steps.steps {
        match step.keyword {
            Keyword::From => {
                if let Some(from) = super::stages::From::of(step) {
                    let parent = off.get(from.image).copied().unwrap_or_default();
                    from.name.unwrap_or(from.image).clone_into(&mut current);
                    off.insert(current.clone(), parent);
                }
            }
            Keyword::Env => {
                let set = |(name, value): &(String, String)| {
                    name == "PIP_NO_CACHE_DIR" && on(super::source::unquoted(value))
                };
                if step.pairs().0.iter().any(set) {
                    off.insert(current.clone(), true);
                }
            }
            Keyword::Run => {
                let script = &step.script;
                let inline = script.text.split_once("PIP_NO_CACHE_DIR=").is_some_and(|(_, value)| {
                    on(value.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default())
                });
                let caches = |command: &Command| {
                    let wrapped = ["pipx", "pipenv"].iter().any(|wrapper| {
                        command.name.contains(wrapper)
                            || command.name.starts_with("python") && command.has_in_a_row(&["-m", wrapper])
                    });
                    installs_with_pip(command) && !command.has(&["--no-cache-dir"]) && !wrapped
                };
                if !off.get(&current).copied().unwrap_or_default()
                    && !inline
                    && !mounts(step, ".cache/pip")
                    && script.any(caches)
                {
                    report.add(step.line, "DL3042");
                }
            }
            _ => {}
        }
    }
}

fn npm(step: &Step, report: &mut Report) {
    unpinned(
        report,
        step,
        "DL3016",
        |command| {
            let operands = command.operands(&[]);
            if command.name != "npm" || operands.first() != Some(&"install") {
                return Vec::new();
            }
            operands.into_iter().skip_while(|word| *word == "install").collect()
        },
        |package| {
            if ["git://", "git+ssh://", "git+http://", "git+https://"].iter().any(|p| package.starts_with(p))
            {
                return package.contains('#');
            }
            let path = ["/", "./", "../", "~/"].iter().any(|prefix| package.starts_with(prefix));
            let name = package
                .strip_prefix('@')
                .map_or(package, |scoped| scoped.split_once('/').map_or("", |(_, n)| n));
            path || has_extension(package, &[".tar", ".tar.gz", ".tgz"]) || name.contains('@')
        },
    );
}

fn gem_and_go(step: &Step, report: &mut Report) {
    unpinned(
        report,
        step,
        "DL3028",
        |command| {
            let versioned = command.has(&["-v", "--version"])
                || command.arguments.iter().any(|word| word.starts_with("--version="));
            if !command.is("gem", &["install", "i"]) || versioned {
                return Vec::new();
            }
            let operands = command.operands(&[]);
            operands.into_iter().filter(|word| !matches!(*word, "install" | "i" | "--")).collect()
        },
        |gem| gem.contains(':'),
    );
    unpinned(
        report,
        step,
        "DL3062",
        |command| {
            if !command.is("go", &["install", "get", "run"]) {
                return Vec::new();
            }
            let operands = command.operands(&[]);
            operands.into_iter().filter(|word| !matches!(*word, "install" | "get" | "run")).collect()
        },
        |package| package.starts_with(['.', '/']) || package.contains('@') && !package.ends_with("@latest"),
    );
}

fn yum(step: &Step, report: &mut Report) {
    told(report, step, "DL3030", |command| {
        command.is("yum", &["install", "groupinstall", "localinstall"])
            && !command.has_flag(&["y", "assumeyes"])
    });
    told(report, step, "DL3031", |command| {
        command.is("yum", &["update", "update-to", "upgrade", "upgrade-to"])
    });
    let installs = |command: &Command| command.is("yum", &["install"]);
    let cleans = |command: &Command| {
        command.is("yum", &["clean", "all"]) || command.is("rm", &["-rf", "/var/cache/yum/*"])
    };
    if step.script.any(installs) && !cleaned_after(&step.script, installs, cleans) {
        report.add(step.line, "DL3032");
    }
    versions(report, step, "DL3033", &["yum"]);
}

/// Versions of packages and modules of yum and dnf.
fn versions(report: &mut Report, step: &Step, id: &str, names: &[&str]) {
    for command in &step.script.commands {
        if !names.contains(&command.name.as_str()) || !command.has(&["install"]) {
            continue;
        }
        let module = command.has(&["module"]);
        if names.contains(&"dnf") && command.has(&["group"]) {
            continue;
        }
        let mut operands =
            command.operands(&[]).into_iter().filter(|word| !matches!(*word, "install" | "module"));
        let open = operands.find(|word| if module { !word.contains(':') } else { !is_versioned(word) });
        if let Some(package) = open {
            report.about(step.line, id, package);
            return;
        }
    }
}

fn dnf(step: &Step, report: &mut Report) {
    const NAMES: [&str; 2] = ["dnf", "microdnf"];
    let named = |command: &Command| NAMES.contains(&command.name.as_str());
    told(report, step, "DL3038", |command| {
        named(command)
            && command.has(&["install", "groupinstall", "localinstall"])
            && !command.has_flag(&["y", "assumeyes"])
    });
    told(report, step, "DL3039", |command| named(command) && command.has(&["upgrade", "upgrade-minimal"]));
    for name in NAMES {
        let installs = |command: &Command| command.is(name, &["install", "upgrade"]);
        let cleans = |command: &Command| {
            command.is(name, &["clean", "all"]) || command.is("rm", &["-rf", "/var/cache/yum/*"])
        };
        if step.script.any(installs)
            && !cleaned_after(&step.script, installs, cleans)
            && !mounts(step, "/var/cache/libdnf5")
            && !mounts(step, "/var/cache/dnf")
        {
            report.add(step.line, "DL3040");
        }
    }
    versions(report, step, "DL3041", &NAMES);
}

/// `name-version`, where names may have dashes too: the version begins with a digit.
fn is_versioned(package: &str) -> bool {
    let parts: Vec<&str> = package.split('-').skip(1).collect();
    let version = |part: &&str| {
        part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '~' | '^' | '_' | ':' | '+'))
    };
    !parts.is_empty()
        && (has_extension(package, &[".rpm"])
            || parts.iter().all(version)
                && parts.iter().any(|part| part.starts_with(|c: char| c.is_ascii_digit())))
}

fn zypper(step: &Step, report: &mut Report) {
    told(report, step, "DL3034", |command| {
        command.is("zypper", &["install", "in", "remove", "rm", "source-install", "si", "patch"])
            && !command.has_flag(&["non-interactive", "n", "no-confirm", "y"])
    });
    told(report, step, "DL3035", |command| command.is("zypper", &["dist-upgrade", "dup"]));
    let installs = |command: &Command| command.is("zypper", &["install", "in"]);
    let cleans = |command: &Command| command.is("zypper", &["clean", "cc"]);
    if step.script.any(installs)
        && !cleaned_after(&step.script, installs, cleans)
        && !mounts(step, "/var/cache/zypp")
    {
        report.add(step.line, "DL3036");
    }
    unpinned(
        report,
        step,
        "DL3037",
        |command| {
            if !command.is("zypper", &["install", "in"]) {
                return Vec::new();
            }
            command.operands(&[]).into_iter().filter(|word| !matches!(*word, "install" | "in")).collect()
        },
        |package| package.contains(['=', '>', '<']) || has_extension(package, &[".rpm"]),
    );
}
