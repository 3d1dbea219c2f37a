//! Names of images as a pipeline writes them.

use super::Action;

/// An image as it is named, variables put in as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Registry and repository.
    pub repository: String,
    /// `latest` where none is written; `None` where it is any of the repository.
    pub tag: Option<String>,
}

impl Image {
    /// A reference such as `ghcr.io/a/b:1`; `None` for what is none.
    pub(super) fn read(reference: &str) -> Option<Self> {
        let reference = reference.trim().trim_start_matches("docker://");
        if reference.is_empty() || reference.starts_with('-') {
            return None;
        }
        // A digest that the build told stands for what it built; one that is written down does not.
        if let Some((name, digest)) = reference.split_once('@') {
            let name =
                name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
            let tag = digest.starts_with("sha256:").then(|| format!("@{digest}"));
            return Some(Self { repository: familiar(name), tag });
        }
        let (name, tag) = match reference.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (reference, "latest"),
        };
        Some(Self { repository: familiar(name), tag: Some(tag.to_owned()) })
    }

    /// Any tag of a repository.
    pub(super) fn any(repository: &str) -> Self {
        Self { repository: familiar(repository.trim()), tag: None }
    }

    /// Whether both names can stand for the same.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        let same_tag = match (&self.tag, &other.tag) {
            (Some(own), Some(other)) => own == other,
            // A digest is no tag.
            (Some(tag), None) | (None, Some(tag)) => !tag.starts_with('@'),
            (None, None) => true,
        };
        self.repository == other.repository && same_tag
    }
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.tag {
            Some(tag) if tag.starts_with('@') => write!(f, "{}{tag}", self.repository),
            Some(tag) => write!(f, "{}:{tag}", self.repository),
            None => f.write_str(&self.repository),
        }
    }
}

fn familiar(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name).to_owned()
}

/// Gives what is done with an image also its other names: `docker tag a b` and then `docker push b`
/// pushes what was built as `a`.
pub(super) fn join(actions: &mut [Action], aliases: &[(Image, Image)]) {
    for action in actions {
        // A name may have got a name in turn; more rounds than names change nothing.
        for _ in 0..aliases.len().min(10) {
            let more: Vec<Image> = aliases
                .iter()
                .filter(|(old, new)| action.images.contains(new) && !action.images.contains(old))
                .map(|(old, _)| old.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            action.images.extend(more);
        }
    }
}
