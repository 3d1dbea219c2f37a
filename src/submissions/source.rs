//! How something was handed in.

use serde::{Deserialize, Serialize};

/// How a submission was handed in, as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// An archive file; its name as the browser gave it.
    Upload {
        /// Name without a folder, for people only.
        file_name: String,
    },
    /// Files of a folder, dropped or chosen in the browser, or a path on the command line.
    Folder {
        /// Name of the folder, for people only.
        name: String,
    },
    /// A Git repository, by its address.
    Repository {
        /// Without user name and password.
        url: String,
        /// The branch, tag or commit that was asked for; the repository's default branch if none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<String>,
        /// The commit that was fetched, in hex; not known before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
    },
    /// An image in a registry.
    Image {
        /// As it was handed in.
        reference: String,
        /// What it stood for when it was pulled first, `sha256:…`; later gradings pull this. Not known before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// An image that `docker save` wrote.
    SavedImage {
        /// Name without a folder, for people only.
        file_name: String,
    },
    /// Only answers to questions.
    Answers,
}
