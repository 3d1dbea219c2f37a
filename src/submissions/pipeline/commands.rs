//! What a command of a pipeline does, by its words.

use super::Step::{self, Build, Deploy, Push, Test};
use super::images::Image;

/// What a command does, in its order.
#[derive(Default)]
pub(super) struct Done {
    pub steps: Vec<(Step, Vec<Image>)>,
    /// `docker tag`: an image and its other name.
    pub alias: Option<(Image, Image)>,
}

impl Done {
    fn of(steps: &[Step], images: &[Image]) -> Self {
        Self { steps: steps.iter().map(|step| (*step, images.to_vec())).collect(), alias: None }
    }
}

/// Reads a command; `remote`: it runs on the machine, or speaks to the engine, that is deployed to.
pub(super) fn read(words: &[String], remote: bool) -> Done {
    let Some((program, rest)) = words.split_first() else { return Done::default() };
    let name = program.rsplit('/').next().unwrap_or(program);
    let words = Words(rest);
    match name {
        "docker" | "podman" | "nerdctl" => docker(words, remote),
        "docker-compose" | "podman-compose" => compose(words, remote),
        "buildah" => match words.first() {
            Some("build" | "bud") => Done::of(&[Build], &words.images(&["-t", "--tag"])),
            Some("push") => Done::of(&[Push], &words.operand_images(1, &[])),
            _ => Done::default(),
        },
        // Kaniko's, alone in its image.
        "executor" => {
            let images = words.images(&["-d", "--destination"]);
            let pushes = !words.has("--no-push") && !images.is_empty();
            Done::of(if pushes { &[Build, Push] } else { &[Build] }, &images)
        }
        "gcloud" => gcloud(words),
        "gke-deploy" => Done::of(&[Deploy], &words.images(&["--image", "-i"])),
        "kubectl" | "oc" => kubectl(words),
        "helm" => helm(words),
        "crane" if matches!(words.first(), Some("push" | "copy" | "cp")) => {
            Done::of(&[Push], &words.operand_images(2, &[]))
        }
        "skopeo" if words.first() == Some("copy") => {
            let target = words.operands(&[]).last().filter(|target| target.starts_with("docker://")).copied();
            target.map_or_else(Done::default, |target| {
                Done::of(&[Push], &Image::read(target).into_iter().collect::<Vec<_>>())
            })
        }
        "pack" if words.first() == Some("build") => {
            let images = words.operand_images(1, &["-B", "--builder", "-p", "--path", "-e", "--env"]);
            Done::of(if words.has("--publish") { &[Build, Push] } else { &[Build] }, &images)
        }
        "skaffold" => match words.first() {
            Some("build") => Done::of(&[Build, Push], &[]),
            Some("run") => Done::of(&[Build, Push, Deploy], &[]),
            Some("deploy" | "apply") => Done::of(&[Deploy], &[]),
            _ => Done::default(),
        },
        "heroku" => match words.first() {
            Some("container:push") => Done::of(&[Build, Push], &[]),
            Some("container:release") => Done::of(&[Deploy], &[]),
            _ => Done::default(),
        },
        "aws" if words.row(&["ecs", "update-service"]) || words.row(&["lambda", "update-function-code"]) => {
            Done::of(&[Deploy], &words.images(&["--image-uri"]))
        }
        "az" if ["containerapp", "webapp", "container"].iter().any(|kind| words.first() == Some(kind)) => {
            let changes = ["up", "update", "create", "deploy", "set", "restart"];
            let changes = words.operands(&[]).iter().any(|word| changes.contains(word));
            Done::of(if changes { &[Deploy] } else { &[] }, &words.images(&["--image", "-i"]))
        }
        "fly" | "flyctl" | "railway" | "serverless" | "cdk"
            if matches!(words.first(), Some("deploy" | "up")) =>
        {
            Done::of(&[Deploy], &words.images(&["--image", "-i"]))
        }
        "ansible-playbook" => Done::of(&[Deploy], &[]),
        "terraform" | "tofu" if words.first() == Some("apply") => Done::of(&[Deploy], &[]),
        "pulumi" if words.first() == Some("up") => Done::of(&[Deploy], &[]),
        "nomad" if words.row(&["job", "run"]) || words.first() == Some("run") => Done::of(&[Deploy], &[]),
        _ if is_test(program, words) => Done::of(&[Test], &[]),
        _ => Done::default(),
    }
}

fn docker(words: Words<'_>, remote: bool) -> Done {
    let globals = ["-H", "--host", "-c", "--context", "--config", "-l", "--log-level"];
    let elsewhere = ["-H", "--host", "-c", "--context"];
    let start = words.start(&globals);
    let remote = remote || Words(&words.0[..start]).any_value(&elsewhere);
    let words = Words(&words.0[start..]);
    let (first, second) = (words.first(), words.nth(1));
    match (first, second) {
        (Some("compose"), _) => compose(Words(&words.0[1..]), remote),
        (Some("build"), _) | (Some("buildx" | "image" | "builder"), Some("build" | "b")) => build(words),
        (Some("buildx"), Some("bake")) => Done::of(
            if words.pushes() { &[Build, Push] } else { &[Build] },
            &[Image::any("docker buildx bake")],
        ),
        (Some("push"), _) => push(Words(&words.0[1..])),
        (Some("image"), Some("push")) => push(Words(&words.0[2..])),
        (Some("tag"), _) | (Some("image"), Some("tag")) => {
            let names = words.operands(&[]);
            let images: Vec<Image> =
                names.iter().rev().take(2).filter_map(|name| Image::read(name)).collect();
            match images.as_slice() {
                [new, old] => Done { alias: Some((old.clone(), new.clone())), ..Done::default() },
                _ => Done::default(),
            }
        }
        (Some("stack"), Some("deploy" | "up")) => Done::of(&[Deploy], &[]),
        (Some("service"), Some("update" | "create")) => {
            let images = words.images(&["--image"]);
            Done::of(&[Deploy], &images)
        }
        (Some("run" | "create"), _) if remote => Done::of(&[Deploy], &words.run_image()),
        (Some("run" | "exec"), _) if words.any_test() => Done::of(&[Test], &[]),
        _ => Done::default(),
    }
}

fn build(words: Words<'_>) -> Done {
    if words.has("--check") || words.value("--call").is_some_and(|call| call != "build") {
        return Done::default();
    }
    let images = words.images(&["-t", "--tag"]);
    if words.value("--target").is_some_and(|target| has_word(target, &["test", "tests"])) {
        return Done::of(&[Test], &[]);
    }
    Done::of(if words.pushes() { &[Build, Push] } else { &[Build] }, &images)
}

fn push(words: Words<'_>) -> Done {
    let all = words.has("--all-tags") || words.has("-a");
    let named = words.operands(&["--platform"]);
    let images: Vec<Image> = match named.first() {
        Some(name) if all => vec![Image::any(name)],
        Some(name) => Image::read(name).into_iter().collect(),
        None => return Done::default(),
    };
    Done::of(&[Push], &images)
}

fn compose(words: Words<'_>, remote: bool) -> Done {
    let globals = ["-f", "--file", "-p", "--project-name", "--profile", "--env-file", "--project-directory"];
    let words = Words(&words.0[words.start(&globals)..]);
    let images = [Image::any("docker compose")];
    match words.first() {
        Some("build") => Done::of(if words.pushes() { &[Build, Push] } else { &[Build] }, &images),
        Some("push") => Done::of(&[Push], &images),
        Some("up") if remote => Done::of(&[Deploy], &images),
        Some("run" | "exec") if words.any_test() => Done::of(&[Test], &[]),
        Some("up") if words.any_value(&["--exit-code-from"]) => Done::of(&[Test], &[]),
        _ => Done::default(),
    }
}

fn gcloud(words: Words<'_>) -> Done {
    let images = words.images(&["--image", "--images", "--tag", "-t"]);
    let source = words.has("--source") || words.value("--source").is_some();
    if words.row(&["builds", "submit"]) {
        return Done::of(&[Build, Push], &images);
    }
    if words.row(&["run", "deploy"]) && source {
        return Done::of(&[Build, Push, Deploy], &images);
    }
    let deploys = [
        &["run", "deploy"][..],
        &["run", "services", "replace"],
        &["run", "services", "update"],
        &["run", "jobs", "deploy"],
        &["run", "jobs", "update"],
        &["app", "deploy"],
        &["functions", "deploy"],
        &["deploy", "releases", "create"],
        &["compute", "instances", "update-container"],
        &["compute", "instances", "create-with-container"],
    ];
    let deploys = deploys.iter().any(|row| words.row(row));
    Done::of(if deploys { &[Deploy] } else { &[] }, &images)
}

fn kubectl(words: Words<'_>) -> Done {
    let dry = words.has("--dry-run") || words.value("--dry-run").is_some_and(|how| how != "none");
    if dry {
        return Done::default();
    }
    let named = words.operands(&["-n", "--namespace", "--context", "--kubeconfig"]);
    match named.as_slice() {
        ["set", "image", rest @ ..] => {
            let images = rest
                .iter()
                .filter_map(|word| word.split_once('='))
                .filter_map(|(_, image)| Image::read(image));
            Done::of(&[Deploy], &images.collect::<Vec<_>>())
        }
        ["apply" | "replace" | "patch", ..] | ["rollout", "restart" | "undo", ..] => Done::of(&[Deploy], &[]),
        ["create", "deployment" | "deploy", ..] | ["run", ..] => {
            Done::of(&[Deploy], &words.images(&["--image"]))
        }
        ["create", ..] if words.any_value(&["-f", "--filename"]) => Done::of(&[Deploy], &[]),
        _ => Done::default(),
    }
}

fn helm(words: Words<'_>) -> Done {
    if !matches!(
        words.operands(&["-n", "--namespace", "--kube-context"]).first(),
        Some(&"upgrade" | &"install")
    ) || words.has("--dry-run")
    {
        return Done::default();
    }
    let values = words.values(&["--set", "--set-string"]);
    let set: Vec<(&str, &str)> =
        values.iter().flat_map(|value| value.split(',')).filter_map(|pair| pair.split_once('=')).collect();
    let ends = |names: &[&str]| {
        set.iter()
            .find(|(key, _)| names.contains(&key.rsplit('.').next().unwrap_or(key)))
            .map(|(_, value)| *value)
    };
    let image = match (ends(&["repository"]), ends(&["tag"]), ends(&["image"])) {
        (Some(repository), Some(tag), _) => Image::read(&format!("{repository}:{tag}")),
        (None, Some(tag), Some(image)) if !image.contains(':') => Image::read(&format!("{image}:{tag}")),
        (_, _, Some(image)) => Image::read(image),
        (Some(repository), None, None) => Some(Image::any(repository)),
        _ => None,
    };
    Done::of(&[Deploy], &image.into_iter().collect::<Vec<_>>())
}

/// Programs that run tests, alone or with one of these first words.
const TESTERS: &[(&str, &[&str])] = &[
    ("pytest", &[]),
    ("py.test", &[]),
    ("tox", &[]),
    ("nox", &[]),
    ("jest", &[]),
    ("vitest", &[]),
    ("mocha", &[]),
    ("phpunit", &[]),
    ("rspec", &[]),
    ("bats", &[]),
    ("ctest", &[]),
    ("npm", &["test", "t", "tst"]),
    ("yarn", &["test"]),
    ("pnpm", &["test", "t"]),
    ("bun", &["test"]),
    ("deno", &["test"]),
    ("go", &["test"]),
    ("cargo", &["test", "nextest"]),
    ("dotnet", &["test"]),
    ("swift", &["test"]),
    ("mix", &["test"]),
    ("mvn", &["test", "verify"]),
    ("mvnw", &["test", "verify"]),
    ("gradle", &["test", "check"]),
    ("gradlew", &["test", "check"]),
    ("make", &["test", "tests", "check"]),
    ("just", &["test"]),
    ("task", &["test"]),
    ("rake", &["test", "spec"]),
    ("composer", &["test"]),
    ("container-structure-test", &["test"]),
];

fn is_test(program: &str, words: Words<'_>) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    let operands = words.operands(&[]);
    let first = operands.first().copied();
    if let Some((_, tasks)) = TESTERS.iter().find(|(tester, _)| *tester == name) {
        let runs = match first {
            Some("run" | "run-script") => {
                operands.get(1).is_some_and(|task| has_word(task, &["test", "tests"]))
            }
            _ => operands.iter().any(|task| tasks.contains(task)),
        };
        return tasks.is_empty() || runs;
    }
    match name {
        "python" | "python3" => {
            let module = words.value("-m");
            module.is_some_and(|module| matches!(module, "pytest" | "unittest" | "nose2" | "tox" | "nox"))
                || module.is_none() && first.is_some_and(is_test_file)
                || first == Some("manage.py") && operands.get(1) == Some(&"test")
        }
        "npx" | "bunx" | "uv" | "uvx" | "poetry" | "pipenv" | "pdm" | "bundle" | "coverage" => {
            words.any_test()
        }
        "node" | "php" | "ruby" | "perl" => words.has("--test") || first.is_some_and(is_test_file),
        _ => program.contains('/') && is_test_file(program),
    }
}

/// `./run-tests.sh`, `tests/test_app.py`.
fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    has_word(name.split('.').next().unwrap_or(name), &["test", "tests"])
}

fn has_word(text: &str, wanted: &[&str]) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| wanted.contains(&word))
}

/// The words after a command's name.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [String]);

impl<'a> Words<'a> {
    fn first(self) -> Option<&'a str> {
        self.nth(0)
    }

    fn nth(self, index: usize) -> Option<&'a str> {
        self.0.get(index).map(String::as_str)
    }

    /// A flag by itself or as true.
    fn has(self, flag: &str) -> bool {
        let with = |word: &String| word.strip_prefix(flag).is_some_and(|rest| matches!(rest, "" | "=true"));
        self.0.iter().any(with)
    }

    /// What follows these options, as the next word or behind a `=`.
    fn values(self, options: &[&str]) -> Vec<&'a str> {
        let mut values = Vec::new();
        let mut words = self.0.iter();
        while let Some(word) = words.next() {
            match word.split_once('=') {
                Some((name, value)) if options.contains(&name) => values.push(value),
                None if options.contains(&word.as_str()) => values.extend(words.next().map(String::as_str)),
                _ => {}
            }
        }
        values
    }

    fn value(self, option: &str) -> Option<&'a str> {
        self.values(&[option]).first().copied()
    }

    fn any_value(self, options: &[&str]) -> bool {
        !self.values(options).is_empty()
    }

    fn images(self, options: &[&str]) -> Vec<Image> {
        let values = self.values(options);
        values.iter().flat_map(|value| value.split(',')).filter_map(Image::read).collect()
    }

    /// Words that are no options, without the words after these.
    fn operands(self, with_value: &[&str]) -> Vec<&'a str> {
        let mut operands = Vec::new();
        let mut words = self.0.iter();
        while let Some(word) = words.next() {
            if with_value.contains(&word.as_str()) {
                words.next();
            } else if !word.starts_with('-') {
                operands.push(word.as_str());
            }
        }
        operands
    }

    fn operand_images(self, index: usize, with_value: &[&str]) -> Vec<Image> {
        self.operands(with_value).get(index).and_then(|name| Image::read(name)).into_iter().collect()
    }

    /// Where the first word is that is no option nor the value of one of these.
    fn start(self, with_value: &[&str]) -> usize {
        let mut at = 0;
        while let Some(word) = self.0.get(at).filter(|word| word.starts_with('-')) {
            at += if with_value.contains(&word.as_str()) { 2 } else { 1 };
        }
        at.min(self.0.len())
    }

    /// Whether these operands follow each other near the start, options in between left out.
    fn row(self, row: &[&str]) -> bool {
        let operands = self.operands(&["--project", "--region", "--account", "--profile", "-q"]);
        operands.windows(row.len()).take(3).any(|window| window == row)
    }

    /// Whether what is built is pushed at once.
    fn pushes(self) -> bool {
        let outputs = self.values(&["-o", "--output"]);
        self.has("--push")
            || outputs.iter().any(|output| output.contains("push=true") || output.contains("type=registry"))
    }

    /// Whether a command in these words runs tests: `docker run app pytest`.
    fn any_test(self) -> bool {
        (0..self.0.len())
            .any(|at| !self.0[at].starts_with('-') && is_test(&self.0[at], Words(&self.0[at + 1..])))
    }

    /// The image of `docker run`.
    fn run_image(self) -> Vec<Image> {
        let with_value = [
            "-p",
            "--publish",
            "-e",
            "--env",
            "--env-file",
            "-v",
            "--volume",
            "--mount",
            "--name",
            "--network",
            "--net",
            "--restart",
            "-w",
            "--workdir",
            "-u",
            "--user",
            "--entrypoint",
            "-h",
            "--hostname",
            "-l",
            "--label",
            "--memory",
            "-m",
            "--cpus",
            "--pull",
            "--platform",
            "--log-driver",
            "--log-opt",
            "--add-host",
        ];
        self.operand_images(1, &with_value)
    }
}
