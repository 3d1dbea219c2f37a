//! `drydock compose FILE`: what Drydock makes of a compose file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drydock::config::UploadSettings;
use drydock::submissions::compose::model::{BuildContext, MountKind, NetworkMode, Service};
use drydock::submissions::compose::{Finding, Kind, Options, Project, Reading, read};
use drydock::submissions::{Content, ContentLimits};
use drydock::text::for_terminal;
use drydock::units::ByteSize;

#[derive(clap::Args)]
pub struct Arguments {
    /// A compose file, or a folder with one
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A profile that is active; may be given several times
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Print the model and the findings as JSON
    #[arg(long)]
    json: bool,
}

/// Exit code 0 where the project would run, 1 where it is refused, 2 where it cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let reading = match read_at(arguments) {
        Ok(reading) => reading,
        Err(why) => {
            eprintln!(
                "drydock: {}: {}",
                for_terminal(&arguments.file.display().to_string()),
                for_terminal(&why)
            );
            return Ok(ExitCode::from(2));
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&reading)?);
    } else {
        print(&reading);
    }
    Ok(match (reading.is_unreadable(), reading.runs()) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(1),
    })
}

/// The folder of the file is taken for the submission.
fn read_at(arguments: &Arguments) -> Result<Reading, String> {
    let path = std::path::absolute(&arguments.file).map_err(|error| error.to_string())?;
    let metadata = std::fs::metadata(&path).map_err(|error| format!("cannot be read: {error}"))?;
    let (folder, file) = if metadata.is_dir() {
        (path.as_path(), None)
    } else {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        (path.parent().unwrap_or(Path::new("/")), name)
    };
    let content = Content::from_folder(folder, &ContentLimits::from(&UploadSettings::default()))
        .map_err(|refusal| refusal.to_string())?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(read(&content, &Options { file, name, profiles: arguments.profile.clone(), ..Options::default() }))
}

fn print(reading: &Reading) {
    if !reading.is_unreadable() {
        print_project(&reading.project, &reading.files);
    }
    for (title, kinds) in [
        ("Does not run", &[Kind::Unreadable, Kind::Mistake, Kind::Refused, Kind::Confined][..]),
        ("Runs in another way", &[Kind::Rewritten]),
        ("Has no effect", &[Kind::Ignored]),
        ("To know", &[Kind::Note]),
    ] {
        let found: Vec<&Finding> =
            reading.findings.iter().filter(|finding| kinds.contains(&finding.kind)).collect();
        if found.is_empty() {
            continue;
        }
        println!("{title}:");
        for finding in found {
            println!("  {}", for_terminal(&finding.to_string()));
        }
        println!();
    }
    println!("{}", if reading.runs() { "This project would run." } else { "This project would not run." });
}

fn print_project(project: &Project, files: &[String]) {
    println!("Project {} from {}\n", for_terminal(&project.name), for_terminal(&files.join(", ")));
    for name in project.start_order() {
        println!("service {}", for_terminal(name));
        for (key, value) in lines(&project.services[name]) {
            println!("  {key:<11} {}", for_terminal(&value).replace('\n', "⏎"));
        }
        println!();
    }
    for (title, names) in [
        ("networks", project.networks.keys().collect::<Vec<_>>()),
        ("volumes", project.volumes.keys().collect()),
        ("configs", project.configs.keys().collect()),
        ("secrets", project.secrets.keys().collect()),
    ] {
        if !names.is_empty() {
            let names: Vec<String> = names.into_iter().map(|name| for_terminal(name)).collect();
            println!("{title}: {}", names.join(", "));
        }
    }
    println!();
}

/// What a newcomer wants to see of a service: a word and its values.
fn lines(service: &Service) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match (&service.build, &service.image) {
        (Some(build), _) => {
            let dockerfile = build.dockerfile.as_deref().unwrap_or("a Dockerfile in the compose file");
            let target = build.target.as_ref().map_or_else(String::new, |target| format!(", stage {target}"));
            lines.push(("built from", format!("{} by {dockerfile}{target}", build.context)));
            for (name, context) in &build.additional_contexts {
                let what = match context {
                    BuildContext::Folder(path) => path.clone(),
                    BuildContext::Service(service) => format!("the image of {service}"),
                    BuildContext::Image(image) => image.clone(),
                };
                lines.push(("context", format!("{name}: {what}")));
            }
        }
        (None, Some(image)) => lines.push(("image", image.clone())),
        (None, None) => {}
    }
    let words = |words: &[String]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ");
    lines.extend(service.entrypoint.as_ref().map(|entrypoint| ("entrypoint", words(entrypoint))));
    lines.extend(service.command.as_ref().map(|command| ("command", words(command))));
    for (name, value) in &service.environment {
        lines.push((
            "variable",
            value.as_ref().map_or_else(|| format!("{name} (not set)"), |value| format!("{name}={value}")),
        ));
    }
    lines.extend(service.user.as_ref().map(|user| ("user", user.clone())));
    match &service.network_mode {
        NetworkMode::Networks => {
            for (network, attachment) in &service.networks {
                let aliases = if attachment.aliases.is_empty() {
                    String::new()
                } else {
                    format!(", also as {}", attachment.aliases.join(", "))
                };
                lines.push(("network", format!("{network}{aliases}")));
            }
        }
        NetworkMode::None => lines.push(("network", "none".into())),
        NetworkMode::Service(name) => lines.push(("network", format!("that of {name}"))),
    }
    for port in &service.ports {
        lines.push(("port", format!("{}/{} (not published)", port.target, port.protocol)));
    }
    for mount in &service.mounts {
        let what = match &mount.kind {
            MountKind::Volume { source: Some(name), .. } => format!("volume {name}"),
            MountKind::Volume { source: None, .. } => "a volume of its own".into(),
            MountKind::Bind(bind) => format!("a copy of {}", bind.source),
            MountKind::Tmpfs(_) => "memory".into(),
        };
        let access = if mount.read_only { ", read-only" } else { "" };
        lines.push(("mount", format!("{}: {what}{access}", mount.target)));
    }
    lines.extend(service.tmpfs.keys().map(|target| ("mount", format!("{target}: memory"))));
    lines.extend(service.configs.iter().map(|file| ("config", format!("{}: {}", file.target, file.source))));
    lines.extend(service.secrets.iter().map(|file| ("secret", format!("{}: {}", file.target, file.source))));
    for (name, dependency) in &service.depends_on {
        let condition = serde_json::to_value(dependency.condition).unwrap_or_default();
        let condition =
            condition.as_str().unwrap_or_default().trim_start_matches("service_").replace('_', " ");
        lines.push(("waits for", format!("{name}: {condition}")));
    }
    if let Some(check) = &service.healthcheck {
        let test = check.test.as_deref().map_or_else(|| "the image's".into(), words);
        lines.push(("health", if check.disable { "not checked".into() } else { test }));
    }
    lines.extend(service.restart.map(|restart| ("restart", restart.to_string())));
    let limits = &service.limits;
    lines.extend(limits.memory_bytes.map(|bytes| ("at most", format!("{} of memory", ByteSize(bytes)))));
    lines.extend(limits.cpu_millis.map(|millis| ("at most", format!("{} CPUs", f64::from(millis) / 1000.0))));
    lines.extend(limits.pids.map(|pids| ("at most", format!("{pids} processes"))));
    if service.replicas != 1 {
        lines.push(("containers", service.replicas.to_string()));
    }
    lines
}
