//! A class with its trainer and admin, over a real store and router.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use drydock::accounts::{Role, Seal, clean_name, hash_token, new_token};
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::live::Live;
use drydock::report::OutcomeKind;
use drydock::store::{Cohort, NewSubmission, Person, Store, Submission};
use drydock::submissions::remote::Credentials;
use drydock::submissions::{Answer, Answers, Content, ContentLimits, Source};
use drydock::web::{self, AppState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::handed_out::{SECTIONS, write_exercise};

/// A class in the middle of its day.
pub struct Class {
    pub state: AppState,
    pub address: SocketAddr,
    pub cohort: Cohort,
    shutdown: CancellationToken,
    /// Session cookies by name.
    pub sessions: HashMap<&'static str, String>,
    /// Submissions worth a look, by what they show.
    pub submissions: HashMap<&'static str, Submission>,
    _folder: tempfile::TempDir,
}

fn limits() -> ContentLimits {
    ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 100 }
}

impl Class {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let url = format!("sqlite:{}", folder.path().join("class.db").display());
        let store = Store::open(&url, &folder.path().join("contents"), Seal::ephemeral(), clock.clone())
            .await
            .unwrap();
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
        self.write_a_draft().await;
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
        self.write_strangers_words(&mira).await;
    }

    /// Words that were made to do harm, in every field that people can fill and that takes them: markup, a
    /// formula, a change of direction, and one without end. The class has names and files of the kind besides.
    async fn write_strangers_words(&self, mira: &Person) {
        let words = "=1+1 <b>P.</b> \u{202e}X. \u{1f6a2} \"'`& \0";
        let long = format!("{words} {}", "w".repeat(3000));
        let store = &self.state.store;
        let tess = store.person_by_name("Tess Trainer").await.unwrap().unwrap().id;
        let abe = store.person_by_name("Abe Admin").await.unwrap().unwrap().id;
        for what in ["failed", "waiting", "passed"] {
            store.comment(self.submissions[what].id, tess, &long).await.unwrap();
        }
        let unbuilt = self.submissions["unbuilt"].id;
        store.decide(unbuilt, "stops", tess, Some(OutcomeKind::Failed), &long).await.unwrap();
        store.create_api_token(mira.id, words, &hash_token(&new_token())).await.unwrap();
        // Names are cleaned before they are stored, so that theirs are as long and as odd as those may be.
        let name = clean_name(&format!("=1+1 <b>P.</b> \"'`& {}", "w".repeat(58))).unwrap();
        let other = store.create_cohort(&name, "containers-from-zero", "ZZZ-4QX").await.unwrap();
        store.add_member(other.id, mira.id, Role::Student).await.unwrap();
        store.set_group_rule(&name, self.cohort.id, Some(Role::Student), abe).await.unwrap();
        let login = Credentials::new(&long, words);
        store.set_registry_login(self.cohort.id, "registry.example.org", &login).await.unwrap();
        let agent = hash_token(&self.sessions["Mira K."]);
        store.note_agent(&agent, &format!("Firefox/<b>P.</b> {long}")).await.unwrap();
    }

    /// A draft with a mistake, a file that is no text, and its verification in the queue; a worker that
    /// has looked at its engine.
    async fn write_a_draft(&self) {
        let store = &self.state.store;
        let slug = "named-volume";
        let exercise = self.state.shelf.current(slug).await.unwrap();
        let limits = &drydock::exercises::FOLDER_LIMITS;
        let folder = exercise.folder.with_file("raw.bin", &b"\0\xff"[..].into(), true, limits).unwrap();
        let by = store.person_by_name("Abe Admin").await.unwrap().unwrap().id;
        store.create_draft(slug, &folder, Some(by), "the published <b>version</b>").await.unwrap();
        let yaml = folder.file("exercise.yaml").unwrap();
        let wrong = [yaml.as_ref(), b"chekcs: []\n"].concat().into();
        let folder = folder.with_file("exercise.yaml", &wrong, false, limits).unwrap();
        store.save_draft(slug, 1, &folder, Some(by), "exercise.yaml saved").await.unwrap();
        let verify = |slug, content| drydock::store::NewJob {
            kind: drydock::store::JobKind::Verify,
            subject: slug,
            content: Some(content),
            wish: serde_json::json!({}),
            worker: None,
            login: None,
            delay: Duration::ZERO,
            by: Some(by),
        };
        let running = self.state.shelf.current("ports-and-env").await.unwrap();
        store.ask(verify("ports-and-env", running.folder.sha256())).await.unwrap();
        let lease = Duration::from_hours(1);
        let (_, lease) = store.claim_job("class", lease).await.unwrap().unwrap();
        let trials = serde_json::json!({"trials": [
            {"name": "solution", "run": 1, "state": "passed", "seconds": 3.2},
            {"name": "solution, again", "run": 2, "state": "passed", "seconds": 2.9},
            {"name": "starter", "run": 1, "state": "passed", "seconds": 2.1},
            {"name": "mutant greeting-baked-in", "run": 1, "state": "failed", "seconds": 2.4,
             "problems": ["it should fail exactly `greets`, but `listens` fails too"]},
            {"name": "mutant port-closed", "run": 1, "state": "running", "phase": "build"},
            {"name": "mutant quiet", "run": 1, "state": "waiting"},
        ]});
        store.job_progress(&lease, &trials).await.unwrap();
        let now = self.state.clock.now();
        let worker = drydock::store::Worker {
            id: "class".into(),
            host: "quay-1".into(),
            version: "0.1.0".into(),
            engine: Some("Docker 29.1.3 (runc)".into()),
            started_at: now,
            last_seen: now,
            paused_because: None,
            figures: drydock::store::WorkerFigures::default(),
        };
        store.worker_seen(&worker).await.unwrap();
        let point = |grade, title, observed, advice| {
            let rule = serde_json::json!({"number": 2, "name": "Every container is confined and bounded"});
            serde_json::json!({"id": title, "rule": rule, "title": title, "grade": grade,
                "observed": observed, "advice": advice})
        };
        let points = serde_json::json!([
            point("pass", "Docker engine", "29.1.3, API 1.52", ""),
            point(
                "caution",
                "Disk of containers",
                "no quota for the writable layer",
                "Use overlay2 on xfs with pquota."
            ),
        ]);
        store.worker_examined("class", &points).await.unwrap();
        let images = serde_json::json!({"images": [
            {"image": "busybox:1.37", "exercises": ["ports-and-env"], "bytes": 4_600_000, "state": "there"},
            {"image": "redis:8-alpine", "exercises": ["named-volume"], "bytes": null, "state": "missing"},
        ]});
        store.worker_images("class", &images).await.unwrap();
    }

    pub async fn hand_in(&self, person: &Person, slug: &str, outcome: char) -> Submission {
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
            login: None,
        };
        let (submission, _) = self.state.store.submit(new).await.unwrap();
        if outcome != 'q' {
            let claim = self.state.store.claim("class", Duration::from_hours(1)).await.unwrap().unwrap();
            assert_eq!(claim.submission.id, submission.id, "the only one that waits");
            self.grade(&claim, &exercise, outcome).await;
        }
        submission
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/cohorts/{}{rest}", self.cohort.id)
    }

    pub fn client(&self, name: Option<&str>) -> reqwest::Client {
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

    pub async fn get(&self, name: Option<&str>, path: &str) -> (u16, String) {
        let response = self.client(name).get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Every page with who opens it.
    pub fn pages(&self) -> Vec<(Option<&'static str>, String)> {
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
            (admin, "/admin/kinds".to_owned()),
            (admin, "/admin/groups".to_owned()),
            (mira, "/account".to_owned()),
            (mira, "/account?done=password".to_owned()),
            (trainer, self.path("/reviews")),
            (trainer, self.path("/registries")),
            (trainer, self.path("/checks")),
            (trainer, self.path("/checks?exercise=ports-and-env")),
            (trainer, self.path("/statistics")),
            (trainer, self.path("/projector?until=2030-01-01T12:00")),
            (trainer, self.path("/grid?section=2&name=a&sort=ports-and-env&show=done")),
            (trainer, self.path("/regrades")),
            (trainer, self.path("/dates")),
            (trainer, self.path("/dates?exercise=ports-and-env")),
            (mira, "/account/tokens".to_owned()),
        ];
        for page in [
            "exercises",
            "exercises/ports-and-env",
            "exercises/named-volume",
            "exercises/named-volume/files",
            "exercises/named-volume/files?path=README.md",
            "exercises/named-volume/files?path=solution",
            "exercises/named-volume/files?path=raw.bin",
            "exercises/named-volume/files?path=a+new%2Ffile",
            "exercises/named-volume/preview",
            "workshops",
            "workshops/containers-from-zero",
            "cohorts",
            "people",
            "people?search=o",
            "people/import",
            "engine",
            "audit",
            "audit?action=draft.",
        ] {
            pages.push((admin, format!("/admin/{page}")));
        }
        pages.push((admin, format!("/admin/cohorts/{}", self.cohort.id)));
        let mira_k = self.submissions["passed"].person;
        pages.push((trainer, self.path(&format!("/people/{mira_k}"))));
        for submission in self.submissions.values() {
            pages.push((mira, format!("/submissions/{}", submission.id)));
            pages.push((trainer, format!("/submissions/{}", submission.id)));
            pages.push((trainer, format!("/submissions/{}/review", submission.id)));
        }
        pages
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
