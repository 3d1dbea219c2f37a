//! The program as a process of its own, with its log.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock::clock::Clock;

use super::PATIENCE;

/// A running process of the program. Killed when dropped.
pub struct Process {
    child: Child,
    pub(super) log: Arc<Mutex<String>>,
    /// Where it listens, for a server.
    pub address: String,
}

impl Process {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().unwrap();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stderr);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { child, log, address: String::new() }
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log with this in it.
    pub fn wait_for_line(&self, wanted: &str) -> String {
        let started = Clock::system().stopwatch();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(wanted)) {
                return line.to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "{wanted} never appeared in the log:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and asserts that the process ends well by itself.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = self.wait(Duration::from_secs(40));
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}\n{}", self.log());
    }

    fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let started = Clock::system().stopwatch();
        while started.elapsed() < within {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
