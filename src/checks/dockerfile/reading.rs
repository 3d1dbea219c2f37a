//! A Dockerfile while it is looked at: each thing that is asked, and what is there instead.

use indexmap::IndexSet;

use super::{Base, Dockerfile, Form, Pinned, Use, UseParts};
use crate::checks::Scene;
use crate::checks::matcher::{Text, listed, shown};
use crate::checks::tally::Tally;
use crate::submissions::dockerfile::{Dockerfile as Source, Form as Written, Instruction, Keyword, Origin};

/// A Dockerfile while it is looked at.
pub(super) struct Reading<'a> {
    pub(super) source: &'a Source,
    pub(super) scene: &'a Scene<'a>,
    pub(super) final_stage: usize,
}

impl Reading<'_> {
    pub(super) fn all(&self, check: &Dockerfile, tally: &mut Tally) -> Result<(), String> {
        for wanted in &check.uses {
            let wanted = wanted.resolved(self.scene.variables)?;
            let found = self.find(&wanted);
            let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
            let holds = match &wanted.count {
                Some(number) => number.accepts(count),
                None => count > 0,
            };
            let times = wanted
                .count
                .as_ref()
                .map(|number| format!(" {} times", number.describe()))
                .unwrap_or_default();
            let name = wanted.instruction.name();
            let observed = if found.is_empty() {
                match self.every(wanted.instruction).as_slice() {
                    [] => format!("there is no `{name}`"),
                    others => format!("no `{name}` like that; there is {}", Self::lines(others)),
                }
            } else {
                format!("{count} × `{name}`: {}", Self::lines(&found))
            };
            tally.note(holds, format!("{}{times}", wanted.describe()), observed);
        }
        for unwanted in &check.uses_not {
            let unwanted = unwanted.resolved(self.scene.variables)?;
            let found = self.find(&unwanted);
            let observed = if found.is_empty() {
                // What is not there is only told by its name: the rest may be hidden.
                format!("no such `{}`", unwanted.instruction.name())
            } else {
                format!("there is {}", Self::lines(&found))
            };
            tally.note(found.is_empty(), format!("no {}", unwanted.describe()), observed);
        }
        if let Some(wanted) = &check.stages {
            let count = self.source.stages.len();
            let observed = if count == 1 { "1 stage".into() } else { format!("{count} stages") };
            tally.note(
                wanted.accepts(i64::try_from(count).unwrap_or(i64::MAX)),
                format!("{} stages", wanted.describe()),
                observed,
            );
        }
        if let Some(wanted) = &check.stage_names {
            let wanted = wanted.resolved(self.scene.variables)?;
            let names: Vec<&str> =
                self.source.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
            tally.note(
                wanted.accepts(&names),
                format!("stages named {}", wanted.describe()),
                Self::named("no stage has a name", "named stages:", &names),
            );
        }
        if let Some(base) = &check.base {
            self.bases(base, tally)?;
        }
        for form in &check.exec_form {
            self.form(*form, tally);
        }
        if let Some(wanted) = &check.copies_from {
            let wanted = wanted.resolved(self.scene.variables)?;
            let names = self.copied_from();
            tally.note(
                wanted.accepts(&names),
                format!("files copied from {}", wanted.describe()),
                Self::named("nothing is copied from another stage or image", "files are copied from", &names),
            );
        }
        if let Some(wanted) = &check.runs_as {
            let user = self.source.user(self.final_stage, self.scene.build_args);
            let holds = wanted.accepts(user.as_deref().unwrap_or_default());
            let observed = match &user {
                Some(user) => format!("the last `USER` of the final stage is {}", shown(user)),
                None => "the final stage has no `USER`, so the base image's user stays, mostly root".into(),
            };
            tally.note(holds, format!("the user {}", wanted.0.describe()), observed);
        }
        if !check.order.is_empty() {
            self.order(&check.order, tally)?;
        }
        Ok(())
    }

    fn every(&self, keyword: Keyword) -> Vec<&Instruction> {
        self.source.instructions.iter().filter(|step| step.keyword == keyword).collect()
    }

    fn find(&self, wanted: &UseParts) -> Vec<&Instruction> {
        match &wanted.stage {
            None => self.source.instructions.iter().filter(|step| wanted.accepts(step)).collect(),
            Some(stage) => {
                let stage = self.stage(stage);
                let steps = stage.map_or(&[][..], |stage| self.source.in_stage(stage));
                steps.iter().filter(|step| wanted.accepts(step)).collect()
            }
        }
    }

    fn stage(&self, name: &str) -> Option<usize> {
        if name == "final" { Some(self.final_stage) } else { self.source.stage(Some(name)) }
    }

    /// "line 3 `COPY . .` and line 7 `COPY a b`"
    fn lines(steps: &[&Instruction]) -> String {
        const TOLD: usize = 4;
        let mut told: Vec<String> = steps
            .iter()
            .take(TOLD)
            .map(|step| format!("line {} {}", step.line, shown(&step.to_string())))
            .collect();
        if steps.len() > TOLD {
            told.push(format!("{} more", steps.len() - TOLD));
        }
        listed(&told, "and")
    }

    fn named<S: AsRef<str>>(none: &str, some: &str, names: &[S]) -> String {
        if names.is_empty() {
            return none.into();
        }
        let names: Vec<String> = names.iter().map(|name| shown(name.as_ref())).collect();
        format!("{some} {}", listed(&names, "and"))
    }

    fn bases(&self, wanted: &Base, tally: &mut Tally) -> Result<(), String> {
        let only = wanted.stage.as_deref().map(|stage| self.stage(stage));
        let mut expected = Vec::new();
        let allowed: Vec<Text> = wanted
            .allowed
            .iter()
            .map(|text| text.resolved(self.scene.variables))
            .collect::<Result<_, _>>()?;
        if !allowed.is_empty() {
            let each: Vec<String> = allowed.iter().map(Text::describe).collect();
            expected.push(format!("each base image {}", listed(&each, "or")));
        }
        match wanted.pinned {
            Some(Pinned::Tag) => expected.push("each base image with a tag other than `latest`".into()),
            Some(Pinned::Digest) => expected.push("each base image with a digest".into()),
            None => {}
        }
        let expected = expected.join(", ");
        let mut any = false;
        for stage in 0..self.source.stages.len() {
            if only.is_some_and(|only| only != Some(stage)) {
                continue;
            }
            let Some(Origin::Image(image)) = self.source.base(stage, self.scene.build_args) else { continue };
            any = true;
            let line = self.source.in_stage(stage).first().map_or(0, |step| step.line);
            let mut holds = allowed.is_empty() || allowed.iter().any(|text| text.accepts(&image));
            let mut observed = format!("line {line} starts from {}", shown(&image));
            match (wanted.pinned, pin(&image)) {
                (None, _) | (Some(_), Pin::Digest) | (Some(Pinned::Tag), Pin::Tag) => {}
                (Some(_), Pin::Nothing) => {
                    holds = false;
                    observed += ", which names no tag and so means `latest`";
                }
                (Some(Pinned::Tag), Pin::Latest) => holds = false,
                (Some(Pinned::Digest), _) => {
                    holds = false;
                    observed += ", which names no digest";
                }
            }
            tally.note(holds, "", observed);
        }
        if !any {
            let stage = wanted.stage.as_ref().is_some_and(|_| only.flatten().is_none());
            let observed = if stage { "there is no such stage" } else { "no stage starts from an image" };
            // `FROM scratch` alone breaks no rule about base images.
            tally.note(!stage, "", observed);
        }
        tally.expect(expected);
        Ok(())
    }

    fn form(&self, form: Form, tally: &mut Tally) {
        let name = form.keyword().name();
        let steps = self.source.in_stage(self.final_stage);
        let last = steps.iter().rev().find(|step| step.keyword == form.keyword());
        let (holds, observed) = match last {
            None => (false, format!("the final stage has no `{name}`")),
            Some(step) => match &step.form {
                Some(Written::Exec(_)) => (true, format!("line {} {}", step.line, shown(&step.to_string()))),
                _ => (
                    false,
                    format!(
                        "line {} {} is in shell form, so `/bin/sh -c` runs it",
                        step.line,
                        shown(&step.to_string())
                    ),
                ),
            },
        };
        tally.note(holds, format!("`{name}` in exec form"), observed);
    }

    fn copied_from(&self) -> Vec<String> {
        let mut names = IndexSet::new();
        for stage in 0..self.source.stages.len() {
            for step in self.source.in_stage(stage) {
                for origin in self.source.copied_from(step, stage) {
                    names.insert(match origin {
                        Origin::Stage(index) => {
                            self.source.stages[index].name.clone().unwrap_or_else(|| index.to_string())
                        }
                        Origin::Image(image) => image,
                        Origin::Scratch => "scratch".into(),
                    });
                }
            }
        }
        names.into_iter().collect()
    }

    fn order(&self, wanted: &[Use], tally: &mut Tally) -> Result<(), String> {
        let wanted: Vec<UseParts> =
            wanted.iter().map(|one| one.resolved(self.scene.variables)).collect::<Result<_, _>>()?;
        let each: Vec<String> = wanted.iter().map(UseParts::describe).collect();
        let expected = format!("in this order: {}", each.join(", then "));
        // The stage in which most of them are is the one that was meant.
        let mut best: Vec<Option<&Instruction>> = Vec::new();
        for stage in 0..self.source.stages.len() {
            let steps = self.source.in_stage(stage);
            let first: Vec<Option<&Instruction>> =
                wanted.iter().map(|one| steps.iter().find(|step| one.accepts(step))).collect();
            if best.is_empty() || first.iter().flatten().count() >= best.iter().flatten().count() {
                best = first;
            }
            if best.iter().all(Option::is_some) && best.iter().flatten().is_sorted_by_key(|step| step.line) {
                break;
            }
        }
        let found: Vec<&Instruction> = best.iter().flatten().copied().collect();
        let sorted = found.windows(2).all(|pair| pair[0].line < pair[1].line);
        let holds = found.len() == wanted.len() && sorted;
        let observed = if found.is_empty() {
            "none of them is there".into()
        } else if !sorted {
            let mut by_line = found;
            by_line.sort_by_key(|step| step.line);
            format!("the order is {}", Self::lines(&by_line))
        } else if holds {
            Self::lines(&found)
        } else {
            format!("only {} of {} are there: {}", found.len(), wanted.len(), Self::lines(&found))
        };
        tally.note(holds, expected, observed);
        Ok(())
    }
}

/// How exactly an image reference names an image.
enum Pin {
    Nothing,
    Latest,
    Tag,
    Digest,
}

fn pin(image: &str) -> Pin {
    if image.contains('@') {
        return Pin::Digest;
    }
    // A colon before the last slash belongs to a registry's port.
    match image.rsplit('/').next().unwrap_or(image).split_once(':') {
        None | Some((_, "")) => Pin::Nothing,
        Some((_, "latest")) => Pin::Latest,
        Some(_) => Pin::Tag,
    }
}
