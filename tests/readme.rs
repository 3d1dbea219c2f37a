//! The README says what the code says.

use drydock::checks::Kind;
use drydock::config::Settings;

fn readme() -> String {
    std::fs::read_to_string("README.md").expect("the README is text")
}

#[test]
fn every_setting_is_listed() {
    let readme = readme();
    let (_, rest) = readme.split_once("<!-- settings -->\n").expect("the table begins");
    let (table, _) = rest.split_once("<!-- /settings -->").expect("the table ends");
    let wanted = Settings::table();
    assert_eq!(table.trim(), wanted.trim(), "put this between the settings marks of README.md:\n\n{wanted}");
}

#[test]
fn every_figure_is_listed() {
    let readme = readme();
    let source = std::fs::read_to_string("src/web/health.rs").expect("the source is text");
    let figures = source.split('"').filter(|text| text.starts_with("drydock_") && !text.contains('{'));
    let mut count = 0;
    for figure in figures {
        assert!(readme.contains(figure), "README.md does not name the figure `{figure}`");
        count += 1;
    }
    assert!(count >= 8, "the names have moved: {count}");
}

#[test]
fn every_check_kind_is_named() {
    let readme = readme();
    for name in Kind::NAMES {
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name the check kind `{name}`");
    }
}

/// What an installation starts from, `deploy/`, is read by the programs that it is for.
mod deploy {
    use std::path::Path;
    use std::process::{Command, Output};

    use drydock::config::{SandboxSettings, Settings};

    fn text(name: &str) -> String {
        let path = Path::new("deploy").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn settings(text: &str) -> Settings {
        let read = Settings::from_sources(Some(("drydock.toml", text)), []);
        read.unwrap_or_else(|error| panic!("deploy/drydock.toml: {error}"))
    }

    fn told(output: &Output) -> String {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
    }

    #[test]
    fn settings_are_ours() {
        let toml = text("drydock.toml");
        let plain = settings(&toml);
        assert_eq!(plain.sandbox.runtime, SandboxSettings::default().runtime);
        assert_eq!(plain.data_dir, Path::new("/var/lib/drydock"));
        assert!(!plain.sandbox.internet_builds);
        let under_gvisor = settings(&toml.replace("# runtime = ", "runtime = "));
        assert_eq!(under_gvisor.sandbox.runtime, "runsc");
        // The unit names the file and the folder that the settings are about.
        let unit = text("drydock.service");
        assert!(unit.contains("ExecStart=/usr/local/bin/drydock --config /etc/drydock/drydock.toml serve\n"));
        assert!(unit.contains("StateDirectory=drydock\n"));
    }

    #[test]
    fn the_engine_takes_its_settings() {
        let json: serde_json::Value = serde_json::from_str(&text("daemon.json")).expect("JSON");
        let runtime = settings(&text("drydock.toml").replace("# runtime = ", "runtime = ")).sandbox.runtime;
        assert!(json["runtimes"][&runtime]["path"].is_string(), "{json:#}");
        let parent = json["cgroup-parent"].as_str().expect("a slice");
        assert!(text(parent).contains("MemoryMax="), "the slice {parent} bounds memory");
        assert!(text("docker.service.d/drydock.conf").contains("Slice=drydock-engine.slice\n"));
        // Since Docker 23.
        let help = Command::new("dockerd").arg("--help").output();
        if !help.is_ok_and(|help| told(&help).contains("--validate")) {
            println!("not validated: this machine has no dockerd with --validate");
            return;
        }
        let validated = Command::new("dockerd")
            .args(["--validate", "--config-file", "deploy/daemon.json"])
            .output()
            .unwrap();
        assert!(validated.status.success(), "{}", told(&validated));
    }

    #[test]
    fn systemd_takes_the_units() {
        if Command::new("systemd-analyze").arg("--version").output().is_err() {
            println!("skipped: this machine has no systemd-analyze");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let slices = ["drydock.slice", "drydock-engine.slice", "drydock-containers.slice"];
        for slice in slices {
            std::fs::write(at(slice), text(slice)).unwrap();
        }
        // The programs need not be here; that they are named rightly is checked above.
        let unit = text("drydock.service").replace("/usr/local/bin/drydock", "/bin/true");
        std::fs::write(at("drydock.service"), unit).unwrap();
        std::fs::write(at("docker.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
        std::fs::create_dir(at("docker.service.d")).unwrap();
        std::fs::write(at("docker.service.d/drydock.conf"), text("docker.service.d/drydock.conf")).unwrap();
        let verified = Command::new("systemd-analyze")
            .arg("verify")
            .args(slices.into_iter().chain(["drydock.service", "docker.service"]).map(at))
            // Ours first, then those of the system.
            .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()))
            .output()
            .unwrap();
        // A key that it does not know is a line, and no failure.
        let told = told(&verified);
        let ours: Vec<&str> =
            told.lines().filter(|line| line.contains(&folder.path().display().to_string())).collect();
        assert!(verified.status.success() && ours.is_empty(), "{told}");
    }

    #[test]
    fn its_readme_names_every_file() {
        let readme = text("README.md");
        for entry in std::fs::read_dir("deploy").unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "README.md" || readme.contains(&name), "deploy/README.md does not name {name}");
        }
        assert!(super::readme().contains("deploy/README.md"));
    }
}
