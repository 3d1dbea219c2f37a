//! The command line: one subcommand, one function.
//!
//! Exit codes are a contract with scripts: 0 all well, 1 not (a submission that does not pass, a
//! rule that a doctor finds not kept, a server that cannot start), 2 usage or a wrong exercise, 3 a fault of the platform.

#![forbid(unsafe_code)]

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A grading server for container workshops: builds and runs what students hand in, in sandboxed
/// containers, and shows which checks hold and why.
#[derive(Parser)]
#[command(name = "drydock", version, max_term_width = 100)]
struct Arguments {
    /// Settings file; ./drydock.toml if it exists. Every setting can also be given as a DRYDOCK_… variable.
    #[arg(long, global = true, value_name = "FILE", env = "DRYDOCK_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try it out: a server with a cohort, one account of each role and two graded submissions
    Demo(cli::demo::Arguments),
    /// Run the server, with a worker inside
    Serve(cli::serve::Arguments),
    /// Run a worker alone, beside a server that shares its database and contents
    Worker,
    /// Grade a submission here and now, without a server
    Grade(cli::grade::Arguments),
    /// Check, prove and create exercises
    #[command(subcommand)]
    Exercise(cli::exercise::Command),
    /// Tell what is wrong with Dockerfiles, by the rules of hadolint and of docker's build checks
    Lint(cli::lint::Arguments),
    /// Tell what is made of a compose file: the resolved project, and what is refused, rewritten or ignored
    Compose(cli::compose::Arguments),
    /// List the images that the exercises stand on, pull them, or carry them in a file
    Images(cli::images::Arguments),
    /// Tell whether this machine and its engine are fit to run strangers' code
    Doctor(cli::doctor::Arguments),
    /// Manage accounts
    #[command(subcommand)]
    User(cli::people::UserCommand),
    /// Manage cohorts
    #[command(subcommand)]
    Cohort(cli::people::CohortCommand),
    /// The helper inside a stack's network; started by drydock itself
    #[command(hide = true, disable_help_flag = true)]
    Probe {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The probe runs in a container of a few megabytes: no runtime with threads, no settings.
    if let Command::Probe { arguments } = &arguments.command {
        return drydock::sandbox::probe::main(arguments);
    }
    // Reads files and nothing else: no settings, no runtime.
    if let Command::Lint(arguments) = &arguments.command {
        return cli::lint::run(arguments).unwrap_or_else(|error| cli::fail(&error));
    }
    if let Command::Compose(arguments) = &arguments.command {
        return cli::compose::run(arguments).unwrap_or_else(|error| cli::fail(&error));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&anyhow::anyhow!("the runtime cannot start: {error}")),
    };
    let ended = runtime.block_on(run(arguments));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended.unwrap_or_else(|error| cli::fail(&error))
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = cli::settings(arguments.config.as_deref())?;
    match arguments.command {
        Command::Demo(arguments) => cli::demo::run(settings, arguments).await,
        Command::Serve(arguments) => cli::serve::run(settings, arguments).await,
        Command::Worker => cli::serve::worker(settings).await,
        Command::Grade(arguments) => cli::grade::run(settings, arguments).await,
        Command::Exercise(command) => cli::exercise::run(settings, command).await,
        Command::Images(arguments) => cli::images::run(settings, arguments).await,
        Command::Doctor(arguments) => cli::doctor::run(settings, arguments).await,
        Command::User(command) => cli::people::user(settings, command).await,
        Command::Cohort(command) => cli::people::cohort(settings, command).await,
        Command::Probe { .. } | Command::Lint(_) | Command::Compose(_) => {
            unreachable!("handled before the runtime starts")
        }
    }
}
