//! Chromium through its own driver, each with a fresh profile, and gone at the end of the test.

use std::io::{BufRead as _, BufReader};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use thirtyfour::common::capabilities::chrome::ChromeCapabilities;
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities as _;
use thirtyfour::{By, LoggingPrefsLogLevel, WebDriver, WebElement};

/// How a browser is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// A window of a laptop.
    Desk,
    /// A phone's screen.
    Phone,
    /// Without JavaScript.
    NoScript,
}

/// How wide a phone's page is, in CSS pixels.
pub const PHONE_WIDTH: i64 = 390;

/// A browser with its driver. Close it with [`Browser::close`], which also looks into its console.
pub struct Browser {
    driver: WebDriver,
    process: Process,
    _profile: tempfile::TempDir,
}

/// Chromedriver's process, ended with the test however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Asked, not killed: it takes its browsers with it.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

impl Browser {
    pub async fn open(setup: Setup) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Process(
            Command::new("chromedriver")
                .arg("--port=0")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("chromedriver, from Debian's chromium-driver"),
        );
        let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .find_map(|line| {
                line.unwrap().split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says on which port it listens");
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));

        let mut wishes = ChromeCapabilities::new();
        for flag in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            wishes.add_arg(flag).unwrap();
        }
        if setup == Setup::NoScript {
            let preferences = serde_json::json!({"profile.managed_default_content_settings.javascript": 2});
            wishes.add_experimental_option("prefs", preferences).unwrap();
        }
        wishes.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wishes).await.expect("a browser");
        if setup == Setup::Phone {
            // No window of Chromium's is narrower than 500 pixels.
            let screen = serde_json::json!({
                "width": PHONE_WIDTH, "height": 844, "deviceScaleFactor": 2, "mobile": true,
            });
            driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", screen).await.expect("a phone");
        }
        Self { driver, process, _profile: profile }
    }

    /// Types into a field, in place of what is there.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.one(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Gives a path to a file input.
    pub async fn choose(&self, css: &str, path: &Path) {
        self.one(css).await.send_keys(path.to_str().unwrap()).await.unwrap();
    }

    pub async fn click(&self, css: &str) {
        self.one(css).await.click().await.unwrap();
    }

    /// The element, once it is there.
    pub async fn one(&self, css: &str) -> WebElement {
        for _ in 0..100 {
            if let Ok(element) = self.driver.find(By::Css(css)).await {
                return element;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{css} is not on {}: {}", self.driver.current_url().await.unwrap(), self.source().await);
    }

    pub async fn source(&self) -> String {
        self.driver.source().await.unwrap()
    }

    /// Waits until an element shows these words; fails after a minute.
    pub async fn until_shows(&self, css: &str, words: &str) {
        let mut shown = String::new();
        for _ in 0..600 {
            if let Ok(element) = self.driver.find(By::Css(css)).await {
                // The element may be replaced between finding and reading it.
                shown = element.text().await.unwrap_or_default();
                if shown.contains(words) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{css} never shows {words:?}, but {shown:?}");
    }

    /// Waits until the address begins like this.
    pub async fn until_at(&self, prefix: &str) {
        let mut at = String::new();
        for _ in 0..300 {
            at = self.driver.current_url().await.unwrap().to_string();
            if at.starts_with(prefix) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never at {prefix}, but at {at}: {}", self.source().await);
    }

    /// Leaves a mark that a reload would wipe away.
    pub async fn mark(&self) {
        self.driver.execute("window.notReloaded = true", Vec::new()).await.unwrap();
    }

    pub async fn is_marked(&self) -> bool {
        let found = self.driver.execute("return window.notReloaded === true", Vec::new()).await.unwrap();
        found.convert().unwrap()
    }

    /// Whether the page is wider than the window, so that one has to scroll sideways.
    pub async fn overflows(&self) -> bool {
        let script = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
        self.driver.execute(script, Vec::new()).await.unwrap().convert().unwrap()
    }

    /// How wide the page is laid out, in CSS pixels.
    pub async fn width(&self) -> i64 {
        let script = "return document.documentElement.clientWidth";
        self.driver.execute(script, Vec::new()).await.unwrap().convert().unwrap()
    }

    /// Ends the browser. Its console must have no error and no violation of the content policy.
    pub async fn close(self) {
        let log = self.driver.get_log("browser").await.unwrap();
        let bad: Vec<String> =
            log.iter().map(|entry| format!("{entry:?}")).filter(|entry| is_bad(entry)).collect();
        self.driver.clone().quit().await.unwrap();
        drop(self.process);
        assert!(bad.is_empty(), "the console says: {bad:#?}");
    }
}

fn is_bad(entry: &str) -> bool {
    let entry = entry.to_lowercase();
    // The engine makes and removes networks of this machine while the browser loads.
    if entry.contains("err_network_changed") {
        return false;
    }
    entry.contains("severe") || entry.contains("content security policy") || entry.contains("uncaught")
}

impl Deref for Browser {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        &self.driver
    }
}
