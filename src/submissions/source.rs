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
    /// Only answers to questions.
    Answers,
}
