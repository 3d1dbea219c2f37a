//! `drydock user …` and `drydock cohort …`: accounts and cohorts from the shell.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use anyhow::Context as _;
use drydock::accounts::{
    Passwords, Role, check_password, clean_name, hash_token, new_api_token, new_join_code,
};
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::store::{Cohort, Error as StoreError, Person, Store};

use super::Usage;

#[derive(clap::Subcommand)]
pub enum UserCommand {
    /// Make an account; the password is read from stdin, or made up and printed
    Add {
        /// Name to sign in with
        name: String,
        /// Admins may do everything
        #[arg(long)]
        admin: bool,
        /// Read the password from the first line of stdin
        #[arg(long)]
        password_stdin: bool,
    },
    /// List accounts
    List,
    /// Set a new password; read from stdin, or made up and printed
    Password {
        name: String,
        /// Read the password from the first line of stdin
        #[arg(long)]
        password_stdin: bool,
    },
    /// Make a token for the API and print it, once
    Token {
        name: String,
        /// What the token is for
        #[arg(long, default_value = "command line")]
        label: String,
    },
}

#[derive(clap::Subcommand)]
pub enum CohortCommand {
    /// Make a cohort and print its join code
    Add {
        /// Name of the cohort
        name: String,
        /// Slug of the workshop it goes through
        #[arg(long)]
        workshop: String,
        /// Names of its trainers
        #[arg(long)]
        trainer: Vec<String>,
    },
    /// List cohorts with their join codes
    List,
    /// Make somebody a member
    Member {
        /// Name or join code of the cohort
        cohort: String,
        /// Name of the person
        name: String,
        /// student or trainer
        #[arg(long, default_value = "student", value_parser = role)]
        role: Role,
    },
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "student" => Ok(Role::Student),
        "trainer" => Ok(Role::Trainer),
        _ => Err("the role is `student` or `trainer`".into()),
    }
}

pub async fn user(settings: Settings, command: UserCommand) -> anyhow::Result<ExitCode> {
    super::log("warn");
    let store = super::store(&settings, &Clock::system()).await?;
    match command {
        UserCommand::Add { name, admin, password_stdin } => {
            let name = clean_name(&name).map_err(|error| Usage(error.to_string()))?;
            let (chosen, made_up) = choose_password(password_stdin, &name)?;
            let hash = Passwords::new(1).hash(&chosen).await?;
            match store.create_person(&name, &hash, admin).await {
                Ok(_) => (),
                Err(StoreError::Taken { .. }) => {
                    return Err(Usage(format!("there already is somebody called {name}")).into());
                }
                Err(error) => return Err(error).context("the account could not be made"),
            }
            println!("{name} can sign in{}.", if admin { " and is an admin" } else { "" });
            tell_password(&chosen, made_up);
        }
        UserCommand::List => {
            for person in store.people().await? {
                let role = if person.admin { "admin" } else { "" };
                let state = if person.deactivated_at.is_some() { "deactivated" } else { "" };
                println!("{}\t{role}\t{state}", drydock::text::for_terminal(&person.name));
            }
        }
        UserCommand::Password { name, password_stdin } => {
            let person = find_person(&store, &name).await?;
            let (chosen, made_up) = choose_password(password_stdin, &person.name)?;
            let hash = Passwords::new(1).hash(&chosen).await?;
            store.set_password(person.id, &hash).await?;
            println!("{} has a new password.", person.name);
            tell_password(&chosen, made_up);
        }
        UserCommand::Token { name, label } => {
            let person = find_person(&store, &name).await?;
            let token = new_api_token();
            store.create_api_token(person.id, &label, &hash_token(&token)).await?;
            println!("{token}");
            eprintln!("Use it as `Authorization: Bearer …`; it is not shown again.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn cohort(settings: Settings, command: CohortCommand) -> anyhow::Result<ExitCode> {
    super::log("warn");
    let store = super::store(&settings, &Clock::system()).await?;
    match command {
        CohortCommand::Add { name, workshop, trainer } => {
            super::serve::publish(&settings, &store).await?;
            if store.workshop(&workshop).await?.is_none() {
                let known = store.workshops().await?.into_iter().map(|workshop| workshop.slug);
                return Err(Usage(format!(
                    "there is no workshop `{workshop}`; there is: {}",
                    known.collect::<Vec<_>>().join(", ")
                ))
                .into());
            }
            let mut trainers = Vec::new();
            for trainer in &trainer {
                trainers.push(find_person(&store, trainer).await?);
            }
            let cohort = store.create_cohort(&name, &workshop, &new_join_code()).await?;
            for trainer in trainers {
                store.add_member(cohort.id, trainer.id, Role::Trainer).await?;
            }
            println!("{}\t{}\t{}", cohort.name, cohort.workshop, cohort.join_code);
        }
        CohortCommand::List => {
            for cohort in store.cohorts().await? {
                println!("{}\t{}\t{}", cohort.name, cohort.workshop, cohort.join_code);
            }
        }
        CohortCommand::Member { cohort, name, role } => {
            let cohort = find_cohort(&store, &cohort).await?;
            let person = find_person(&store, &name).await?;
            store.add_member(cohort.id, person.id, role).await?;
            println!("{} is now in {}", person.name, cohort.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn find_person(store: &Store, name: &str) -> anyhow::Result<Person> {
    let found = store.person_by_name(name).await?;
    found.ok_or_else(|| {
        Usage(format!("there is nobody called {name}; `drydock user list` shows who is")).into()
    })
}

async fn find_cohort(store: &Store, name: &str) -> anyhow::Result<Cohort> {
    if let Some(cohort) = store.cohort_by_join_code(name).await? {
        return Ok(cohort);
    }
    let mut named: Vec<Cohort> =
        store.cohorts().await?.into_iter().filter(|cohort| cohort.name == name).collect();
    match named.len() {
        1 => Ok(named.remove(0)),
        0 => Err(Usage(format!("there is no cohort `{name}`; `drydock cohort list` shows them")).into()),
        _ => Err(Usage(format!("several cohorts are called `{name}`; name one by its join code")).into()),
    }
}

/// The password, and whether we made it up.
fn choose_password(from_stdin: bool, name: &str) -> anyhow::Result<(String, bool)> {
    if !from_stdin {
        return Ok((super::readable_password(), true));
    }
    if std::io::stdin().is_terminal() {
        eprint!("Password (it is shown while you type): ");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("stdin cannot be read")?;
    let chosen = line.trim_end_matches(['\r', '\n']).to_owned();
    check_password(&chosen, name).map_err(|error| Usage(error.to_string()))?;
    Ok((chosen, false))
}

fn tell_password(password: &str, made_up: bool) {
    if made_up {
        println!("Password: {password}");
    }
}
