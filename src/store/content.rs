//! Archives and exercise folders, by the SHA-256 of their canonical tar.
//!
//! An object is written, and on the disk, before the row that names it: after a crash there may be an
//! object without a row, never a row without its object. An object is never changed.

use std::path::Path;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use super::database::Writing;
use super::{Error, Result, Store, columns};
use crate::submissions::Content;

pub(super) struct ContentStore {
    objects: Arc<dyn ObjectStore>,
}

impl ContentStore {
    pub(super) fn open(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|source| object_store::Error::Generic {
            store: "content",
            source: format!("cannot make the folder {}: {source}", root.display()).into(),
        })?;
        // With fsync, a write returns when file and folder entry are on the disk.
        let objects = LocalFileSystem::new_with_prefix(root)?.with_fsync(true);
        Ok(Self { objects: Arc::new(objects) })
    }

    /// Writes an object. One that is there already is replaced by the same bytes: whoever wrote it may
    /// not have got as far as the disk.
    async fn put(&self, content: &Content) -> Result<()> {
        let payload = PutPayload::from_bytes(content.tar());
        self.objects.put(&key(content.sha256()), payload).await?;
        Ok(())
    }

    async fn get(&self, sha256: &str) -> Result<Content> {
        let object = match self.objects.get(&key(sha256)).await {
            Err(object_store::Error::NotFound { .. }) => {
                return Err(Error::Corrupt(format!(
                    "the content {sha256} is named in the database but missing in the content store"
                )));
            }
            other => other?,
        };
        let tar = object.bytes().await?;
        Content::from_frozen(tar, sha256)
            .map_err(|refusal| Error::Corrupt(format!("the stored content {sha256} is damaged: {refusal}")))
    }
}

/// `content/<aa>/<sha256>.tar`.
fn key(sha256: &str) -> Key {
    let start = sha256.get(..2).unwrap_or("xx");
    Key::from_iter(["content", start, &format!("{sha256}.tar")])
}

impl Store {
    /// The content with this SHA-256.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is missing or its bytes have changed, [`Error::Content`] when the
    /// content store fails.
    pub async fn content(&self, sha256: &str) -> Result<Content> {
        self.inner.content.get(sha256).await
    }

    /// Puts the object where it belongs. Comes before the transaction that names it.
    pub(super) async fn keep(&self, content: &Content) -> Result<()> {
        self.inner.content.put(content).await
    }

    /// Names an object that was kept, in the transaction of whatever refers to it.
    pub(super) async fn name_content(&self, tx: &mut Writing, content: &Content) -> Result<()> {
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO contents (sha256, bytes, created_at) VALUES ($1, $2, $3) ON CONFLICT (sha256) DO NOTHING",
        )
        .bind(content.sha256())
        .bind(columns::count(content.tar().len()))
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        Ok(())
    }
}
