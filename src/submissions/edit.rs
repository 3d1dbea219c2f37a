//! Changes to a frozen tree, for whoever writes one in place: each gives another frozen tree.

use bytes::Bytes;

use super::content::Content;
use super::limits::ContentLimits;
use super::path::{below, clean, parent};
use super::refusal::{Refusal, shown};
use super::tree::{Node, Nodes, Tree};

impl Content {
    /// This tree with a file at `path`, in place of the one that is there.
    ///
    /// # Errors
    /// A [`Refusal`]: a path that leads out of the tree or through a file, or more than the limits allow.
    pub fn with_file(
        &self,
        path: &str,
        content: &Bytes,
        executable: bool,
        limits: &ContentLimits,
    ) -> Result<Self, Refusal> {
        let path = named(path)?;
        let mut nodes = self.nodes();
        if matches!(nodes.get(&path), Some(Node::Directory)) {
            return Err(Refusal::UnsafeEntry(format!("{} is a folder; choose another name", shown(&path))));
        }
        nodes.insert(path, Node::File { content: content.as_ref().into(), executable });
        judged(nodes, limits)
    }

    /// This tree without what is at `path`, a folder with all that is in it. A folder that is empty then
    /// goes too.
    ///
    /// # Errors
    /// [`Refusal::Empty`] when nothing would be left.
    pub fn without(&self, path: &str, limits: &ContentLimits) -> Result<Self, Refusal> {
        let path = named(path)?;
        let mut nodes = self.nodes();
        nodes.retain(|kept, _| *kept != path && below(&path, kept).is_none());
        drop_empty(&mut nodes, parent(&path));
        judged(nodes, limits)
    }

    /// This tree with what is at `from` moved to `to`, a folder with all that is in it.
    ///
    /// # Errors
    /// A [`Refusal`] when nothing is at `from` or something is at `to`.
    pub fn renamed(&self, from: &str, to: &str, limits: &ContentLimits) -> Result<Self, Refusal> {
        let (from, to) = (named(from)?, named(to)?);
        let all = self.nodes();
        if !all.contains_key(&from) {
            return Err(Refusal::UnsafeEntry(format!("There is no {} any more", shown(&from))));
        }
        if all.contains_key(&to) {
            return Err(Refusal::UnsafeEntry(format!(
                "There is a {} already; choose another name, or delete that one first",
                shown(&to)
            )));
        }
        if below(&from, &to).is_some() {
            return Err(Refusal::UnsafeEntry("A folder cannot be moved into itself".into()));
        }
        let moved = |path: Vec<u8>| {
            if path == from {
                return to.clone();
            }
            match below(&from, &path) {
                Some(rest) => [&to, &b"/"[..], rest].concat(),
                None => path,
            }
        };
        let mut nodes: Nodes<'_> = all.into_iter().map(|(path, node)| (moved(path), node)).collect();
        drop_empty(&mut nodes, parent(&from));
        judged(nodes, limits)
    }
}

/// A path that names something in the tree.
fn named(path: &str) -> Result<Vec<u8>, Refusal> {
    let cleaned = clean(path.trim().as_bytes())?;
    if cleaned.is_empty() || path.chars().any(char::is_control) {
        return Err(Refusal::UnsafeEntry(
            "A file needs a name, such as `solution/Dockerfile`, without control characters".into(),
        ));
    }
    Ok(cleaned)
}

fn drop_empty(nodes: &mut Nodes<'_>, folder: &[u8]) {
    let mut folder = folder;
    while !folder.is_empty() && !nodes.keys().any(|path| below(folder, path).is_some()) {
        nodes.remove(folder);
        folder = parent(folder);
    }
}

/// Goes by the same rules as what is handed in.
fn judged(nodes: Nodes<'_>, limits: &ContentLimits) -> Result<Content, Refusal> {
    let mut tree = Tree::new(limits);
    for (raw, node) in nodes {
        let Some(path) = tree.entry(&raw)? else { continue };
        match node {
            Node::File { content, executable } => {
                tree.admit(&raw, content.len() as u64)?;
                tree.file(path, content, executable)?;
            }
            Node::Directory => tree.directory(path)?,
            Node::Symlink { target } => tree.symlink(path, &target)?,
        }
    }
    Content::of(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Content {
        let files = [("a/one", "1"), ("a/b/two", "#!2"), ("top", "t")];
        let files = files.map(|(path, text)| (path.to_owned(), Bytes::from_static(text.as_bytes())));
        Content::from_files(files.into(), &ContentLimits::NONE).unwrap()
    }

    fn paths(content: &Content) -> Vec<String> {
        content.entries().keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    #[test]
    fn a_file_comes_changes_moves_and_goes() {
        let limits = ContentLimits::NONE;
        let more = tree().with_file("c/d/new", &Bytes::from_static(b"n"), true, &limits).unwrap();
        assert_eq!(paths(&more), ["a", "a/b", "a/b/two", "a/one", "c", "c/d", "c/d/new", "top"]);
        assert_eq!(more.without("c/d/new", &limits).unwrap(), tree(), "and the folders made for it");
        let moved = tree().renamed("a/b", "z", &limits).unwrap();
        assert_eq!(paths(&moved), ["a", "a/one", "top", "z", "z/two"]);
        assert_eq!(moved.renamed("z", "a/b", &limits).unwrap(), tree(), "bits and bytes are kept");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let limits = ContentLimits { entries: 5, ..ContentLimits::NONE };
        let file = Bytes::new();
        for path in ["", "  ", "../x", "/etc/passwd", "a", "top/x", "a/\nb"] {
            assert!(tree().with_file(path, &file, false, &limits).is_err(), "{path:?}");
        }
        assert!(tree().with_file("x", &file, false, &limits).is_err(), "more than five entries");
        assert!(tree().renamed("a", "a/b/c", &ContentLimits::NONE).is_err());
        assert!(tree().renamed("a", "top", &ContentLimits::NONE).is_err());
        assert!(tree().renamed("gone", "x", &ContentLimits::NONE).is_err());
        let one = tree().without("a", &ContentLimits::NONE).unwrap();
        assert!(one.without("top", &ContentLimits::NONE).is_err(), "nothing left");
    }
}
