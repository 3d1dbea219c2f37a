//! From an address and a name to the files of a commit.

use chrono::DateTime;

use super::service::{Ref, Sent, Service};
use super::{Commit, Fetched, GitAddress, Origin, Revision};
use crate::submissions::ContentLimits;
use crate::submissions::refusal::{counted, shown};
use crate::submissions::remote::client::Client;
use crate::submissions::remote::{Credentials, FetchError};
use crate::submissions::repository::{Bounds, Id, Reception, Uncheckable};

/// How far back a commit is looked for that a server does not give out by its name.
const SEARCH_DEPTH: u32 = 200;
/// The most branches and tags that are fetched with their history.
const REFS: usize = 10_000;
/// The most characters of a commit's subject.
const SUBJECT_CHARS: usize = 200;
/// How many names a note tells.
const TOLD: usize = 5;

/// What is to be fetched.
struct Plan {
    /// The commit, or the tag that stands for it.
    tip: Id,
    origin: Option<Origin>,
    /// What `HEAD` says in the `.git` that is made.
    head: String,
    /// Branches and tags with their history, by whole name.
    refs: Vec<(String, Id)>,
}

pub(in crate::submissions::remote) async fn fetch(
    client: &Client,
    from: &GitAddress,
    at: &Revision,
    credentials: Option<&Credentials>,
    history: bool,
    limits: &ContentLimits,
) -> Result<Fetched, FetchError> {
    let service = Service::open(client, from, credentials).await?;
    let mut plan = plan(&service, at, history).await?;
    let mut wanted: Vec<Id> = plan.refs.iter().map(|(_, id)| *id).chain([plan.tip]).collect();
    wanted.sort();
    wanted.dedup();
    let depth = (!history).then_some(1);
    let (pack, shallow) = match service.pack(&wanted, depth, limits.archive_bytes).await? {
        Sent::Pack { data, shallow } => (data, shallow),
        Sent::Denied(why) if plan.origin.is_some() || history => return Err(service.denied(&why)),
        // Not all servers give out a commit by its name; it may be found near the end of a branch.
        Sent::Denied(_) => {
            let branches = service.refs(&["refs/heads/".to_owned()]).await?;
            let mut tips: Vec<Id> = branches.iter().take(REFS).map(|branch| branch.id).collect();
            tips.sort();
            tips.dedup();
            match service.pack(&tips, Some(SEARCH_DEPTH), limits.archive_bytes).await? {
                Sent::Pack { data, shallow } => (data, shallow),
                Sent::Denied(why) => return Err(service.denied(&why)),
            }
        }
    };
    let limits = limits.clone();
    let unpacking = tokio::task::spawn_blocking(move || {
        plan.refs.retain(|_| history);
        unpack(&plan, pack, history, &shallow, &limits)
    });
    match unpacking.await {
        Ok(fetched) => fetched,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Finds what a name stands for.
async fn plan(service: &Service<'_>, at: &Revision, history: bool) -> Result<Plan, FetchError> {
    let name = match at {
        Revision::Named(name) if name != "HEAD" => Some(name.as_str()),
        _ => None,
    };
    let mut prefixes = vec!["HEAD".to_owned()];
    if history {
        prefixes.extend(["refs/heads/".to_owned(), "refs/tags/".to_owned()]);
    } else if let Some(name) = name {
        prefixes.extend(spellings(name));
    }
    let refs = service.refs(&prefixes).await?;
    if history && refs.len() > REFS {
        return Err(FetchError::refused(format!(
            "The repository has more than {} branches and tags; remove those that are not needed.",
            counted(REFS)
        )));
    }
    let default = refs.iter().find(|one| one.name == "HEAD");
    let found = match name {
        None => default.cloned(),
        Some(name) => spellings(name)
            .into_iter()
            .find_map(|spelling| refs.iter().find(|one| one.name == spelling).cloned()),
    };
    let hash = name.and_then(|name| Id::from_hex(name.as_bytes()));
    let (tip, whole) = match (found, hash) {
        (Some(found), _) => {
            let whole = found.target.unwrap_or(found.name);
            (found.id, (whole != "HEAD").then_some(whole))
        }
        (None, Some(hash)) => (hash, None),
        (None, None) => return Err(nothing(name, default)),
    };
    let origin = whole.as_deref().and_then(|whole| {
        let branch = whole.strip_prefix("refs/heads/").map(|name| Origin::Branch(name.to_owned()));
        branch.or_else(|| whole.strip_prefix("refs/tags/").map(|name| Origin::Tag(name.to_owned())))
    });
    let head = match &origin {
        Some(Origin::Branch(name)) => format!("ref: refs/heads/{name}"),
        _ => tip.to_string(),
    };
    let kept = refs.into_iter().filter(|one| history && one.name.starts_with("refs/"));
    let refs = kept.map(|one| (one.name, one.id)).collect();
    Ok(Plan { tip, origin, head, refs })
}

/// The whole names that a short one may stand for, the likeliest first.
fn spellings(name: &str) -> Vec<String> {
    if name.starts_with("refs/heads/") || name.starts_with("refs/tags/") {
        return vec![name.to_owned()];
    }
    vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")]
}

/// Why there is nothing to fetch.
fn nothing(name: Option<&str>, default: Option<&Ref>) -> FetchError {
    let Some(name) = name else {
        return FetchError::refused(
            "The repository has no commit on its default branch; commit your work and push it, or name another \
             branch.",
        );
    };
    if name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return FetchError::refused(format!(
            "There is no branch or tag {} in the repository; if it is a commit, write all its 40 digits (`git \
             rev-parse {name}`).",
            shown(name.as_bytes())
        ));
    }
    let branch = default.and_then(|head| head.target.as_deref()?.strip_prefix("refs/heads/"));
    let known = branch.map(|branch| format!("; its default branch is {}", shown(branch.as_bytes())));
    FetchError::refused(format!(
        "There is no branch or tag {} in the repository{}; look for a mistake in the name, and at whether it \
         was pushed.",
        shown(name.as_bytes()),
        known.unwrap_or_default()
    ))
}

/// Unpacks what was sent, in memory.
fn unpack(
    plan: &Plan,
    pack: bytes::Bytes,
    history: bool,
    shallow: &[Id],
    limits: &ContentLimits,
) -> Result<Fetched, FetchError> {
    // Folders and commits come beside the files; an older history has every file several times.
    let times = if history { 4 } else { 1 };
    let bounds = Bounds {
        unpacked_bytes: limits.unpacked_bytes.saturating_mul(times).saturating_add(16 << 20),
        object_bytes: limits.unpacked_bytes,
        ..Bounds::default()
    };
    let damaged = |why: &dyn std::fmt::Display| {
        FetchError::refused(format!("What the server sends cannot be taken: {why}."))
    };
    let reception = Reception::open(pack, bounds).map_err(|why| damaged(&why))?;
    if !reception.has(plan.tip) {
        return Err(FetchError::refused(format!(
            "The repository has no commit {}, or the server does not give it out by its name; name the branch \
             or tag that it is on.",
            shown(plan.tip.to_string().as_bytes())
        )));
    }
    let Some(commit) = reception.commit(plan.tip).map_err(|why| damaged(&why))? else {
        return Err(FetchError::refused(
            "What is named is a tag of something that is no commit; name a branch, or a tag of a commit.",
        ));
    };
    let git = if history {
        let head = if plan.head.starts_with("ref: ") { plan.head.clone() } else { commit.id.to_string() };
        reception.folder(&head, &plan.refs, shallow)
    } else {
        Vec::new()
    };
    let out = reception.check_out(&commit, &git, limits).map_err(|why| match why {
        Uncheckable::Pack(why) => damaged(&why),
        Uncheckable::Tree(why) => {
            // The sentences are made for archives.
            let why = why.to_string().replace("pack it again", "push again");
            let why = why.replace("hand it in again", "push it").replace("pack again", "push again");
            FetchError::refused(format!("The repository cannot be taken: {why}"))
        }
    })?;
    let mut notes = Vec::new();
    if !out.submodules.is_empty() {
        notes.push(format!(
            "Submodules are not fetched; these folders are empty: {}. Commit their files themselves if they \
             are needed.",
            told(&out.submodules)
        ));
    }
    if !out.pointers.is_empty() {
        notes.push(format!(
            "Files of Git LFS are not fetched; these hold only their pointers: {}. Commit the files themselves \
             if they are needed.",
            told(&out.pointers)
        ));
    }
    Ok(Fetched {
        content: out.content,
        commit: Commit {
            hash: commit.id.to_string(),
            origin: plan.origin.clone(),
            authored: DateTime::from_timestamp(commit.authored, 0),
            subject: commit.subject().chars().take(SUBJECT_CHARS).collect(),
        },
        notes,
    })
}

fn told(paths: &[Vec<u8>]) -> String {
    let mut names: Vec<String> = paths.iter().take(TOLD).map(|path| shown(path)).collect();
    if paths.len() > TOLD {
        names.push(format!("and {} more", counted(paths.len() - TOLD)));
    }
    names.join(", ")
}
