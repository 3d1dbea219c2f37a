//! A repository of a registry (OCI distribution specification 1.1): manifests and blobs, with what it wants
//! to see first.

use std::path::Path;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use super::access::{self, answer, challenge};
use super::manifest::{self, Descriptor, MANIFEST_BYTES};
use crate::submissions::freeze::hex;
use crate::submissions::reference::Reference;
use crate::submissions::refusal::shown;
use crate::submissions::remote::client::{Answer, Ask, Client, named};
use crate::submissions::remote::{Credentials, FetchError};

/// Where the images are that Docker has when no registry is written.
const DOCKER_HUB: &str = "registry-1.docker.io";
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

pub(super) struct Session<'c> {
    client: &'c Client,
    base: Url,
    repository: String,
    written: String,
    credentials: Option<&'c Credentials>,
    secret: Option<HeaderValue>,
}

impl<'c> Session<'c> {
    pub(super) fn new(
        client: &'c Client,
        reference: &Reference,
        credentials: Option<&'c Credentials>,
    ) -> Result<Self, FetchError> {
        let host = if reference.registry == "docker.io" { DOCKER_HUB } else { &reference.registry };
        let wrong =
            || FetchError::refused(format!("{} cannot be a registry.", shown(reference.registry.as_bytes())));
        let mut base = Url::parse(&format!("https://{host}/v2/")).map_err(|_| wrong())?;
        let plain = Url::parse(&format!("http://{host}/v2/")).map_err(|_| wrong())?;
        let port = plain.port_or_known_default().unwrap_or(80);
        if client.reach().plain(plain.host_str().unwrap_or_default(), port) {
            base = plain;
        }
        let (repository, written) = (reference.repository.clone(), reference.to_string());
        Ok(Self { client, base, repository, written, credentials, secret: None })
    }

    /// A manifest, and its digest.
    pub(super) async fn manifest(&mut self, at: &str) -> Result<(Bytes, String), FetchError> {
        let answer = self.get(&format!("manifests/{at}"), Some(manifest::ACCEPT), MANIFEST_BYTES).await?;
        let told = answer.header(&CONTENT_DIGEST).map(str::to_owned);
        let bytes = answer.whole().await?;
        let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
        let wanted = at.contains(':').then_some(at);
        let lies = |other: &str| other.starts_with("sha256:") && other != digest;
        if wanted.is_some_and(|wanted| wanted != digest) || told.as_deref().is_some_and(lies) {
            return Err(self.damaged("its manifest"));
        }
        Ok((bytes, digest))
    }

    /// A small blob.
    pub(super) async fn document(&mut self, blob: &Descriptor) -> Result<Bytes, FetchError> {
        let wanted = manifest::sha256(&blob.digest)?.to_owned();
        let answer = self.get(&format!("blobs/{}", blob.digest), None, blob.size).await?;
        let bytes = answer.whole().await.map_err(|why| self.more(why, "its configuration"))?;
        if bytes.len() as u64 != blob.size || hex(&Sha256::digest(&bytes)) != wanted {
            return Err(self.damaged("its configuration"));
        }
        Ok(bytes)
    }

    /// Writes a blob to a new file.
    pub(super) async fn blob(&mut self, blob: &Descriptor, to: &Path) -> Result<(), FetchError> {
        let wanted = manifest::sha256(&blob.digest)?.to_owned();
        let mut answer = self.get(&format!("blobs/{}", blob.digest), None, blob.size).await?;
        let disk = |cause: std::io::Error| FetchError::disk(&cause);
        let mut file = tokio::fs::File::create_new(to).await.map_err(disk)?;
        let mut digest = Sha256::new();
        let mut bytes = 0;
        while let Some(data) = answer.chunk().await.map_err(|why| self.more(why, "a layer"))? {
            bytes += data.len() as u64;
            digest.update(&data);
            file.write_all(&data).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        if bytes != blob.size || hex(&digest.finalize()) != wanted {
            return Err(self.damaged("a layer"));
        }
        Ok(())
    }

    async fn get(
        &mut self,
        path: &str,
        accept: Option<&'static str>,
        most: u64,
    ) -> Result<Answer, FetchError> {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{path}", self.repository));
        // A token may be over while layers are fetched; then there is another.
        for last in [false, true] {
            let mut ask = Ask::get(url.clone()).with(self.secret.clone());
            if let Some(accept) = accept {
                ask = ask.header(ACCEPT, accept);
            }
            let got = self.client.send(ask, most).await?;
            match got.status {
                StatusCode::OK => return Ok(got),
                StatusCode::UNAUTHORIZED if !last && got.url.origin() == self.base.origin() => {
                    let Some(wish) = challenge(&got.headers) else { break };
                    let Self { client, base, repository, credentials, .. } = self;
                    self.secret = answer(client, &wish, base, repository, *credentials).await?;
                    if self.secret.is_none() {
                        break;
                    }
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => break,
                StatusCode::NOT_FOUND => {
                    return Err(FetchError::refused(format!(
                        "{} has no image {}; look for a mistake in the reference, and at whether it was pushed.",
                        named(&self.base),
                        shown(self.written.as_bytes())
                    )));
                }
                status => {
                    return Err(FetchError::refused(format!(
                        "{} does not answer as a registry does (status {}); look at the reference.",
                        named(&self.base),
                        status.as_u16()
                    )));
                }
            }
        }
        Err(access::refused(&self.base, self.credentials.is_some()))
    }

    /// More than the size that was said, for which nobody can leave something out.
    fn more(&self, why: FetchError, what: &str) -> FetchError {
        match why {
            FetchError::Refused(_) => self.damaged(what),
            lost @ FetchError::Unreachable(..) => lost,
        }
    }

    fn damaged(&self, what: &str) -> FetchError {
        FetchError::refused(format!(
            "{} is damaged at its registry: {what} has another size or digest than is said; push it again.",
            shown(self.written.as_bytes())
        ))
    }
}
