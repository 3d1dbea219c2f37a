//! Every page over a whole class: real store, real router, exercises read from disk, gradings in
//! every state. Looks at what a browser gets: no inline script or style, every word of a stranger
//! escaped, every address that a page names there to be opened.
//!
//! `DRYDOCK_LOOK=file cargo test --test pages -- look_at_it --ignored` keeps this class open in a
//! server and writes its address and session cookies into the file, until the file is removed.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drydock::accounts::{Role, hash_token, new_token};
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::exercises::Exercise;
use drydock::live::{Event, Line, Live};
use drydock::report::{CheckReport, Evidence, OutcomeKind, Phase, PhaseReport, Points, Report, Verdict};
use drydock::store::{Claim, Cohort, NewSubmission, Person, Store, Submission};
use drydock::submissions::{Answer, Answers, Content, ContentLimits, Source};
use drydock::web::{self, AppState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PORTS: &str = "\
title: Ports and environment
summary: A small web server that reads its greeting from the environment.
minutes: 20
objectives: [EXPOSE and `-p`, environment variables]
submit: [upload]
build: {dockerfile: Dockerfile}
stack:
  services:
    app: {env: {GREETING: hello-7f3a}, ready: {port: 8080, within: 10s}}
checks:
  - {id: exposed, title: EXPOSE documents port 8080, points: 1, image: {exposed_ports: [8080]}, hint: EXPOSE.}
  - id: greets
    title: GET / answers with the greeting
    points: 2
    http: {port: 8080, path: /, status: 200, body: {contains: hello-7f3a}}
    hints: [\"Inside a container, `localhost` is the container itself.\", \"Listen on `0.0.0.0`.\"]
    explain: https://docs.docker.com/reference/dockerfile/#expose
  - {id: user, title: Runs as an ordinary user, points: 1, process: {uid: 1000}, hint: USER.}
  - {id: stops, title: Stops on SIGTERM within 3 s, points: 1, stops: {within: 3s}, hint: exec form.}
";

const QUESTIONS: &str = "\
title: What is a container?
summary: Containers and virtual machines, isolation, the kernel.
minutes: 10
objectives: [isolation, \"kernel and user space\"]
submit: [answers]
checks:
  - id: shared
    title: What is shared
    points: 1
    hint: Compare `uname -r` inside and outside.
    choice:
      question: What do all containers of a host share?
      options:
        - {id: kernel, text: The **kernel**, right: true}
        - {id: disk, text: The root file system}
        - {id: pid, text: The `PID` namespace}
  - id: several
    title: What isolates
    points: 2
    hint: lsns
    choice:
      question: Which of these isolate a container?
      several: true
      options:
        - {id: ns, text: Namespaces, right: true}
        - {id: cg, text: Control groups, right: true}
        - {id: hv, text: A hypervisor}
  - id: listing
    title: The command
    points: 1
    hint: Two words.
    short: {question: Which command lists running containers?, accepts: [docker ps]}
  - id: why
    title: In your own words
    points: 3
    hint: Think of two teams and one machine.
    essay:
      question: When would you choose a virtual machine instead?
      minimum_words: 20
      rubric: [{criterion: Names the shared kernel as a risk, points: 2}, {criterion: Gives an example, points: 1}]
";

const README: &str = "# Ports and environment

Your image starts a small **web server**. It answers `GET /` with the greeting that it finds in the
environment variable `GREETING`.

## What to do

1. Write a `Dockerfile` that copies `app.py` into a Python image.
2. Say with `EXPOSE` on which port it listens.
3. Try it:

   ```sh
   docker build -t my-image .
   docker run --rm -e GREETING=hello -p 8080:8080 my-image
   curl http://localhost:8080/
   ```

> The variable is read when the container starts, not when the image is built.

| What | Where |
| --- | --- |
| port | 8080 |
| greeting | `GREETING` |

<script>alert('a statement')</script>

Read on: [docker run](https://docs.docker.com/reference/cli/docker/container/run/).
";

const SECTIONS: [(&str, &[&str]); 3] = [
    ("First steps", &["what-is-a-container"]),
    ("Images", &["first-container", "dockerfile-basics", "ports-and-env", "entrypoint-and-cmd"]),
    (
        "In practice",
        &[
            "layers-and-cache",
            "multi-stage",
            "named-volume",
            "compose-first",
            "compose-health",
            "reverse-proxy",
            "chat-environment",
        ],
    ),
];

/// A class in the middle of its day.
struct Class {
    state: AppState,
    address: SocketAddr,
    cohort: Cohort,
    shutdown: CancellationToken,
    /// Session cookies by name.
    sessions: HashMap<&'static str, String>,
    /// Submissions worth a look, by what they show.
    submissions: HashMap<&'static str, Submission>,
    _folder: tempfile::TempDir,
}

fn write_exercise(root: &Path, slug: &str) -> Exercise {
    let folder = root.join(slug);
    std::fs::create_dir_all(folder.join("starter")).unwrap();
    let simple = format!(
        "title: {}\nsummary: One more step towards containers in practice.\nminutes: 15\nobjectives: [practice]\n\
         submit: [upload]\nchecks:\n  - {{id: there, title: The Dockerfile is there, points: 2, hint: Write one., file: \
         {{path: Dockerfile, content: {{contains: FROM}}}}}}\n",
        slug.replace('-', " ")
    );
    let yaml = match slug {
        "ports-and-env" => PORTS,
        "what-is-a-container" => QUESTIONS,
        _ => simple.as_str(),
    };
    std::fs::write(folder.join("exercise.yaml"), yaml).unwrap();
    std::fs::write(folder.join("README.md"), README).unwrap();
    std::fs::write(folder.join("starter/app.py"), "import os\nprint(os.environ['GREETING'])\n").unwrap();
    std::fs::create_dir_all(folder.join("solution")).unwrap();
    if slug == "what-is-a-container" {
        let answers =
            r#"{"shared": ["kernel"], "several": ["ns", "cg"], "listing": "docker ps", "why": "Because."}"#;
        std::fs::write(folder.join("solution/answers.json"), answers).unwrap();
    } else {
        std::fs::write(folder.join("solution/Dockerfile"), "FROM python:3.13-slim\n").unwrap();
    }
    Exercise::read(&folder).unwrap_or_else(|mistakes| panic!("{slug}: {mistakes:?}"))
}

fn limits() -> ContentLimits {
    ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 100 }
}

impl Class {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let url = format!("sqlite:{}", folder.path().join("class.db").display());
        let store = Store::open(&url, &folder.path().join("contents"), clock.clone()).await.unwrap();
        let live = Live::new(store.clone(), clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Settings { listen: address, ..Settings::default() };
        let state = AppState::new(store.clone(), live, clock, Arc::new(settings));

        let mut sections = Vec::new();
        for (title, slugs) in SECTIONS {
            for slug in slugs {
                store
                    .publish_exercise(&write_exercise(&folder.path().join("exercises"), slug))
                    .await
                    .unwrap();
            }
            sections.push(serde_json::json!({"title": title, "exercises": slugs}));
        }
        let workshop = serde_json::json!({
            "slug": "containers-from-zero", "title": "Containers from zero", "audience": "Developers",
            "sections": sections,
        });
        store.publish_workshop(&serde_json::from_value(workshop).unwrap()).await.unwrap();
        let cohort = store.create_cohort("Autumn drill", "containers-from-zero", "K7M-4QX").await.unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(web::serve(state.clone(), listener, shutdown.clone()));
        let mut class = Self {
            state,
            address,
            cohort,
            shutdown,
            sessions: HashMap::new(),
            submissions: HashMap::new(),
            _folder: folder,
        };
        class.fill().await;
        class
    }

    async fn person(&mut self, name: &'static str, role: Option<Role>) -> Person {
        let store = &self.state.store;
        let person = store.create_person(name, "$argon2id$none", role.is_none()).await.unwrap();
        if let Some(role) = role {
            store.add_member(self.cohort.id, person.id, role).await.unwrap();
        }
        let token = new_token();
        store
            .create_session(person.id, &hash_token(&token), &new_token(), Duration::from_hours(1))
            .await
            .unwrap();
        self.sessions.insert(name, token);
        person
    }

    async fn fill(&mut self) {
        self.person("Tess Trainer", Some(Role::Trainer)).await;
        self.person("Abe Admin", None).await;
        let order: Vec<&str> = SECTIONS.iter().flat_map(|(_, slugs)| slugs.iter().copied()).collect();
        // How many each has passed, and what came of the next: `f`ailed so often, `r`unning, `w`aiting.
        let class: [(&'static str, usize, &str); 14] = [
            ("Ada N.", 4, "ffff"),
            ("Bilal R.", 8, "f"),
            ("Chen W.", 1, "f"),
            ("Dana S.", 1, "ft"),
            ("Emil V.", 5, "w"),
            ("Fatou D.", 4, "r"),
            ("Goran <b>P.</b>", 5, "f"),
            ("Hana O.", 5, "w"),
            ("Ines M.", 6, "f"),
            ("Jonas B.", 7, "f"),
            ("Kei T.", 4, "ff"),
            ("Lina A.", 9, "r"),
            ("Noor H.", 7, "fff"),
            ("Zoe \u{202e}X.", 0, ""),
        ];
        for (name, passed, then) in class {
            let person = self.person(name, Some(Role::Student)).await;
            for slug in &order[..passed] {
                self.hand_in(&person, slug, 'p').await;
            }
            for outcome in then.chars() {
                self.hand_in(&person, order[passed], outcome).await;
            }
        }
        let mira = self.person("Mira K.", Some(Role::Student)).await;
        let waiting = self.hand_in(&mira, "what-is-a-container", 'w').await;
        self.hand_in(&mira, "first-container", 'p').await;
        self.hand_in(&mira, "dockerfile-basics", 'p').await;
        let passed = self.hand_in(&mira, "entrypoint-and-cmd", 'p').await;
        let fault = self.hand_in(&mira, "layers-and-cache", 't').await;
        let failed = self.hand_in(&mira, "ports-and-env", 'f').await;
        let unbuilt = self.hand_in(&mira, "ports-and-env", 'u').await;
        let again = self.hand_in(&mira, "multi-stage", 'a').await;
        let running = self.hand_in(&mira, "ports-and-env", 'r').await;
        let queued = self.hand_in(&mira, "named-volume", 'q').await;
        self.submissions = HashMap::from([
            ("waiting", waiting),
            ("passed", passed),
            ("fault", fault),
            ("failed", failed),
            ("unbuilt", unbuilt),
            ("again", again),
            ("running", running),
            ("queued", queued),
        ]);
    }

    async fn hand_in(&self, person: &Person, slug: &str, outcome: char) -> Submission {
        let exercise = self.state.shelf.current(slug).await.unwrap();
        let answered = slug == "what-is-a-container";
        let files = vec![
            ("Dockerfile".to_owned(), "FROM python:3.13-slim\n".into()),
            ("app.py".to_owned(), "print(1)\n".into()),
        ];
        let answers = [
            ("shared", Answer::Choices(vec!["kernel".into()])),
            ("several", Answer::Choices(vec!["ns".into(), "hv".into()])),
            ("listing", Answer::Text("docker ps".into())),
            ("why", Answer::Text("When <b>tenants</b> do not trust each other.".into())),
        ];
        let new = NewSubmission {
            person: person.id,
            cohort: self.cohort.id,
            exercise: slug.into(),
            exercise_version: exercise.version.clone(),
            source: if answered { Source::Answers } else { Source::Folder { name: "my <app>".into() } },
            content: (!answered).then(|| Content::from_files(files, &limits()).unwrap()),
            answers: if answered {
                Answers(answers.map(|(id, answer)| (id.to_owned(), answer)).into())
            } else {
                Answers::default()
            },
        };
        let (submission, _) = self.state.store.submit(new).await.unwrap();
        if outcome != 'q' {
            let claim = self.state.store.claim("class", Duration::from_hours(1)).await.unwrap().unwrap();
            assert_eq!(claim.submission.id, submission.id, "the only one that waits");
            self.grade(&claim, &exercise, outcome).await;
        }
        submission
    }

    /// Writes down what a worker would have.
    #[expect(clippy::too_many_lines, reason = "a story told from its beginning to its end")]
    async fn grade(&self, claim: &Claim, exercise: &Exercise, outcome: char) {
        let recorder = self.state.live.record(&claim.lease);
        let phase = |phase, seconds| {
            recorder.emit(Event::PhaseStarted { phase });
            recorder.emit(Event::PhaseFinished { phase, seconds });
        };
        let line = |text: &str| Line { text: text.into(), stderr: false };
        phase(Phase::Fetch, 0.008);
        phase(Phase::Read, 0.002);
        let steps =
            ["FROM python:3.13-slim", "WORKDIR /srv", "COPY app.py .", "EXPOSE 8080", "USER 1000:1000"];
        for (index, step) in steps.iter().enumerate() {
            recorder.log("build", line(&format!("\u{1b}[34mStep {}/5 : {step}\u{1b}[0m", index + 1)));
            recorder.log("build", line(" ---> Using cache <i>"));
        }
        if outcome == 'a' {
            recorder
                .retry("the engine at /var/run/docker.sock does not answer", Duration::from_hours(1))
                .await
                .unwrap();
            return;
        }
        let mut checks = Vec::new();
        for (index, spec) in exercise.checks.iter().enumerate() {
            let kind = match (outcome, index) {
                ('u', 1..) => OutcomeKind::Skipped,
                ('f' | 'r' | 's', 1) | ('u', 0) => OutcomeKind::Failed,
                ('f', 0) if exercise.checks.len() == 1 => OutcomeKind::Failed,
                ('t', _) => OutcomeKind::Broken,
                ('w', _) if index + 1 == exercise.checks.len() => OutcomeKind::Waiting,
                _ => OutcomeKind::Passed,
            };
            let earned = if kind == OutcomeKind::Passed { spec.points } else { 0 };
            checks.push(CheckReport {
                id: spec.id.clone(),
                kind: spec.kind.name().into(),
                title: spec.title.clone(),
                outcome: kind,
                points: Points { earned, possible: spec.points },
                expected: if kind == OutcomeKind::Skipped {
                    String::new()
                } else {
                    "status 200, body contains `hello-7f3a`".into()
                },
                observed: match kind {
                    OutcomeKind::Passed => "status 200, body `hello-7f3a`".into(),
                    OutcomeKind::Skipped => "not tried, because the image could not be built".into(),
                    OutcomeKind::Broken => {
                        "Our container engine stopped answering while this was checked.".into()
                    }
                    OutcomeKind::Waiting => "23 words, which a trainer reads".into(),
                    OutcomeKind::Failed => "connection refused on port 8080 within 10 s <script>".into(),
                },
                evidence: match kind {
                    OutcomeKind::Skipped | OutcomeKind::Waiting => Vec::new(),
                    _ => vec![Evidence {
                        title: "Listening sockets".into(),
                        text: "tcp  127.0.0.1:8080  python app.py\n".into(),
                    }],
                },
                reproduce: (kind == OutcomeKind::Failed)
                    .then(|| "docker run --rm -e GREETING=hello-7f3a -p 8080:8080 my-image".into()),
                hint: None,
                explain: spec.explain.clone(),
                hidden: false,
                seconds: 0.02,
            });
        }
        if outcome == 'r' {
            phase(Phase::Build, 0.058);
            recorder.emit(Event::PhaseStarted { phase: Phase::Run });
            recorder.log("app", line("listening on 127.0.0.1:8080"));
            for check in checks.into_iter().take(2) {
                recorder.emit(Event::Outcome { check: Box::new(check) });
            }
            recorder.flush().await.unwrap();
            return;
        }
        let (verdict, points) = Report::judge(&checks, Verdict::PlatformFault);
        let mut phases = vec![(Phase::Fetch, 0.008), (Phase::Read, 0.002)];
        if exercise.build.is_some() {
            phases.push((Phase::Build, 0.058));
            if outcome != 'u' {
                phases.extend([(Phase::Image, 0.003), (Phase::Run, 0.31), (Phase::Disturb, 0.1)]);
            }
        }
        let report = Report {
            exercise: exercise.slug.clone(),
            exercise_version: exercise.version.clone(),
            verdict,
            points,
            checks: checks.clone(),
            phases: phases.into_iter().map(|(name, seconds)| PhaseReport { name, seconds }).collect(),
            log_truncated: false,
            image: None,
            engine: None,
        };
        for check in checks {
            recorder.emit(Event::Outcome { check: Box::new(check) });
            if outcome == 's' {
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
        let fault = (outcome == 't').then_some("unexpected EOF from /containers/4f/wait");
        recorder.finish(&report, fault, 0.4).await.unwrap();
    }

    /// Grades whatever waits, slowly enough to watch.
    async fn grade_slowly(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let Some(claim) = self.state.store.claim("class", Duration::from_hours(1)).await.unwrap() else {
                continue;
            };
            let submission = &claim.submission;
            let exercise =
                self.state.shelf.version(&submission.exercise, &submission.exercise_version).await.unwrap();
            self.grade(&claim, &exercise, 's').await;
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/cohorts/{}{rest}", self.cohort.id)
    }

    fn client(&self, name: Option<&str>) -> reqwest::Client {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("accept", "text/html".parse().unwrap());
        if let Some(name) = name {
            headers.insert("cookie", format!("session={}", self.sessions[name]).parse().unwrap());
        }
        reqwest::Client::builder()
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap()
    }

    async fn get(&self, name: Option<&str>, path: &str) -> (u16, String) {
        let response = self.client(name).get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Every page with who opens it.
    fn pages(&self) -> Vec<(Option<&'static str>, String)> {
        let mira = Some("Mira K.");
        let (trainer, admin) = (Some("Tess Trainer"), Some("Abe Admin"));
        let mut pages = vec![
            (None, "/sign-in".to_owned()),
            (None, "/join".to_owned()),
            (None, "/join/K7M-4QX".to_owned()),
            (mira, "/cohorts".to_owned()),
            (mira, self.path("")),
            (Some("Zoe \u{202e}X."), self.path("")),
            (mira, self.path("/exercises/ports-and-env")),
            (mira, self.path("/exercises/what-is-a-container")),
            (mira, self.path("/exercises/chat-environment")),
            (trainer, self.path("/grid")),
            (trainer, self.path("/grid?show=stuck&sort=progress")),
            (trainer, self.path("/exercises/ports-and-env")),
            (trainer, "/cohorts".to_owned()),
            (admin, "/admin".to_owned()),
        ];
        for submission in self.submissions.values() {
            pages.push((mira, format!("/submissions/{}", submission.id)));
            pages.push((trainer, format!("/submissions/{}", submission.id)));
        }
        pages
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Addresses of this server that a page names.
fn addresses(html: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in ["href=\"/", "src=\"/"] {
        for piece in html.split(name).skip(1) {
            let rest = piece.split('"').next().unwrap();
            found.insert(format!("/{}", rest.split('#').next().unwrap().replace("&amp;", "&")));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_keeps_the_content_security_policy_and_leads_somewhere() {
    let class = Class::open().await;
    let mut opened = BTreeSet::new();
    for (who, path) in class.pages() {
        let (status, html) = class.get(who, &path).await;
        assert_eq!(status, 200, "{path} for {who:?}: {html}");
        let lower = html.to_lowercase();
        for forbidden in [" style=", "<style", " onclick=", " onload=", "javascript:", "<script>"] {
            assert!(!lower.contains(forbidden), "{path} has {forbidden}");
        }
        for wanted in
            ["<html lang=\"en\">", "<main id=\"main\"", "class=\"skip\"", "<h1", "name=\"viewport\""]
        {
            assert!(html.contains(wanted), "{path} has no {wanted}");
        }
        assert_eq!(html.matches("<h1").count(), 1, "{path} has one first heading");
        assert!(
            !html.contains("my <app>") && !html.contains("<b>P.") && !html.contains('\u{202e}'),
            "{path}"
        );
        let ids: Vec<&str> =
            html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{path} has an id twice: {ids:?}");
        for address in addresses(&html) {
            if opened.insert((who, address.clone())) {
                let (status, _) = class.get(who, &address).await;
                assert!([200, 303].contains(&status), "{address} on {path} answers {status} for {who:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn right_answers_are_not_in_the_page() {
    let class = Class::open().await;
    let (_, html) = class.get(Some("Zoe \u{202e}X."), &class.path("/exercises/what-is-a-container")).await;
    assert!(
        html.contains("type=\"radio\" name=\"answer:shared\" value=\"kernel\"><span>The <strong>kernel"),
        "{html}"
    );
    assert!(html.contains("type=\"checkbox\" name=\"answer:several\""), "{html}");
    assert!(!html.contains("\" checked") && !html.contains("docker ps"), "{html}");
    let (_, html) = class.get(Some("Mira K."), &class.path("/exercises/what-is-a-container")).await;
    assert!(html.contains("value=\"kernel\" checked"), "what was answered last time is still there: {html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_of_a_submission_says_so() {
    let class = Class::open().await;
    for (what, words) in [
        ("passed", &["Passed: 2 of 2 points", "verdict in 0.4 s"][..]),
        ("failed", &["Not yet: 3 of 5 points", "connection refused", "Next hint (2 of 2)", "Copy"]),
        ("unbuilt", &["Not yet: 0 of 5 points", "not tried, because the image could not be built"]),
        ("fault", &["This was us; it did not count", "Our container engine stopped answering"]),
        ("again", &["Trying again", "This was us; it did not count. Next attempt in 1 h"]),
        (
            "waiting",
            &[
                "Waiting for review: 4 of 4 points so far",
                "My answers",
                "tenants&lt;/b&gt;",
                "The <strong>kernel</strong>",
            ],
        ),
        ("running", &["Grading: 2 of 4 checks", "data-live=", "http-equiv=\"refresh\"", "a-34"]),
        ("queued", &["Next in the queue", "data-live="]),
    ] {
        let path = format!("/submissions/{}", class.submissions[what].id);
        let (_, html) = class.get(Some("Mira K."), &path).await;
        for words in words {
            assert!(html.contains(words), "{what}: no {words:?} in {html}");
        }
        assert!(!html.contains("/containers/4f/wait"), "causes are not for students");
    }
    let (_, html) =
        class.get(Some("Tess Trainer"), &format!("/submissions/{}", class.submissions["fault"].id)).await;
    assert!(html.contains("/containers/4f/wait") && html.contains("Mira K."), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_tells_open_pages_of_every_change() {
    let class = Class::open().await;
    let (_, html) = class.get(Some("Tess Trainer"), &class.path("/grid")).await;
    let stream = html
        .split("data-live=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&")
        .replace("&amp;", "&");
    let url = format!("http://{}{stream}", class.address);
    let mut response = class
        .client(Some("Tess Trainer"))
        .get(url)
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let zoe = class.state.store.person_by_name("Zoe \u{202e}X.").await.unwrap().unwrap();
    // The one that waits would be claimed first.
    class.state.store.claim("class", Duration::from_hours(1)).await.unwrap().unwrap();
    class.hand_in(&zoe, "first-container", 'p').await;
    let wanted = format!("p-{}", zoe.id);
    let mut seen = String::new();
    while !(seen.contains(&wanted) && seen.contains("passed, 2 of 2")) {
        let chunk =
            tokio::time::timeout(Duration::from_secs(10), response.chunk()).await.expect("the row comes");
        seen.push_str(&String::from_utf8_lossy(&chunk.unwrap().expect("the stream goes on")));
    }
    assert!(seen.contains("event: update") && seen.contains("\"id\":\"summary\""), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for looking at the pages with a browser"]
async fn look_at_it() {
    let file = std::env::var("DRYDOCK_LOOK").expect("DRYDOCK_LOOK names a file");
    let class = Class::open().await;
    let submissions: HashMap<_, _> =
        class.submissions.iter().map(|(what, submission)| (*what, submission.id.to_string())).collect();
    let told = serde_json::json!({
        "address": format!("http://{}", class.address), "cohort": class.cohort.id.to_string(),
        "sessions": class.sessions, "submissions": submissions,
    });
    std::fs::write(&file, told.to_string()).unwrap();
    if std::env::var_os("DRYDOCK_LOOK_GRADES").is_some() {
        class.grade_slowly().await;
    }
    while Path::new(&file).exists() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
