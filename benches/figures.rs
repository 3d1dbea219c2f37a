//! The figures of the README, measured anew: `cargo bench`.
//!
//! A machine's speed says little by itself and this one may be noisy, so a grading is compared, in
//! one run and in turns, with a shell script that does the same with plain docker commands
//! (`benches/plain.sh`), and a stack with docker compose (`benches/composed.sh`). The rest are plain measurements of the release binary under a load of its
//! own making on the loopback address.
//!
//! `cargo bench -- grading`, `-- checks`, `-- compose`, `-- server`, `-- load` (a part of `server`) and `-- lint` measure one part each.

mod figures {
    pub mod grading;
    pub mod lint;
    pub mod load;
    pub mod server;
    pub mod stack;
}

use std::time::Duration;

fn main() -> anyhow::Result<()> {
    // `RUST_LOG=drydock=debug` shows what a grading spends its time on.
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if wants("grading") {
        runtime.block_on(figures::grading::measure())?;
    }
    if wants("checks") {
        runtime.block_on(figures::grading::measure_checks())?;
    }
    if wants("compose") {
        runtime.block_on(figures::stack::measure())?;
    }
    if wants("server") {
        runtime.block_on(figures::server::measure())?;
    }
    if wants("server") || wants("load") {
        runtime.block_on(figures::load::measure())?;
    }
    if wants("lint") {
        figures::lint::measure()?;
    }
    Ok(())
}

/// The value below which a share of the samples lies (nearest rank).
fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank"
    )]
    let rank = ((samples.len() as f64 * share).ceil() as usize).clamp(1, samples.len());
    samples[rank - 1]
}

/// Milliseconds for people.
fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
