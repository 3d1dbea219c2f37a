//! `dockerignore`: which files of the submission a build gets to see.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dockerfile::numbered;
use super::file::listing;
use super::matcher::{Size, Text, Variables, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::dockerignore::{Dockerignore as Rules, Verdict, Walk};
use crate::submissions::{Content, Entry};
use crate::units::ByteSize;

/// Paths are kept out of the build's context or let into it, by the builder's own rules. The ignore
/// file is the one that the builder takes: `<Dockerfile>.dockerignore`, else `.dockerignore`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dockerignore {
    /// Folder of the submission that is the context; the one that is built if nothing is said.
    pub context: Option<String>,
    /// Path of the Dockerfile in the context; the one that is built if nothing is said.
    pub dockerfile: Option<String>,
    /// These never reach the build. A plain text is a path in the context, which need not exist: of a
    /// folder, nothing that is in it gets in. A matcher is for the paths of all files that were handed in.
    #[serde(default)]
    pub keeps_out: Vec<Text>,
    /// These reach the build. A plain text is a path in the context, which need not exist: of a folder,
    /// something that is in it gets in. A matcher is for the paths of all files that were handed in: some
    /// fit, and all of them get in.
    #[serde(default)]
    pub lets_in: Vec<Text>,
    /// How large all files that reach the build are together.
    pub size: Option<Size>,
}

impl Check for Dockerignore {
    const NAME: &'static str = "dockerignore";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("dockerignore.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where the context is missing"),
            ("the ignore file's path", "the ignore file with line numbers"),
            (
                "What decided",
                "each path with the line that keeps it out or lets it in, and the largest files",
            ),
        ],
        fails: &[
            "a path of `keeps_out` reaches the build, or there is no ignore file to keep it out",
            "a path of `lets_in` is kept out",
            "the files that reach the build are larger or smaller than asked",
            "docker build would refuse the ignore file",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.files(&mut mistakes);
        if self.keeps_out.is_empty() && self.lets_in.is_empty() && self.size.is_none() {
            mistakes.push("this check asks nothing; write for example `keeps_out: [.git]`".into());
        }
        for (field, path) in [("context", &self.context), ("dockerfile", &self.dockerfile)] {
            if let Some(path) = path
                && leaves(path)
            {
                mistakes.push(format!("`{field}: {path}` has to lie inside the submission"));
            }
        }
        for (field, list) in [("keeps_out", &self.keeps_out), ("lets_in", &self.lets_in)] {
            for wanted in list {
                match wanted {
                    Text::Exactly(path) if leaves(&path.0) || plain(&path.0).is_empty() => {
                        mistakes.push(format!(
                            "`{field}: {}` is no path in the context; write it as in `src/app.py`",
                            path.0
                        ));
                    }
                    Text::Exactly(path) if path.0.contains(['*', '?', '[']) => mistakes.push(format!(
                        "`{field}: {}` is read as one path; name an example of what is meant, or write {{matches: …}}",
                        path.0
                    )),
                    Text::Exactly(_) => {}
                    Text::Parts(_) => wanted.mistakes(field, false, &mut mistakes),
                }
            }
        }
        for (kept_out, let_in) in self.keeps_out.iter().flat_map(|a| self.lets_in.iter().map(move |b| (a, b)))
        {
            if let (Text::Exactly(kept_out), Text::Exactly(let_in)) = (kept_out, let_in)
                && plain(&kept_out.0) == plain(&let_in.0)
            {
                mistakes.push(format!(
                    "this check can never pass: `{}` is wanted outside and inside of the context",
                    let_in.0
                ));
            }
        }
        if let Some(size) = &self.size {
            size.mistakes("size", &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let folder = plain(self.context.as_deref().unwrap_or(scene.context)).to_owned();
        let expected = self.expected(scene.variables)?;
        let Some(context) = scene.content.subtree(&folder) else {
            let detail = Detail::new(expected, format!("there is no folder {}", shown(&folder)));
            return Ok(Finding::Failed(detail.proof("What was handed in", listing(scene.content))));
        };
        let built = scene.dockerfile.map(|path| {
            path.strip_prefix(folder.as_str()).and_then(|path| path.strip_prefix('/')).unwrap_or(path)
        });
        let dockerfile = self.dockerfile.as_deref().or(built).unwrap_or("Dockerfile");
        let path = context.ignore_file(plain(dockerfile));
        let bytes = path.as_deref().and_then(|path| context.file(path)).cloned().unwrap_or_default();
        let rules = Rules::read(&bytes);
        let name = path.as_deref().unwrap_or(".dockerignore");
        let written = || numbered(&String::from_utf8_lossy(&bytes));
        if let Some(mistake) = rules.mistake() {
            let detail = Detail::new(expected, format!("no build begins with this ignore file: {mistake}"));
            return Ok(Finding::Failed(detail.proof(name, written())));
        }
        let wanted = self.resolved(scene.variables)?;
        let size = self.size.clone();
        let missing = path.is_none();
        let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        // Many patterns and many files take a while.
        let looking = tokio::task::spawn_blocking(move || {
            let mut survey = Survey::new(&context, &rules, missing);
            for (text, lets_in) in &wanted {
                survey.look(text, *lets_in);
            }
            if let Some(size) = &size {
                survey.size(size);
            }
            let Survey { mut tally, decided, .. } = survey;
            if utf16 && !tally.holds() {
                tally.remark(
                    "the ignore file is written in UTF-16, so that no line of it fits anything".into(),
                );
            }
            (tally, decided)
        });
        let (tally, decided) = match looking.await {
            Ok(found) => found,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let mut detail = tally.detail().proof(name, written()).proof("What decided", decided.join("\n"));
        // What is for one Dockerfile alone does not hold for the one below.
        if name == ".dockerignore" {
            let context = super::shell::quoted(if folder.is_empty() { "." } else { &folder });
            detail = detail.reproduce(format!(
                "docker run --rm $(printf 'FROM busybox:1.37\\nCOPY . /context\\n' | docker build -q -f - {context}) find /context"
            ));
        }
        Ok(tally.finding(detail))
    }
}

impl Dockerignore {
    /// What is wanted, with the grading's values in it, and whether it is to be let in.
    fn resolved(&self, variables: &Variables) -> Result<Vec<(Text, bool)>, Fault> {
        let out = self.keeps_out.iter().map(|text| (text, false));
        out.chain(self.lets_in.iter().map(|text| (text, true)))
            .map(|(text, lets_in)| Ok((text.resolved(variables).map_err(Fault::Exercise)?, lets_in)))
            .collect()
    }

    fn expected(&self, variables: &Variables) -> Result<String, Fault> {
        let wanted = self.resolved(variables)?;
        let mut said: Vec<String> = wanted.iter().map(|(text, lets_in)| phrase(text, *lets_in)).collect();
        said.extend(self.size.iter().map(|size| format!("a context of a size {}", size.describe())));
        Ok(said.join(", "))
    }
}

fn phrase(text: &Text, lets_in: bool) -> String {
    let what = match text {
        Text::Exactly(path) => shown(&path.0),
        Text::Parts(_) if lets_in => format!("every path that {}", text.describe()),
        Text::Parts(_) => format!("whatever path {}", text.describe()),
    };
    format!("{what} {}", if lets_in { "reaches the build" } else { "stays out of the build" })
}

/// A path as the matcher knows it.
fn plain(path: &str) -> &str {
    let mut path = path.trim_end_matches('/');
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    if path == "." { "" } else { path }
}

fn leaves(path: &str) -> bool {
    path.starts_with('/') || path.split('/').any(|part| part == "..")
}

/// How many decisions the evidence has at most.
const DECISIONS: usize = 200;

/// The files of a context and what was found about them.
struct Survey<'a> {
    rules: &'a Rules,
    /// Whether there is no ignore file.
    missing: bool,
    /// Files and links with what is said of them.
    files: Vec<(String, u64, Verdict<'a>)>,
    tally: Tally,
    decided: Vec<String>,
}

impl<'a> Survey<'a> {
    fn new(context: &Content, rules: &'a Rules, missing: bool) -> Self {
        let mut walk = Walk::new(rules);
        let mut files = Vec::new();
        for (path, entry) in context.entries() {
            let size = match entry {
                Entry::Directory => continue,
                Entry::File { content, .. } => content.len() as u64,
                Entry::Symlink { .. } => 0,
            };
            let path = String::from_utf8_lossy(path).into_owned();
            let verdict = walk.look(&path);
            files.push((path, size, verdict));
        }
        Self { rules, missing, files, tally: Tally::default(), decided: Vec::new() }
    }

    fn look(&mut self, wanted: &Text, lets_in: bool) {
        let fitting: Vec<(String, Verdict<'a>)> = match wanted {
            Text::Exactly(path) => {
                let path = plain(&path.0);
                let inside = format!("{path}/");
                let below = self.files.iter().filter(|(file, ..)| file.starts_with(&inside));
                let mut fitting: Vec<_> = below.map(|(file, _, verdict)| (file.clone(), *verdict)).collect();
                if fitting.is_empty() {
                    fitting.push((path.to_owned(), self.rules.verdict(path)));
                }
                fitting
            }
            Text::Parts(_) => {
                let fitting = self.files.iter().filter(|(file, ..)| wanted.accepts(file));
                fitting.map(|(file, _, verdict)| (file.clone(), *verdict)).collect()
            }
        };
        let expected = phrase(wanted, lets_in);
        let some_suffice = lets_in && matches!(wanted, Text::Exactly(_));
        let good = |verdict: &Verdict<'_>| verdict.ignored != lets_in;
        let wrong = fitting.iter().find(|(_, verdict)| !good(verdict));
        let right = fitting.iter().find(|(_, verdict)| good(verdict));
        let (holds, example) = match (right, wrong) {
            (Some(right), _) if some_suffice => (true, Some(right)),
            (_, Some(wrong)) => (false, Some(wrong)),
            (right, None) => (right.is_some() || !lets_in, right),
        };
        let observed = match example {
            Some((path, verdict)) => self.told(path, verdict),
            None => "no path of the submission is like that".to_owned(),
        };
        self.tally.note(holds, expected, observed);
        for (path, verdict) in fitting {
            let told = self.told(&path, &verdict);
            if self.decided.len() < DECISIONS && !self.decided.contains(&told) {
                self.decided.push(told);
            }
        }
    }

    fn told(&self, path: &str, verdict: &Verdict<'_>) -> String {
        let outcome = if verdict.ignored { "is kept out" } else { "gets in" };
        let because = match verdict.line {
            Some(line) => format!("by line {}, {}", line.number, shown(&line.text)),
            None if self.missing => "since there is no ignore file".to_owned(),
            None => "since no line fits it".to_owned(),
        };
        format!("{} {outcome} {because}", shown(path))
    }

    fn size(&mut self, wanted: &Size) {
        let sent = self.files.iter().filter(|(_, _, verdict)| !verdict.ignored);
        let bytes: u64 = sent.clone().map(|(_, bytes, _)| bytes).sum();
        let observed = format!("{} files of {} reach the build", sent.clone().count(), ByteSize(bytes));
        self.tally.note(
            wanted.accepts(bytes),
            format!("a context of a size {}", wanted.describe()),
            observed,
        );
        let mut largest: Vec<_> = sent.map(|(path, bytes, _)| (*bytes, path.clone())).collect();
        largest.sort_by(|a, b| b.cmp(a));
        let largest = largest.iter().take(10);
        self.decided.extend(largest.map(|(bytes, path)| format!("{} of {}", shown(path), ByteSize(*bytes))));
    }
}
