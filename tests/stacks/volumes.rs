//! Volumes and submitted folders: shared, kept over a new container, bounded, and gone at the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use drydock::sandbox::{Limits, MountKind, MountSpec, Mounted, ServiceSpec, Source, StackSpec, Swept};
use drydock::submissions::{Content, ContentLimits};

use crate::common::{
    BUSYBOX, Bench, Owner, app, context, docker, installation, limits, script, sh, silent, stack,
    start_stack, without_pool,
};

fn volume(name: &str, target: &str, read_only: bool) -> MountSpec {
    MountSpec { source: Source::Volume(name.into()), target: target.into(), read_only }
}

fn folder(path: &str, target: &str, read_only: bool) -> MountSpec {
    MountSpec { source: Source::Folder(path.into()), target: target.into(), read_only }
}

fn with<const N: usize>(volumes: &[&str], services: [(&str, ServiceSpec); N]) -> StackSpec {
    StackSpec { volumes: volumes.iter().map(|name| (*name).to_owned()).collect(), ..stack(services) }
}

fn sleeping(mounts: Vec<MountSpec>) -> ServiceSpec {
    ServiceSpec { mounts, ..script("sleep 600") }
}

/// Names of all volumes of an installation, and of those without a label that an image declared.
fn volumes(state: &Path) -> Vec<String> {
    let label = format!("label=drydock.server={}", installation(state));
    docker(&["volume", "ls", "-q", "--filter", &label]).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_volume_is_shared_and_outlives_its_containers() {
    let bench = Bench::alone(without_pool()).await;
    let sandbox = bench.sandbox();
    let spec = with(
        &["data"],
        [
            ("app", sleeping(vec![volume("data", "/data", false)])),
            ("reader", sleeping(vec![volume("data", "/in", true)])),
        ],
    );
    let stack = start_stack(&sandbox, &spec).await;
    let (app, reader) = (app(&stack), stack.service("reader").unwrap());
    assert_eq!(sh(app, "echo kept > /data/file; echo lost > /file; cat /data/file").await.stdout, "kept\n");
    assert_eq!(sh(reader, "cat /in/file").await.stdout, "kept\n");
    assert!(sh(reader, "touch /in/other").await.stderr.contains("Read-only"));
    assert_eq!(
        reader.mounts().await.unwrap(),
        [Mounted {
            target: "/in".into(),
            kind: MountKind::Volume,
            name: Some("data".into()),
            read_only: true,
            size_bytes: None
        }]
    );

    app.recreate().await.unwrap();
    assert_eq!(sh(app, "cat /data/file /file").await.stdout, "kept\n");
    assert_eq!(sh(app, "ls /file").await.exit_code, Some(1));
    // The processes of the new container can be looked at, as those of the first.
    assert_eq!(app.processes().await.unwrap().unwrap()[0].argv, ["sleep", "600"]);
    app.recreate().await.unwrap();
    assert_eq!(app.processes().await.unwrap().unwrap()[0].argv, ["sleep", "600"]);

    assert_eq!(volumes(bench.state()).len(), 1);
    sandbox.clean().await;
    assert_eq!(volumes(bench.state()), Vec::<String>::new());
    bench.close().await;
}

#[tokio::test]
async fn a_folder_is_a_copy_that_nobody_else_sees() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 100 };
    let files = [("site/index.html", "hello"), ("site/deep/run.sh", "#!/bin/sh\necho ran"), ("other", "x")];
    let files = files.map(|(path, text)| (path.to_owned(), Bytes::from(text))).to_vec();
    let content = Content::from_files(files, &limits).unwrap();
    let spec = with(
        &[],
        [
            ("app", sleeping(vec![folder("site", "/www", false), folder(".", "/all", true)])),
            ("peer", sleeping(vec![folder("site", "/www", true)])),
        ],
    );
    let prepared = sandbox.prepare(&spec).await.unwrap().with_folders(HashMap::from([
        ("site".to_owned(), content.subtree("site").unwrap().tar()),
        (".".to_owned(), content.tar()),
    ]));
    let stack = prepared.start(BUSYBOX, silent(), &HashSet::new()).await.unwrap();
    let app = app(&stack);
    assert_eq!(
        sh(app, "cd /www && find . | sort | tr '\\n' ' '").await.stdout,
        ". ./deep ./deep/run.sh ./index.html "
    );
    assert_eq!(sh(app, "/www/deep/run.sh; cat /all/site/index.html").await.stdout, "ran\nhello");
    assert_eq!(sh(app, "echo changed > /www/index.html; cat /www/index.html").await.stdout, "changed\n");
    // As with a bind mount, whoever has the same folder sees the change; the submission does not.
    assert_eq!(sh(stack.service("peer").unwrap(), "cat /www/index.html").await.stdout, "changed\n");
    assert_eq!(sh(app, "cat /all/site/index.html").await.stdout, "hello");
    let mounts = app.mounts().await.unwrap();
    assert_eq!(mounts[1].kind, MountKind::Bind);
    assert_eq!(mounts[1].name.as_deref(), Some("site"));
    assert!(mounts[0].read_only && mounts[0].name.as_deref() == Some("."));
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_volume_of_the_image_has_no_name_and_goes_with_its_container() {
    let container = docker(&["create", BUSYBOX]);
    let image = docker(&["commit", "--change", "VOLUME /data", &container]);
    docker(&["rm", &container]);
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let tmpfs = BTreeMap::from([("/scratch".to_owned(), 1 << 20)]);
    let spec = with(&[], [("app", ServiceSpec { image: Some(image.clone()), tmpfs, ..script("sleep 600") })]);
    let stack = start_stack(&sandbox, &spec).await;
    let app = app(&stack);
    let mounts = app.mounts().await.unwrap();
    assert_eq!(
        mounts[0],
        Mounted {
            target: "/data".into(),
            kind: MountKind::Volume,
            name: None,
            read_only: false,
            size_bytes: None
        }
    );
    assert_eq!((mounts[1].kind, mounts[1].size_bytes), (MountKind::Tmpfs, Some(1 << 20)));
    let nameless = || -> Vec<String> {
        let ours = docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("ancestor={image}")]);
        let inspect = |id: &str| docker(&["inspect", "-f", "{{range .Mounts}}{{.Name}}{{end}}", id]);
        ours.lines().map(inspect).collect()
    };
    let first = nameless();
    assert_eq!(first.len(), 1);
    // Long enough for it to be measured, by a container of ours that has the volume too.
    sh(app, "echo x > /data/file; sleep 4").await;
    app.recreate().await.unwrap();
    assert_eq!(sh(app, "ls /data").await.stdout, "");
    let second = nameless();
    assert_ne!(first, second);
    sh(app, "sleep 4").await;
    sandbox.clean().await;
    let left = docker(&["volume", "ls", "-q"]);
    for volume in first.iter().chain(&second) {
        assert!(!left.lines().any(|name| name == volume), "{volume} is left");
    }
    bench.close().await;
    docker(&["rmi", &image]);
}

#[tokio::test]
async fn what_fills_a_volume_is_stopped_whoever_has_it() {
    let bench = Bench::open().await;
    let limits = Limits { disk_bytes: 8 << 20, ..limits() };
    let sandbox = bench.engine.sandbox("test", limits);
    let mounts = vec![volume("data", "/data", false)];
    let fill =
        "i=0; while :; do i=$((i+1)); dd if=/dev/zero of=/data/$i bs=1M count=3 2>/dev/null; sleep 1; done";
    let filler = ServiceSpec { mounts: mounts.clone(), ..script(fill) };
    // One that is always started again is not when it was stopped for that.
    let filler = ServiceSpec { restart: drydock::sandbox::Restart::Always, ..filler };
    let stack = start_stack(&sandbox, &with(&["data"], [("app", filler), ("peer", sleeping(mounts))])).await;
    for name in ["app", "peer"] {
        let state = stack.service(name).unwrap().wait_exit(Duration::from_secs(60)).await.unwrap();
        assert!(state.over_disk && !state.running && !state.restarting, "{name}: {state:?}");
    }
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_volume_counts_once_however_many_have_it() {
    let bench = Bench::open().await;
    let limits = Limits { disk_bytes: 16 << 20, ..limits() };
    let sandbox = bench.engine.sandbox("test", limits);
    let mounts = || vec![volume("data", "/data", false)];
    let writer = ServiceSpec {
        mounts: mounts(),
        ..script("dd if=/dev/zero of=/data/file bs=1M count=6 2>/dev/null; sleep 600")
    };
    let spec = with(&["data"], [("app", writer), ("one", sleeping(mounts())), ("two", sleeping(mounts()))]);
    let stack = start_stack(&sandbox, &spec).await;
    // Three times 6 MiB would be too much.
    tokio::time::sleep(Duration::from_secs(9)).await;
    for service in stack.services() {
        assert!(service.state().await.unwrap().running, "{}", service.name());
    }
    sandbox.clean().await;
    bench.close().await;
}

/// Not a test of its own: the process that is killed in the next one.
#[tokio::test]
#[ignore = "run by volumes_of_a_killed_process_are_swept"]
async fn owner_of_a_volume() {
    let Some(state) = Owner::state() else { return };
    let engine = drydock::sandbox::Engine::connect(&without_pool(), context(&state)).await.unwrap();
    let sandbox = engine.sandbox("to-be-killed", limits());
    let spec = with(&["data"], [("app", sleeping(vec![volume("data", "/data", false)]))]);
    let _stack = start_stack(&sandbox, &spec).await;
    Owner::stay().await;
}

#[tokio::test]
async fn volumes_of_a_killed_process_are_swept() {
    let bench = Bench::alone(without_pool()).await;
    let owner = Owner::start("volumes::owner_of_a_volume", &bench).await;
    assert_eq!(bench.engine.sweep().await.unwrap(), Swept::default());
    assert_eq!(volumes(bench.state()).len(), 1);
    owner.kill().await;
    let swept = bench.engine.sweep().await.unwrap();
    assert_eq!(swept.volumes, 1, "{swept:?}");
    assert_eq!(volumes(bench.state()), Vec::<String>::new());
    bench.close().await;
}

/// What is written into the log.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, whose log is listened to.
#[tokio::test]
async fn a_stack_that_ends_while_it_is_measured_is_no_trouble() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let bench = Bench::alone(without_pool()).await;
    let installation = std::fs::read_to_string(bench.state().join("installation-id")).unwrap();
    let filters =
        [format!("label=drydock.server={}", installation.trim()), "label=drydock.role=surveyor".to_owned()];
    // At different moments of a measurement.
    for later in [0, 80, 160, 240] {
        let sandbox = bench.sandbox();
        let spec = with(&["data"], [("app", sleeping(vec![volume("data", "/data", false)]))]);
        let stack = start_stack(&sandbox, &spec).await;
        sh(app(&stack), "for i in $(seq 3000); do : > /data/$i; done").await;
        let measured = async {
            loop {
                let arguments = ["ps", "-aq", "--filter", &filters[0], "--filter", &filters[1]];
                let found = tokio::process::Command::new("docker").args(arguments).output().await.unwrap();
                if !found.stdout.is_empty() {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), measured).await.expect("it is measured");
        tokio::time::sleep(Duration::from_millis(later)).await;
        sandbox.clean().await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    bench.close().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("volumes_not_measured")).collect();
    println!("{told:#?}");
    assert!(!told.iter().any(|line| line.contains("WARN")), "{told:#?}");
}
