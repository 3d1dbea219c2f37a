//! `drydock doctor`: is this engine and host fit to run strangers' code? Exit code 1 where something required is not
//! kept.

use std::process::ExitCode;

use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::sandbox::{Grade, examine, render};

#[derive(clap::Args)]
pub struct Arguments {
    /// Print the findings as JSON, each with its rule, grade, what was seen and what to do
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::log("error");
    let clock = Clock::system();
    let settings = super::without_server(settings);
    let context = super::engine_context(&settings, &clock)?;
    let points = examine(&settings.sandbox, context).await;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&points)?);
    } else {
        print!("{}", render(&points));
    }
    let fit = points.iter().all(|point| point.grade != Grade::Fail);
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
