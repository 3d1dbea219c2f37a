//! An engine that a test may kill.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drydock::clock::Clock;

/// A Docker engine of the test's own, that it may kill: `dockerd` with everything in one folder, in
/// namespaces of its own, so that nothing of it is left on the machine however the test ends.
pub struct PrivateEngine {
    folder: tempfile::TempDir,
    /// Holds the namespaces; all that runs in them ends with it.
    keeper: Child,
    daemon: Option<Child>,
}

/// The first process of the namespaces: reaps whatever the daemon leaves, until its input ends.
const KEEPER: &str = "ip link set lo up; exec 3<&0; echo ready
    cat <&3 >/dev/null & end=$!
    while kill -0 $end 2>/dev/null; do sleep 0.1; done";

impl PrivateEngine {
    /// A started engine with these images of the machine's engine on it.
    pub fn start(images: &[&str]) -> Self {
        // gVisor's own network stack takes the namespaces here for the machine's, so it gets that of the kernel.
        let runtimes = r#""runsc": {"path": "runsc", "runtimeArgs": ["--network=host"]}"#;
        Self::with_runtimes(images, runtimes)
    }

    /// As [`Self::start`], with these runtimes in its settings, beside runc.
    pub fn with_runtimes(images: &[&str], runtimes: &str) -> Self {
        Self::with_settings(images, &format!("\"runtimes\": {{{runtimes}}}"))
    }

    /// As [`Self::start`], whose containers go on while no daemon runs.
    pub fn live_restoring(images: &[&str]) -> Self {
        Self::with_settings(images, "\"live-restore\": true")
    }

    fn with_settings(images: &[&str], settings: &str) -> Self {
        // Short, because a socket's path has at most 108 bytes.
        let folder = tempfile::Builder::new().prefix("drydock-e-").tempdir_in("/tmp").unwrap();
        // Address pools that the machine's engine does not use, and nothing of the machine's settings.
        let pools = r#""default-address-pools": [{"base": "10.213.0.0/16", "size": 26}]"#;
        let settings = format!("{{{pools}, {settings}}}");
        std::fs::write(folder.path().join("daemon.json"), settings).unwrap();
        let keeper = as_root("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "--propagation",
                "private",
            ])
            .args(["sh", "-c", KEEPER])
            // Ends when this pipe is closed: by us, or by the system if the test is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be run");
        let mut engine = Self { folder, keeper, daemon: None };
        let mut ready = [0; 6];
        engine
            .keeper
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .expect("namespaces can be made (as root)");
        engine.up();
        if images.is_empty() {
            return engine;
        }
        let mut save =
            Command::new("docker").arg("save").args(images).stdout(Stdio::piped()).spawn().unwrap();
        let load = engine.docker().arg("load").stdin(save.stdout.take().unwrap()).output().unwrap();
        assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
        assert!(
            save.wait().unwrap().success(),
            "{images:?} are not on the machine's engine; run tests/bases"
        );
        engine
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).stdin(Stdio::null());
        command
    }

    fn init(&self) -> String {
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.keeper.id())).unwrap();
        children.split_whitespace().next().expect("unshare has forked").to_owned()
    }

    /// Starts the daemon, on the data that an earlier one left.
    pub fn up(&mut self) {
        let written = self.log().len();
        if self.try_up() {
            return;
        }
        let log = self.log().split_off(written);
        // Docker 20.10 does not start on the books of one that was killed while it removed a network. Without
        // its list of networks it does; that is what an operator gives it, too.
        assert!(log.contains("libnetwork.(*controller).reservePools"), "dockerd does not start:\n{log}");
        println!("the private engine cannot read its list of networks; it goes on without");
        let networks = self.folder.path().join("data/network/files/local-kv.db");
        assert!(as_root("rm").arg(networks).status().unwrap().success());
        assert!(self.try_up(), "dockerd does not start, not even without its networks:\n{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts the daemon and waits until it answers; `false` if it ends instead.
    fn try_up(&mut self) -> bool {
        assert!(self.daemon.is_none(), "it is up");
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let log = std::fs::File::options().create(true).append(true).open(at("log")).unwrap();
        // A daemon that was killed leaves these behind, with numbers that other processes have now.
        for stale in ["pid", "exec/containerd/containerd.pid"] {
            let _ = as_root("rm").arg("-f").arg(at(stale)).status();
        }
        let mut daemon = as_root("nsenter")
            .args(["--target", &self.init(), "--mount", "--net", "--pid", "--"])
            .args(["dockerd", "--config-file", &at("daemon.json"), "--host", &self.host()])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--bridge", "none"])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("nsenter can be run");
        let started = Clock::system().stopwatch();
        while !self.docker().arg("version").output().is_ok_and(|output| output.status.success()) {
            if daemon.try_wait().unwrap().is_some() {
                return false;
            }
            // Containers that do not heed its signal take it ten seconds.
            assert!(started.elapsed() < Duration::from_secs(60), "dockerd does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        self.daemon = Some(daemon);
        true
    }

    /// What its images, containers and volumes take on the disk, with all that it keeps beside them.
    pub fn stored_bytes(&self) -> u64 {
        let measured = as_root("du")
            .args(["--summarize", "--one-file-system", "--block-size=1"])
            .arg(self.folder.path().join("data"))
            .output()
            .expect("du can be run");
        // A file that goes away meanwhile is a complaint, and no reason to know nothing.
        let told = String::from_utf8_lossy(&measured.stdout).into_owned();
        let bytes = told.split_whitespace().next().and_then(|bytes| bytes.parse().ok());
        bytes.unwrap_or_else(|| panic!("du: {told}{}", String::from_utf8_lossy(&measured.stderr)))
    }

    /// Kills the daemon, as a crash or an operator would; its containers stay for the next one to find.
    pub fn down(&mut self) {
        let mut daemon = self.signalled("-KILL");
        let _ = daemon.kill();
        daemon.wait().unwrap();
    }

    /// Ends the daemon in good order, as an upgrade or `systemctl stop` does: its containers end first, unless it
    /// restores them live.
    pub fn stop(&mut self) {
        let mut daemon = self.signalled("-TERM");
        let began = Clock::system().stopwatch();
        while daemon.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "dockerd does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signalled(&mut self, signal: &str) -> Child {
        let daemon = self.daemon.take().expect("it is up");
        // nsenter has become dockerd, or has it as its child where it had to fork for the process
        // namespace.
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.id()));
        for pid in children.unwrap_or_default().split_whitespace() {
            assert!(as_root("kill").args([signal, pid]).status().unwrap().success());
        }
        daemon
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        // In good order first, so that control groups and mounts go too.
        if self.daemon.is_some() {
            let _ = self.docker().args(["ps", "--all", "--quiet"]).output().map(|listed| {
                let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
                // One that the engine holds for ever goes with it.
                let mut bounded = Command::new("timeout");
                bounded.args(["20", "docker", "rm", "--force"]).args(ids.split_whitespace());
                bounded.env("DOCKER_HOST", self.host()).stdin(Stdio::null()).output()
            });
            self.down();
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- end of the private engine's log ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        let _ = as_root("rm").arg("-rf").arg(self.folder.path()).status();
    }
}

/// A command that needs root, through sudo where the tests are not run as root.
fn as_root(program: &str) -> Command {
    if rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
