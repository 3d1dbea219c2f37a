//! The side of a client in git's protocol, version 2, over HTTP (git's manual, gitprotocol-v2 and
//! gitprotocol-http).

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use url::Url;

use super::GitAddress;
use super::packets::{DELIMITER, FLUSH, Packet, Packets, line};
use crate::submissions::refusal::shown;
use crate::submissions::remote::client::{Answer, Ask, Client, basic, named};
use crate::submissions::remote::{Credentials, FetchError};
use crate::submissions::repository::Id;
use crate::units::ByteSize;

const PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");
/// The most of a list of capabilities or of branches and tags.
const LIST_BYTES: u64 = 4 << 20;
/// From here on a request is packed, as git does.
const PLAIN_BYTES: usize = 1024;

/// A server that offers a repository.
pub(super) struct Service<'c> {
    client: &'c Client,
    /// Where it is, after redirects.
    base: Url,
    secret: Option<HeaderValue>,
    shallow: bool,
    names_format: bool,
}

/// A branch, a tag or `HEAD`.
#[derive(Clone, Debug)]
pub(super) struct Ref {
    pub(super) name: String,
    pub(super) id: Id,
    /// What `HEAD` stands for.
    pub(super) target: Option<String>,
}

/// What came of the wish for a pack.
pub(super) enum Sent {
    Pack {
        data: Bytes,
        /// Commits whose parents were left out.
        shallow: Vec<Id>,
    },
    /// The server's own words, where it does not give what was wanted.
    Denied(String),
}

impl<'c> Service<'c> {
    pub(super) async fn open(
        client: &'c Client,
        from: &GitAddress,
        credentials: Option<&Credentials>,
    ) -> Result<Self, FetchError> {
        let mut url = from.url().clone();
        url.set_path(&format!("{}/info/refs", url.path().trim_end_matches('/')));
        url.set_query(Some("service=git-upload-pack"));
        let secret = basic(credentials);
        let origin = url.origin();
        let ask = Ask::get(url)
            .header(PROTOCOL, "version=2")
            .header(ACCEPT, "application/x-git-upload-pack-advertisement")
            .with(secret.clone());
        let answer = client.send(ask, LIST_BYTES).await?;
        judge(&answer, credentials.is_some())?;
        let host = named(&answer.url);
        let mut base = answer.url.clone();
        let path = base.path().strip_suffix("/info/refs").map(str::to_owned);
        let kind = answer.header(&CONTENT_TYPE).unwrap_or_default();
        let (Some(path), true) = (path, kind == "application/x-git-upload-pack-advertisement") else {
            return Err(FetchError::refused(format!(
                "There is no git repository at this address: {host} answers with something else; write the \
                 address that `git clone` takes."
            )));
        };
        base.set_path(&path);
        base.set_query(None);
        let secret = secret.filter(|_| base.origin() == origin);
        let mut packets = Packets::new(answer);
        let mut first = packets.line().await?;
        if first.as_deref() == Some("# service=git-upload-pack") {
            // A flush, which many servers write before the list.
            packets.next().await?;
            first = packets.line().await?;
        }
        if first.as_deref() != Some("version 2") {
            return Err(FetchError::refused(format!(
                "{host} does not speak version 2 of git's protocol, which servers have had since 2018; put the \
                 repository on another server, or hand it in as an archive."
            )));
        }
        let (mut fetches, mut shallow, mut names_format) = (false, false, false);
        while let Some(capability) = packets.line().await? {
            let (name, value) = capability.split_once('=').unwrap_or((&capability, ""));
            match name {
                "fetch" => (fetches, shallow) = (true, value.split(' ').any(|word| word == "shallow")),
                "object-format" if value != "sha1" => {
                    return Err(FetchError::refused(
                        "The repository names its objects by SHA-256, which is not read here; hand it in as an \
                         archive.",
                    ));
                }
                "object-format" => names_format = true,
                _ => {}
            }
        }
        if !fetches {
            return Err(packets.garbled());
        }
        Ok(Self { client, base, secret, shallow, names_format })
    }

    /// The branches and tags whose names begin as one of `prefixes`.
    pub(super) async fn refs(&self, prefixes: &[String]) -> Result<Vec<Ref>, FetchError> {
        let mut wishes = vec!["symrefs".to_owned()];
        wishes.extend(prefixes.iter().map(|prefix| format!("ref-prefix {prefix}")));
        let mut packets = self.command("ls-refs", &wishes, LIST_BYTES).await?;
        let mut refs = Vec::new();
        while let Some(text) = packets.line().await? {
            if let Some(why) = text.strip_prefix("ERR ") {
                return Err(self.denied(why));
            }
            let mut words = text.split(' ');
            let id = words.next().unwrap_or_default();
            let name = words.next().ok_or_else(|| packets.garbled())?;
            // A branch without a commit, in an empty repository.
            if id == "unborn" {
                continue;
            }
            let id = Id::from_hex(id.as_bytes()).ok_or_else(|| packets.garbled())?;
            let target = words.find_map(|word| word.strip_prefix("symref-target:")).map(str::to_owned);
            refs.push(Ref { name: name.to_owned(), id, target });
        }
        Ok(refs)
    }

    /// What leads to the wanted objects, at most `depth` commits deep, as one pack of at most `most` bytes.
    pub(super) async fn pack(
        &self,
        wanted: &[Id],
        depth: Option<u32>,
        most: u64,
    ) -> Result<Sent, FetchError> {
        let mut wishes = vec!["no-progress".to_owned(), "ofs-delta".to_owned()];
        if let Some(depth) = depth.filter(|_| self.shallow) {
            wishes.push(format!("deepen {depth}"));
        }
        wishes.extend(wanted.iter().map(|id| format!("want {id}")));
        wishes.push("done".to_owned());
        // Packets have heads, and servers tell how far they are.
        let mut packets = self.command("fetch", &wishes, most.saturating_add(most / 64 + (1 << 20))).await?;
        let mut shallow = Vec::new();
        loop {
            let Some(packet) = packets.next().await? else { return Err(packets.garbled()) };
            let Packet::Data(data) = packet else { continue };
            let text = String::from_utf8_lossy(data.trim_ascii_end());
            if let Some(why) = text.strip_prefix("ERR ") {
                return Ok(Sent::Denied(why.to_owned()));
            }
            if let Some(id) = text.strip_prefix("shallow ") {
                shallow.extend(Id::from_hex(id.as_bytes()));
            }
            if text == "packfile" {
                break;
            }
        }
        let mut pack = Vec::new();
        while let Some(Packet::Data(data)) = packets.next().await? {
            match data.split_first() {
                Some((1, data)) if (pack.len() + data.len()) as u64 > most => {
                    return Err(FetchError::refused(format!(
                        "The repository is larger than {} as it is sent, which is the limit; leave out what \
                         does not belong into it, such as packages, builds and data.",
                        ByteSize(most)
                    )));
                }
                Some((1, data)) => pack.extend_from_slice(data),
                Some((2, _)) => {}
                Some((3, why)) => return Err(self.denied(&String::from_utf8_lossy(why))),
                _ => return Err(packets.garbled()),
            }
        }
        Ok(Sent::Pack { data: pack.into(), shallow })
    }

    /// What a server says when it does not go on.
    pub(super) fn denied(&self, why: &str) -> FetchError {
        FetchError::refused(format!(
            "{} does not give the repository out; it says: {}.",
            named(&self.base),
            shown(why.trim().as_bytes())
        ))
    }

    async fn command(&self, name: &str, wishes: &[String], most: u64) -> Result<Packets, FetchError> {
        let mut body = Vec::new();
        line(&mut body, &format!("command={name}"));
        if self.names_format {
            line(&mut body, "object-format=sha1");
        }
        body.extend_from_slice(DELIMITER);
        for wish in wishes {
            line(&mut body, wish);
        }
        body.extend_from_slice(FLUSH);
        let mut url = self.base.clone();
        url.set_path(&format!("{}/git-upload-pack", url.path()));
        let mut ask = Ask::get(url)
            .header(PROTOCOL, "version=2")
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result")
            .with(self.secret.clone());
        if body.len() > PLAIN_BYTES {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            // Writing to memory cannot fail.
            if packed.write_all(&body).is_ok()
                && let Ok(packed) = packed.finish()
            {
                ask = ask.header(CONTENT_ENCODING, "gzip");
                body = packed;
            }
        }
        (ask.method, ask.body) = (Method::POST, body.into());
        let answer = self.client.send(ask, most).await?;
        judge(&answer, self.secret.is_some())?;
        if answer.header(&CONTENT_TYPE) != Some("application/x-git-upload-pack-result") {
            return Err(Packets::new(answer).garbled());
        }
        Ok(Packets::new(answer))
    }
}

/// What is wrong where an answer is none.
fn judge(answer: &Answer, with_credentials: bool) -> Result<(), FetchError> {
    let host = named(&answer.url);
    let sentence = match (answer.status, with_credentials) {
        (StatusCode::OK, _) => return Ok(()),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, true) => format!(
            "{host} does not open this repository to the user name and token that were given; look at the \
             address, and at whether the token may read the repository and is still valid."
        ),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, false) => format!(
            "{host} wants a user name and token for this address: the repository is private, or does not \
             exist; look at the address, make the repository public, or give a token that may read it."
        ),
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => format!(
            "{host} has no repository at this address; look at the address, and at whether the repository is \
             public."
        ),
        (status, _) => format!(
            "{host} does not answer as a git server does (status {}); look at the address, which is the one \
             that `git clone` takes.",
            status.as_u16()
        ),
    };
    Err(FetchError::refused(sentence))
}
