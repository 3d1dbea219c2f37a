//! Every page in a real browser: fit for everybody by axe-core's rules in both colour schemes, and as wide as the
//! screen at the width of a phone, a laptop and a projector.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use thirtyfour::Cookie;

use crate::browser::{Browser, Setup};
use crate::class::Class;

/// Widths in CSS pixels, with what has such a screen.
const WIDTHS: [(i64, &str); 3] = [(390, "a phone"), (1280, "a laptop"), (1920, "a projector")];

/// axe-core's program: out of the cache, or what `fetch-axe` brings.
fn axe() -> String {
    let home = std::env::home_dir().unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let folder = cache.join("drydock-tools/axe-4.12.1");
    let wheel = folder.join("axe.whl");
    if !wheel.exists() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages/fetch-axe");
        let fetched = Command::new(script).arg(&folder).output().expect("a shell");
        assert!(fetched.status.success(), "axe-core: {}", String::from_utf8_lossy(&fetched.stderr));
    }
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel).unwrap()).unwrap();
    let mut text = String::new();
    let mut program = archive.by_name("axe_playwright_python/axe.min.js").expect("the wheel has it");
    program.read_to_string(&mut text).unwrap();
    text
}

/// What keeps somebody out, as lines to read.
async fn violations(browser: &Browser, rules: Value) -> Vec<String> {
    let script = "const done = arguments[arguments.length - 1];
        axe.run(document, arguments[0]).then(done, (error) => done({violations: [{id: String(error), nodes: []}]}));";
    let options = json!({"resultTypes": ["violations"], "runOnly": rules});
    let found: Value = browser.execute_async(script, vec![options]).await.unwrap().convert().unwrap();
    let mut lines = Vec::new();
    for violation in found["violations"].as_array().expect("a list") {
        if matches!(violation["impact"].as_str(), Some("minor" | "moderate")) {
            continue;
        }
        for node in violation["nodes"].as_array().into_iter().flatten() {
            let why = node["failureSummary"].as_str().unwrap_or_default().replace('\n', " ");
            lines.push(format!("{}: {} {why}", violation["id"], node["html"]));
        }
        if violation["nodes"].as_array().is_none_or(Vec::is_empty) {
            lines.push(violation["id"].to_string());
        }
    }
    lines
}

async fn emulate(browser: &Browser, command: &str, with: Value) {
    browser.cdp().send_raw(command, with).await.expect("chromium does so");
}

async fn scheme(browser: &Browser, name: &str) {
    let features = json!({"features": [{"name": "prefers-color-scheme", "value": name}]});
    emulate(browser, "Emulation.setEmulatedMedia", features).await;
}

async fn width(browser: &Browser, pixels: i64) {
    let screen = json!({"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": pixels < 600});
    emulate(browser, "Emulation.setDeviceMetricsOverride", screen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_keeps_anybody_out_in_either_scheme_at_any_width() {
    let axe = axe();
    let class = Class::open().await;
    let browser = Browser::open(Setup::Desk).await;
    let at = |path: &str| format!("http://{}{path}", class.address);
    let mut wrong = Vec::new();
    let mut signed_in = None;
    for (who, path) in class.pages() {
        if signed_in != Some(who) {
            browser.goto(at("/sign-in")).await.unwrap();
            browser.delete_all_cookies().await.unwrap();
            if let Some(name) = who {
                browser.add_cookie(Cookie::new("session", &*class.sessions[name])).await.unwrap();
            }
            signed_in = Some(who);
        }
        scheme(&browser, "light").await;
        width(&browser, 1280).await;
        browser.goto(at(&path)).await.unwrap();
        browser.execute(&axe, Vec::new()).await.unwrap();
        let all = json!(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]);
        let mut found = violations(&browser, all).await;
        scheme(&browser, "dark").await;
        found.extend(
            violations(&browser, json!(["color-contrast"]))
                .await
                .into_iter()
                .map(|line| format!("dark, {line}")),
        );
        for (pixels, what) in WIDTHS {
            width(&browser, pixels).await;
            if browser.overflows().await {
                found.push(format!("wider than {what}"));
            }
            if pixels < 600 {
                // What is laid out anew may be too small to be touched.
                found.extend(
                    violations(
                        &browser,
                        json!(["target-size", "color-contrast", "scrollable-region-focusable"]),
                    )
                    .await
                    .into_iter()
                    .map(|line| format!("{what}, {line}")),
                );
            }
        }
        wrong.extend(found.into_iter().map(|line| format!("{} {path}: {line}", who.unwrap_or("nobody"))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.close().await;
}
