//! Projects in one file each, with what they have to be read to.
//!
//! A case begins with comment lines that say what it shows; `# profiles: a, b`, `# capabilities: CHOWN`,
//! `# platform: linux/amd64` and `# file: sub/compose.yaml` among them are options. Then come its files, each after a line
//! `-- path --` (`-- path -> target --` is a link). The last two are what is expected: `expected findings`,
//! one to a line as they are printed, and `expected model`, the JSON of the model without places; there is
//! none where a file cannot be read.
//!
//! `DRYDOCK_UPDATE=1` writes what is expected anew. That a wrong model is not taken for right then is the
//! work of `oracle.rs`, which compares each of them with what docker compose makes of the same files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use drydock::submissions::compose::{Options, Reading, read};
use drydock::submissions::{Content, ContentLimits};
use serde_json::Value;

pub const FINDINGS: &str = "expected findings";
pub const MODEL: &str = "expected model";

/// A case as its file has it.
pub struct Case {
    pub path: PathBuf,
    pub name: String,
    pub comment: String,
    /// Path and text of each file.
    pub files: Vec<(String, String)>,
    /// Path and target of each link.
    pub links: Vec<(String, String)>,
    pub findings: String,
    pub model: String,
}

impl Case {
    /// The values of an option in the comment.
    pub fn option(&self, name: &str) -> Vec<String> {
        let prefix = format!("# {name}:");
        let line = self.comment.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default();
        line.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    }

    /// Writes the files into a folder.
    pub fn write(&self, folder: &Path) {
        for (path, text) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for (path, target) in &self.links {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        }
    }

    pub fn read(&self) -> Reading {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path());
        let limits = ContentLimits { archive_bytes: 1 << 24, unpacked_bytes: 1 << 24, entries: 1000 };
        let content = Content::from_folder(folder.path(), &limits).unwrap();
        let options = Options {
            file: self.option("file").pop(),
            name: self.name.clone(),
            profiles: self.option("profiles"),
            capabilities: self.option("capabilities"),
            platform: self.option("platform").pop(),
            ..Options::default()
        };
        read(&content, &options)
    }

    fn text(&self) -> String {
        let mut out = self.comment.clone();
        for (path, text) in &self.files {
            let _ = write!(out, "-- {path} --\n{text}");
        }
        for (path, target) in &self.links {
            let _ = writeln!(out, "-- {path} -> {target} --");
        }
        let _ = write!(out, "-- {FINDINGS} --\n{}", self.findings);
        let _ = write!(out, "-- {MODEL} --\n{}", self.model);
        out
    }
}

/// Every case of a folder below `tests/compose`, by name.
pub fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose").join(folder);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Case {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut case = Case {
        path: path.to_owned(),
        name,
        comment: String::new(),
        files: Vec::new(),
        links: Vec::new(),
        findings: String::new(),
        model: String::new(),
    };
    let mut section = String::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            match name.split_once(" -> ") {
                Some((path, target)) => case.links.push((path.to_owned(), target.to_owned())),
                None if name != FINDINGS && name != MODEL => {
                    case.files.push((name.to_owned(), String::new()))
                }
                None => {}
            }
            name.clone_into(&mut section);
            continue;
        }
        match section.as_str() {
            "" => case.comment.push_str(line),
            FINDINGS => case.findings.push_str(line),
            MODEL => case.model.push_str(line),
            _ => case.files.last_mut().unwrap().1.push_str(line),
        }
    }
    case
}

/// The JSON of a model without the places, which the findings and a test of their own show.
pub fn without_places(mut model: Value) -> Value {
    fn take(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("origin");
                map.values_mut().for_each(take);
            }
            Value::Array(list) => list.iter_mut().for_each(take),
            _ => {}
        }
    }
    take(&mut model);
    model
}

/// The model as JSON; nothing where a file could not be read.
pub fn model(reading: &Reading) -> Value {
    without_places(serde_json::to_value(reading).unwrap()["project"].take())
}

fn expected(reading: &Reading) -> (String, String) {
    let mut findings = String::new();
    for finding in &reading.findings {
        let _ = writeln!(findings, "{} [{}] {finding}", finding.kind.name(), finding.rule);
    }
    let model = match model(reading) {
        Value::Null => String::new(),
        model => format!("{}\n", serde_json::to_string_pretty(&model).unwrap()),
    };
    (findings, model)
}

fn check(folder: &str) {
    let update = std::env::var_os("DRYDOCK_UPDATE").is_some();
    let mut wrong = Vec::new();
    for mut case in cases(folder) {
        let (findings, model) = expected(&case.read());
        if (&findings, &model) == (&case.findings, &case.model) {
            continue;
        }
        if update {
            (case.findings, case.model) = (findings, model);
            std::fs::write(&case.path, case.text()).unwrap();
        } else {
            wrong.push(format!("{}:\n{findings}{model}", case.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} read otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_case_is_read_as_expected() {
    check("cases");
}

#[test]
fn every_project_is_read_as_expected() {
    check("projects");
}

#[test]
fn there_are_enough_of_them() {
    assert!(cases("cases").len() >= 120, "{}", cases("cases").len());
    assert!(cases("projects").len() >= 30, "{}", cases("projects").len());
    for case in cases("cases").iter().chain(&cases("projects")) {
        assert!(case.comment.starts_with("# "), "{} says what it shows", case.name);
    }
}

/// What is said of a project has its place in one of its files.
#[test]
fn every_finding_has_a_place_that_exists() {
    for case in cases("cases").iter().chain(&cases("projects")) {
        for finding in case.read().findings {
            let place = finding.origin.place;
            if place.line == 0 {
                continue;
            }
            let text = case.files.iter().find(|(path, _)| *path == *finding.origin.file);
            let (_, text) = text.unwrap_or_else(|| panic!("{}: no file {}", case.name, finding.origin.file));
            let line = text.split('\n').nth(place.line - 1);
            let line = line.unwrap_or_else(|| panic!("{}: {finding}", case.name));
            assert!(place.column <= line.chars().count() + 1, "{}: {finding}", case.name);
        }
    }
}
