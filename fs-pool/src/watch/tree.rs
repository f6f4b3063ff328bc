//! Which watch stands where: the watched folders, as a tree of names.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::sys::WatchId;

/// The watched folders. A rename moves one entry, however much is below it.
pub(super) struct Tree {
    root: WatchId,
    root_path: PathBuf,
    nodes: HashMap<WatchId, Node>,
}

#[derive(Default)]
struct Node {
    /// None for the root.
    place: Option<(WatchId, OsString)>,
    children: HashMap<OsString, WatchId>,
    /// Names that a scan has reported; that they are new may be in the kernel's queue as well.
    listed: HashSet<OsString>,
}

impl Tree {
    pub(super) fn new(root: WatchId, root_path: PathBuf) -> Self {
        Self { root, root_path, nodes: HashMap::from([(root, Node::default())]) }
    }

    pub(super) fn root(&self) -> WatchId {
        self.root
    }

    pub(super) fn root_path(&self) -> &PathBuf {
        &self.root_path
    }

    pub(super) fn contains(&self, id: WatchId) -> bool {
        self.nodes.contains_key(&id)
    }

    /// The path of a watched folder. None if it is not, or no longer, in the tree.
    pub(super) fn path(&self, id: WatchId) -> Option<PathBuf> {
        let mut names = Vec::new();
        let mut node = self.nodes.get(&id)?;
        while let Some((parent, name)) = &node.place {
            names.push(name);
            node = self.nodes.get(parent)?;
        }
        let mut path = self.root_path.clone();
        path.extend(names.into_iter().rev());
        Some(path)
    }

    pub(super) fn child(&self, id: WatchId, name: &OsStr) -> Option<WatchId> {
        self.nodes.get(&id)?.children.get(name).copied()
    }

    /// Puts a watched folder at a place, with all below it if it was elsewhere. Gives what stood there before.
    pub(super) fn put(&mut self, id: WatchId, parent: WatchId, name: &OsStr) -> Option<WatchId> {
        if id == self.root || !self.contains(parent) {
            return None;
        }
        self.detach(id);
        let old = self.nodes.get_mut(&parent)?.children.insert(name.to_owned(), id);
        self.nodes.entry(id).or_default().place = Some((parent, name.to_owned()));
        old.filter(|old| *old != id)
    }

    /// Takes a folder and all below it out. Gives their watches.
    pub(super) fn remove(&mut self, id: WatchId) -> Vec<WatchId> {
        if id == self.root {
            return Vec::new();
        }
        self.detach(id);
        let (mut waiting, mut removed) = (vec![id], Vec::new());
        while let Some(id) = waiting.pop() {
            if let Some(node) = self.nodes.remove(&id) {
                waiting.extend(node.children.into_values());
                removed.push(id);
            }
        }
        removed
    }

    /// Takes all but the root out. Gives their watches.
    pub(super) fn clear(&mut self) -> Vec<WatchId> {
        let removed = self.nodes.keys().copied().filter(|id| *id != self.root).collect();
        self.nodes.clear();
        self.nodes.insert(self.root, Node::default());
        removed
    }

    /// Notes that a name in a folder was reported as new.
    pub(super) fn list(&mut self, id: WatchId, name: &OsStr) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.listed.insert(name.to_owned());
        }
    }

    /// True, once, if the name was reported as new.
    pub(super) fn unlist(&mut self, id: WatchId, name: &OsStr) -> bool {
        self.nodes.get_mut(&id).is_some_and(|node| node.listed.remove(name))
    }

    /// Forgets the reported names of these folders: the kernel's queue holds nothing about them any more.
    pub(super) fn forget_listed(&mut self, ids: &[WatchId]) {
        for id in ids {
            if let Some(node) = self.nodes.get_mut(id) {
                node.listed = HashSet::new();
            }
        }
    }

    fn detach(&mut self, id: WatchId) {
        let Some((parent, name)) = self.nodes.get_mut(&id).and_then(|node| node.place.take()) else { return };
        if let Some(parent) = self.nodes.get_mut(&parent)
            && parent.children.get(&name) == Some(&id)
        {
            parent.children.remove(&name);
        }
    }
}
