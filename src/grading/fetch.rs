//! The phase `fetch`: what was handed in is brought here, once.
//!
//! An upload lies in the content store already. A repository or an image is fetched by the first grading
//! and written down as what it was: its commit with the files, its digest. Every later grading looks at the
//! same, whatever became of the branch or tag.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::course::{Cause, Observer, Step};
use super::grade::{Halt, Handed};
use crate::config::Settings;
use crate::exercises::{Exercise, FOLDER_LIMITS};
use crate::sandbox::LogLine;
use crate::store::{Claim, Store};
use crate::submissions::reference::Reference;
use crate::submissions::remote::{
    Credentials, FetchError, Fetched, GitAddress, ImageBounds, Origin, Platform, PulledImage, Reach, Remote,
    Revision,
};
use crate::submissions::{Answers, Content, ContentLimits, Source};

/// Brings what was handed in. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    remote: Remote,
    limits: ContentLimits,
    packed_image_bytes: u64,
    max_disk_bytes: u64,
    within: Duration,
    /// Where images lie until the engine has them.
    folder: PathBuf,
}

/// As many layers as Docker takes.
const LAYERS: usize = 127;

impl Fetcher {
    /// By the settings.
    ///
    /// # Errors
    /// A sentence for the admin: `fetch.allowed_hosts` has a mistake, or there is no TLS.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let reach = Reach::new(&settings.fetch.allowed_hosts)
            .map_err(|sentence| format!("fetch.allowed_hosts: {sentence}"))?;
        Ok(Self {
            remote: Remote::new(reach)?,
            limits: ContentLimits::from(&settings.uploads),
            packed_image_bytes: settings.uploads.saved_image_bytes,
            max_disk_bytes: settings.sandbox.max_disk_bytes,
            within: settings.fetch.timeout,
            folder: settings.data_dir.join("fetched"),
        })
    }

    /// What a claimed grading is about.
    ///
    /// # Errors
    /// [`Halt::Student`] where it is not there or not to be had, [`Halt::Fault`] where it may be later.
    pub(super) async fn handed(
        &self,
        store: &Store,
        claim: &Claim,
        exercise: &Exercise,
        observer: &Observer,
    ) -> Result<Handed, Halt> {
        let submission = &claim.submission;
        let answers = submission.answers.clone();
        match (&submission.source, &submission.content_sha256) {
            (Source::Repository { url, revision, .. }, None) => {
                let address = address_of(url)?;
                let login = store.login_of(submission.id).await.map_err(|error| stored(&error))?;
                let credentials = login.as_ref();
                let revision = revision.as_deref();
                let found = self.repository(&address, revision, credentials, exercise, observer).await?;
                let source = Source::Repository {
                    url: url.clone(),
                    revision: revision.map(str::to_owned),
                    commit: Some(found.commit.hash),
                };
                store
                    .fetched(&claim.lease, submission.id, &source, Some(&found.content))
                    .await
                    .map_err(|error| stored(&error))?;
                Ok(Handed::new(found.content, answers))
            }
            (Source::Image { reference, digest }, _) => {
                let named: Reference = reference.parse().map_err(|why: String| not_there(reference, &why))?;
                let login = store
                    .registry_login(submission.cohort, &named.registry)
                    .await
                    .map_err(|error| stored(&error))?;
                let pulled = Reference { digest: digest.clone().or(named.digest.clone()), ..named };
                let image = self.image(&pulled, login.as_ref(), exercise, observer).await?;
                if digest.is_none() {
                    let source =
                        Source::Image { reference: reference.clone(), digest: Some(image.digest.clone()) };
                    store
                        .fetched(&claim.lease, submission.id, &source, None)
                        .await
                        .map_err(|error| stored(&error))?;
                }
                Ok(Handed::pulled(reference.clone(), image, answers))
            }
            (source, Some(sha256)) => {
                let content = store.content(sha256).await.map_err(|error| stored(&error))?;
                if matches!(source, Source::SavedImage { .. }) {
                    return self.saved(content, answers, exercise).await;
                }
                Ok(Handed::new(content, answers))
            }
            (_, None) => Ok(Handed::new(Content::empty(), answers)),
        }
    }

    /// A commit of a repository, told to whoever watches.
    ///
    /// # Errors
    /// [`Halt::Student`] where it is not there or not to be had, [`Halt::Fault`] where it may be later.
    pub async fn repository(
        &self,
        address: &GitAddress,
        revision: Option<&str>,
        credentials: Option<&Credentials>,
        exercise: &Exercise,
        observer: &Observer,
    ) -> Result<Fetched, Halt> {
        let history = exercise.needs_history();
        let fetched = self.commit(address, revision, credentials, history, &self.limits).await?;
        let commit = &fetched.commit;
        let origin = match &commit.origin {
            Some(Origin::Branch(name)) => format!(" (branch {name})"),
            Some(Origin::Tag(name)) => format!(" (tag {name})"),
            None => String::new(),
        };
        let short = commit.hash.get(..12).unwrap_or(&commit.hash);
        tell(observer, format!("Fetched commit {short}{origin}: {}", commit.subject));
        for note in &fetched.notes {
            tell(observer, note.clone());
        }
        Ok(fetched)
    }

    /// The files of a repository that holds exercises, without its history.
    ///
    /// # Errors
    /// [`Halt::Student`] where it is not there or not to be had, [`Halt::Fault`] where it may be later.
    pub async fn folder(
        &self,
        address: &GitAddress,
        revision: Option<&str>,
        credentials: Option<&Credentials>,
    ) -> Result<Fetched, Halt> {
        self.commit(address, revision, credentials, false, &FOLDER_LIMITS).await
    }

    async fn commit(
        &self,
        address: &GitAddress,
        revision: Option<&str>,
        credentials: Option<&Credentials>,
        history: bool,
        limits: &ContentLimits,
    ) -> Result<Fetched, Halt> {
        let revision = match revision {
            Some(name) => Revision::read(name).map_err(|sentence| Halt::Student(sentence, None))?,
            None => Revision::Default,
        };
        self.remote
            .repository(address, &revision, credentials, history, limits, self.within)
            .await
            .map_err(|error| failed(error, &format!("the repository {}", address.as_str())))
    }

    /// An image out of its registry, told to whoever watches.
    ///
    /// # Errors
    /// [`Halt::Student`] where it is not there or not to be had, [`Halt::Fault`] where it may be later.
    pub async fn image(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
        exercise: &Exercise,
        observer: &Observer,
    ) -> Result<PulledImage, Halt> {
        let image = self
            .remote
            .image(
                reference,
                &platform(),
                credentials,
                &self.image_folder()?,
                &self.bounds(exercise),
                self.within,
            )
            .await
            .map_err(|error| failed(error, &format!("the image {reference}")))?;
        let layers = image.layers.len();
        tell(
            observer,
            format!("Pulled {reference} for {}: {layers} layers, {}", image.platform, image.digest),
        );
        Ok(image)
    }

    /// The image in an archive of `docker save`.
    ///
    /// # Errors
    /// [`Halt::Student`] where it is not there or not to be had, [`Halt::Fault`] where it may be later.
    pub async fn saved(
        &self,
        content: Content,
        answers: Answers,
        exercise: &Exercise,
    ) -> Result<Handed, Halt> {
        let (folder, bounds, archive) = (self.image_folder()?, self.bounds(exercise), content.clone());
        let reading =
            tokio::task::spawn_blocking(move || PulledImage::from_saved(&archive, None, &folder, &bounds));
        let image = reading
            .await
            .map_err(|error| platform_fault(format!("a saved image could not be read: {error}")))?
            .map_err(|error| failed(error, "the saved image"))?;
        Ok(Handed { image: Some(Arc::new(image)), ..Handed::new(content, answers) })
    }

    fn bounds(&self, exercise: &Exercise) -> ImageBounds {
        ImageBounds {
            packed_bytes: self.packed_image_bytes,
            disk_bytes: exercise.limits.disk_bytes.min(self.max_disk_bytes),
            layers: LAYERS,
        }
    }

    fn image_folder(&self) -> Result<PathBuf, Halt> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| platform_fault(format!("{} cannot be made: {error}", self.folder.display())))?;
        Ok(self.folder.clone())
    }
}

/// The platform of the engine, taken to be that of this program.
fn platform() -> Platform {
    Platform::new("linux", std::env::consts::ARCH, None)
}

/// An address that was read when it was handed in.
fn address_of(url: &str) -> Result<GitAddress, Halt> {
    GitAddress::read(url).map(|(address, _)| address).map_err(|sentence| Halt::Student(sentence, None))
}

fn not_there(reference: &str, why: &str) -> Halt {
    Halt::Student(format!("`{reference}` is no image reference: {why}."), None)
}

fn tell(observer: &Observer, text: String) {
    observer(Step::Log(LogLine { source: "fetch".into(), stderr: false, text }));
}

fn failed(error: FetchError, what: &str) -> Halt {
    match error {
        FetchError::Refused(sentence) => Halt::Student(sentence, None),
        FetchError::Unreachable(sentence, cause) => {
            platform_fault(format!("{what} could not be fetched: {sentence} ({cause})"))
        }
    }
}

fn stored(error: &crate::store::Error) -> Halt {
    platform_fault(format!("what was handed in cannot be read from the store: {error}"))
}

fn platform_fault(internal: String) -> Halt {
    Halt::Fault(Cause { verdict: crate::report::Verdict::PlatformFault, internal, engine_away: false })
}
