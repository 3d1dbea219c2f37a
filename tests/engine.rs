//! The sandbox against a real engine: what holds for a student's container, whatever it does.

#[path = "engine/belongings.rs"]
mod belongings;
#[path = "engine/bounds.rs"]
mod bounds;
#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "engine/images.rs"]
mod images;
#[path = "engine/lives.rs"]
mod lives;
#[path = "engine/networks.rs"]
mod networks;

use drydock::config::SandboxSettings;
use drydock::sandbox::{Engine, Error};

#[tokio::test]
async fn what_the_settings_ask_is_refused_not_replaced() {
    let state = tempfile::tempdir().unwrap();
    let settings = SandboxSettings { runtime: "no-such-runtime".into(), ..SandboxSettings::default() };
    match Engine::connect(&settings, common::context(state.path())).await {
        Err(Error::Unfit(sentence)) => assert!(sentence.contains("no-such-runtime"), "{sentence}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("connected without the runtime"),
    }
}
