//! What a container may use at most, and what becomes of one that wants more.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock::sandbox::{Limits, LogLine, ServiceSpec};

use crate::common::{BUSYBOX, Bench, app, docker, get, limits, script, sh, silent, stack, start, web};

#[tokio::test]
async fn a_container_has_the_bounds_it_must_have() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let spec = ServiceSpec {
        cap_add: vec!["NET_BIND_SERVICE".into()],
        read_only: true,
        tmpfs: BTreeMap::from([("/scratch".into(), 1 << 20)]),
        ..script("sleep 60")
    };
    let stack = start(&sandbox, [("app", spec)]).await;
    let app = app(&stack);
    let status = sh(app, "cat /proc/1/status").await.stdout;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_ascii_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    // Bit 10 is NET_BIND_SERVICE; nothing else, neither now nor to be gained.
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(field(set), "0000000000000400", "{set}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp"), "2");
    assert_eq!(sh(app, "ulimit -n").await.stdout, "4096\n");
    assert_ne!(sh(app, "touch /file").await.exit_code, Some(0));
    let fill = sh(app, "dd if=/dev/zero of=/scratch/file bs=1024 count=2048; echo $?").await;
    assert!(fill.stdout.ends_with("1\n"), "{}", fill.stdout);
    assert_eq!(sh(app, "cat /proc/1/oom_score_adj").await.stdout, "500\n");
    let devices = sh(app, "ls /dev").await.stdout;
    for device in ["kmsg", "mem", "sda", "vda", "fuse"] {
        assert!(!devices.lines().any(|line| line == device), "{devices}");
    }
    let bounds = sh(
        app,
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max 2>/dev/null || \
         cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max",
    )
    .await;
    assert_eq!(bounds.stdout, format!("{}\n64\n", 64 << 20));
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_fork_bomb_is_bounded_and_the_neighbour_answers() {
    let bench = Bench::open().await;
    let (one, other) = (bench.sandbox(), bench.sandbox());
    let bomb = script("bomb() { bomb | bomb & }; bomb; sleep 60");
    let stack = start(&one, [("app", bomb)]).await;
    let neighbour = start(&other, [("app", web("fine", "8080"))]).await;
    let neighbour = app(&neighbour);
    assert!(neighbour.http(neighbour, get(8080)).await.unwrap().is_ok());
    let processes = app(&stack).processes().await.unwrap();
    if let Ok(processes) = processes {
        assert!(processes.len() <= 64, "{}", processes.len());
    }
    one.clean().await;
    other.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn memory_is_bounded_and_the_end_is_told() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let eat = script("dd if=/dev/zero of=/dev/null bs=200000000");
    let stack = start(&sandbox, [("app", ServiceSpec { command: eat.command, ..script("") })]).await;
    let state = app(&stack).wait_exit(Duration::from_secs(30)).await.unwrap();
    assert!(!state.running && state.oom_killed, "{state:?}");
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn endless_output_is_cut_and_passed_on_in_bounds() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let lines = Arc::clone(&lines);
        Arc::new(move |line: LogLine| lines.lock().unwrap().push(line.text))
    };
    let endless = script("tr '\\0' x </dev/zero | head -c 20000; echo; yes");
    let prepared = sandbox.prepare(&stack([("app", endless)])).await.unwrap();
    let stack = prepared.start(BUSYBOX, sink, &HashSet::new()).await.unwrap();
    let app = app(&stack);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let output = app.output();
    assert!(output.truncated);
    assert_eq!(output.stdout.len() as u64, limits().log_bytes);
    {
        let lines = lines.lock().unwrap();
        assert!(lines[0].len() <= 2000 && lines[0].starts_with("xxx"), "{}", lines[0].len());
        assert_eq!(lines[1], "y");
        assert!(lines.iter().map(|line| line.len() as u64 + 1).sum::<u64>() <= limits().log_bytes);
    }
    // It can still be spoken to and stopped.
    assert_eq!(sh(app, "echo here").await.stdout, "here\n");
    let stopped = app.stop(Duration::from_millis(100)).await.unwrap();
    assert_eq!(stopped.exit_code, Some(137));
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn the_disk_is_bounded() {
    let bench = Bench::open().await;
    let limits = Limits { disk_bytes: 8 << 20, ..limits() };
    let sandbox = bench.engine.sandbox("test", limits);
    let fill = script("dd if=/dev/zero of=/file bs=1M count=30; sleep 60");
    let stack = start(&sandbox, [("app", fill)]).await;
    let state = app(&stack).wait_exit(Duration::from_secs(30)).await.unwrap();
    assert!(state.over_disk && !state.running, "{state:?}");
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn volumes_of_the_image_count_as_disk_and_go_with_it() {
    let container = docker(&["create", BUSYBOX]);
    let image = docker(&["commit", "--change", "VOLUME /data", &container]);
    docker(&["rm", &container]);

    let bench = Bench::open().await;
    let limits = Limits { disk_bytes: 8 << 20, ..limits() };
    let sandbox = bench.engine.sandbox("test", limits);
    let fill = script("dd if=/dev/zero of=/data/file bs=1M count=30; sleep 60");
    let prepared = sandbox.prepare(&stack([("app", fill)])).await.unwrap();
    let stack = prepared.start(&image, silent(), &HashSet::new()).await.unwrap();
    let app = app(&stack);
    let mounts = sh(app, "grep ' /data ' /proc/mounts").await.stdout;
    assert!(!mounts.is_empty());
    let state = app.wait_exit(Duration::from_secs(60)).await.unwrap();
    assert!(state.over_disk && !state.running, "{state:?}");
    sandbox.clean().await;
    bench.close().await;
    // In use by nothing any more, and the image has no other container.
    docker(&["rmi", &image]);
}
