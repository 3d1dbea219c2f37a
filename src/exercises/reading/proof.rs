//! What shows that an exercise's checks mean something: its solution and its mutants.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::{Reader, check_slug};
use crate::exercises::definition::MutantDefinition;
use crate::exercises::exercise::{CheckSpec, Mutant};
use crate::submissions::Answers;
use crate::text::visible;
use crate::tree::{Node, Place, Value, unknown};

/// The file of a reference submission with its answers.
const ANSWERS_FILE: &str = "answers.json";

impl Reader<'_> {
    pub(super) fn solution(&mut self, dockerfile: Option<&str>, answers: bool, checks: &[CheckSpec]) {
        if !self.is_folder("solution") {
            let folder = format!("{}/solution", self.shown);
            self.mistakes
                .elsewhere(folder, "the folder is missing; it holds a submission that passes everything");
            return;
        }
        if let Some(path) = dockerfile
            && self.folder.file(&format!("solution/{path}")).is_none()
        {
            let file = format!("{}/solution/{path}", self.shown);
            self.mistakes.elsewhere(file, "the file is missing; it is what `build` builds");
        }
        if answers && checks.iter().any(|check| check.kind.question().is_some()) {
            let questions = checks.iter().filter(|check| check.kind.question().is_some());
            let questions: Vec<&str> = questions.map(|check| check.id.as_str()).collect();
            if self.folder.file(&format!("solution/{ANSWERS_FILE}")).is_none() {
                let file = format!("{}/solution/{ANSWERS_FILE}", self.shown);
                self.mistakes.elsewhere(
                    file,
                    "the file is missing; it has the right answers: {\"check-id\": \"text\" or [\"option\"]}",
                );
            } else if let Some(answers) = self.answers("solution", &questions) {
                for question in questions.iter().filter(|question| !answers.0.contains_key(**question)) {
                    let file = format!("{}/solution/{ANSWERS_FILE}", self.shown);
                    self.mistakes.elsewhere(file, format!("there is no answer to `{question}`"));
                }
            }
        }
    }

    /// The answers in a folder of this one, if there are any and they can be read.
    fn answers(&mut self, folder: &str, questions: &[&str]) -> Option<Answers> {
        let bytes = self.folder.file(&format!("{folder}/{ANSWERS_FILE}"))?;
        let file = format!("{}/{folder}/{ANSWERS_FILE}", self.shown);
        match Answers::from_json(bytes) {
            Ok(answers) => {
                for id in answers.0.keys().filter(|id| !questions.contains(&id.as_str())) {
                    self.mistakes.elsewhere(file.clone(), unknown("question", id, questions.iter().copied()));
                }
                Some(answers)
            }
            Err(refusal) => {
                self.mistakes.elsewhere(file, refusal.to_string());
                None
            }
        }
    }

    pub(super) fn mutants(
        &mut self,
        definitions: IndexMap<String, MutantDefinition>,
        answers: bool,
        checks: &[CheckSpec],
    ) -> IndexMap<String, Mutant> {
        let ids = self.check_ids();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let questions = checks.iter().filter(|check| check.kind.question().is_some());
        let questions: Vec<&str> = questions.map(|check| check.id.as_str()).collect();
        let mut mutants = IndexMap::new();
        let mut failed = HashSet::new();
        for (name, mutant) in definitions {
            if check_slug(&name).is_err() {
                self.wrong(
                    &["mutants", &name],
                    format!(
                        "`{}` is no name for a mutant; use lower-case words joined by dashes",
                        visible(&name)
                    ),
                );
            } else if !self.is_folder(&format!("mutants/{name}")) {
                self.wrong(
                    &["mutants", &name],
                    format!("the folder mutants/{name} is missing; it holds the files laid over solution"),
                );
            }
            if mutant.fails.is_empty() {
                self.wrong(&["mutants", &name], format!("the mutant `{name}` names no check that it fails"));
            }
            if mutant.because.trim().is_empty() {
                self.wrong(
                    &["mutants", &name],
                    format!("the mutant `{name}` does not say what is wrong with it (`because`)"),
                );
            }
            let list =
                self.node.get("mutants").and_then(|node| node.get(&name)).and_then(|node| node.get("fails"));
            let places: Vec<Place> =
                list.and_then(Node::list).into_iter().flatten().map(|node| node.place).collect();
            for (index, id) in mutant.fails.iter().enumerate() {
                let place = places.get(index).copied().unwrap_or_default();
                if !ids.contains(&id.as_str()) {
                    self.mistakes.at(place, unknown("check", id, ids.iter().copied()));
                } else if mutant.fails[..index].contains(id) {
                    self.mistakes.at(place, format!("the check `{id}` is named twice"));
                }
                failed.insert(id.clone());
            }
            if answers {
                self.answers(&format!("mutants/{name}"), &questions);
            }
            mutants.insert(name, Mutant { fails: mutant.fails, because: mutant.because.trim().to_owned() });
        }
        self.undeclared(&mutants);
        self.unproven(checks, &failed);
        mutants
    }

    /// Ids of all checks, also of those that could not be read.
    fn check_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for check in self.node.get("checks").and_then(Node::list).into_iter().flatten() {
            if let Some(Value::Text(id) | Value::Number(id)) = check.get("id").map(|id| &id.value)
                && !ids.contains(id)
            {
                ids.push(id.clone());
            }
        }
        ids
    }

    /// Folders below `mutants/` that nothing names.
    fn undeclared(&mut self, mutants: &IndexMap<String, Mutant>) {
        // Where `mutants` itself could not be read, its folders are not to blame.
        let Some(declared) =
            self.node.get("mutants").map_or(Some(IndexMap::new()), |node| node.map().cloned())
        else {
            return;
        };
        let paths = self.folder.entries().keys().filter_map(|path| path.strip_prefix(b"mutants/"));
        let names: Vec<String> = paths
            .filter(|path| !path.contains(&b'/'))
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .filter(|name| !mutants.contains_key(name) && !declared.contains_key(name))
            .collect();
        for name in names {
            let path = format!("{}/mutants/{}", self.shown, visible(&name));
            let message = if self.is_folder(&format!("mutants/{name}")) {
                "no mutant of this name is declared in exercise.yaml; add it to `mutants`, with the checks it fails"
            } else {
                "only folders belong here, one for each mutant"
            };
            self.mistakes.elsewhere(path, message);
        }
    }

    /// `verify` wants every check failed by a mutant; it is told early.
    fn unproven(&mut self, checks: &[CheckSpec], failed: &HashSet<String>) {
        for check in checks.iter().filter(|check| !failed.contains(&check.id)) {
            let entries = self.node.get("checks").and_then(Node::list).into_iter().flatten();
            let is_it = |node: &&Node| matches!(node.get("id"), Some(Node { value: Value::Text(id) | Value::Number(id), .. }) if *id == check.id);
            let place = entries.into_iter().find(is_it).map_or(Place::default(), |node| node.key_place("id"));
            self.mistakes.warn(
                place,
                format!("no mutant fails the check `{}`, so nothing shows that it can fail", check.id),
            );
        }
    }
}
