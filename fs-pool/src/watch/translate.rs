//! From the kernel's events to ours: names become paths, halves become renames, new folders are looked into.
//!
//! A machine without descriptors or a clock: events and scans go in, [`Translator::next`] says what to do.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::path::PathBuf;

use super::event::{WatchEvent, WatchKind};
use super::scan::{ScanRequest, Scanned};
use super::sys::{Raw, RawKind, WatchId};
use super::tree::Tree;

pub(super) struct Translator {
    tree: Tree,
    recursive: bool,
    coalesces: bool,
    /// What the kernel told and was not looked at. Nothing is looked at while a scan is under way.
    waiting: VecDeque<Raw>,
    /// The scan that is under way, and whether what it finds is new.
    scanning: Option<IsNew>,
    /// What is to be scanned next.
    to_scan: VecDeque<(ScanRequest, IsNew)>,
    /// The other half of the first event is waited for no longer.
    gave_up_pair: bool,
    /// Folders with names that a scan has reported.
    listed: Vec<WatchId>,
    /// Changes that were reported since the kernel's queue was last empty.
    reported: HashSet<(bool, PathBuf)>,
    /// What is to be told.
    pub(super) out: VecDeque<WatchEvent>,
    /// Watches that are no longer wanted.
    pub(super) unwatch: Vec<WatchId>,
    is_over: bool,
}

type IsNew = bool;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read more.
    Read,
    /// Scan, and give the result to `scanned`.
    Scan(ScanRequest),
    /// Read more; if the other half with this cookie does not come for a while, `give_up_pair`.
    AwaitPair(u32),
    /// The root is gone.
    Over,
}

impl Translator {
    pub(super) fn new(root: WatchId, root_path: PathBuf, recursive: bool, coalesces: bool) -> Self {
        let mut it = Self {
            tree: Tree::new(root, root_path),
            recursive,
            coalesces,
            waiting: VecDeque::new(),
            scanning: None,
            to_scan: VecDeque::new(),
            gave_up_pair: false,
            listed: Vec::new(),
            reported: HashSet::new(),
            out: VecDeque::new(),
            unwatch: Vec::new(),
            is_over: false,
        };
        it.scan_root();
        it
    }

    /// Takes what the kernel told.
    pub(super) fn waiting(&mut self) -> &mut VecDeque<Raw> {
        &mut self.waiting
    }

    /// The kernel's queue was found empty, after all scans that have ended.
    pub(super) fn drained(&mut self) {
        self.reported.clear();
        if self.waiting.is_empty() && self.scanning.is_none() {
            let listed = std::mem::take(&mut self.listed);
            self.tree.forget_listed(&listed);
        }
    }

    /// The other half of a rename did not come.
    pub(super) fn give_up_pair(&mut self) {
        self.gave_up_pair = true;
    }

    /// Looks at what waits, as far as it can.
    pub(super) fn next(&mut self) -> Next {
        loop {
            if self.is_over {
                return Next::Over;
            }
            if let Some((request, is_new)) = self.to_scan.pop_front() {
                self.scanning = Some(is_new);
                return Next::Scan(request);
            }
            let Some(raw) = self.waiting.pop_front() else { return Next::Read };
            if raw.kind != RawKind::MovedFrom {
                self.event(raw);
                continue;
            }
            let pair = |it: &Raw| it.kind == RawKind::MovedTo && it.cookie == raw.cookie;
            match self.waiting.iter().position(pair) {
                Some(at) => {
                    let to = self.waiting.remove(at).expect("it was found there");
                    self.renamed(raw, to);
                }
                None if std::mem::take(&mut self.gave_up_pair) => self.moved_away(&raw),
                None => {
                    let cookie = raw.cookie;
                    self.waiting.push_front(raw);
                    return Next::AwaitPair(cookie);
                }
            }
        }
    }

    /// Takes what the scan found.
    pub(super) fn scanned(&mut self, scanned: Scanned) {
        let is_new = self.scanning.take().unwrap_or(false);
        for folder in scanned.folders {
            if let Some((parent, name)) = &folder.place {
                let old = self.tree.put(folder.id, *parent, name);
                self.drop_folder(old);
                if !self.tree.contains(folder.id) {
                    self.unwatch.push(folder.id);
                    continue;
                }
            }
            if is_new {
                self.listed.push(folder.id);
                for name in folder.names {
                    let path = folder.path.join(&name);
                    // In a folder that was scanned before, it may be known.
                    if !self.tree.unlist(folder.id, &name) {
                        self.tell(WatchKind::Created, path);
                    }
                    self.tree.list(folder.id, &name);
                }
            }
        }
        for (path, error) in scanned.failures {
            self.tell(WatchKind::Failed(error), path);
        }
        if !is_new {
            let path = self.tree.root_path().clone();
            self.tell(WatchKind::Ready, path);
        }
    }

    fn scan_root(&mut self) {
        if self.recursive {
            let request = ScanRequest { path: self.tree.root_path().clone(), place: None };
            self.to_scan.push_back((request, false));
        }
    }

    fn event(&mut self, raw: Raw) {
        if raw.kind == RawKind::Overflow {
            let path = self.tree.root_path().clone();
            self.tell(WatchKind::Overflow, path);
            // What was lost may be new folders. A watch that stands is not set twice.
            if self.recursive {
                self.unwatch.extend(self.tree.clear());
                self.scan_root();
            }
            return;
        }
        let Some(folder) = self.tree.path(raw.id) else { return };
        if raw.name.is_empty() {
            return self.own_event(raw.id, raw.kind, folder);
        }
        let path = folder.join(&raw.name);
        match raw.kind {
            RawKind::Created | RawKind::MovedTo => self.created(raw, path),
            RawKind::Removed => {
                self.tree.unlist(raw.id, &raw.name);
                let gone = self.tree.child(raw.id, &raw.name);
                self.drop_folder(gone.filter(|_| raw.is_dir));
                self.tell(WatchKind::Removed, path);
            }
            RawKind::Modified => self.tell(WatchKind::Modified, path),
            RawKind::Attributes => self.tell(WatchKind::Attributes, path),
            _ => {}
        }
    }

    /// An event about a watched file or folder itself. Of folders below the root their parent tells.
    fn own_event(&mut self, id: WatchId, kind: RawKind, path: PathBuf) {
        if id != self.tree.root() {
            if kind == RawKind::Ended {
                drop(self.tree.remove(id));
            }
            return;
        }
        match kind {
            RawKind::Modified => self.tell(WatchKind::Modified, path),
            RawKind::Attributes => self.tell(WatchKind::Attributes, path),
            RawKind::SelfMoved => self.tell(WatchKind::RootMoved, path),
            RawKind::SelfRemoved | RawKind::Ended => {
                self.tell(WatchKind::RootRemoved, path);
                self.is_over = true;
            }
            _ => {}
        }
    }

    fn created(&mut self, raw: Raw, path: PathBuf) {
        if !self.tree.unlist(raw.id, &raw.name) {
            self.tell(WatchKind::Created, path.clone());
        }
        if raw.is_dir && self.tree.child(raw.id, &raw.name).is_none() {
            self.scan_new(raw.id, raw.name, path);
        }
    }

    fn renamed(&mut self, from: Raw, to: Raw) {
        self.tree.unlist(from.id, &from.name);
        let (old, new) = (self.tree.path(from.id), self.tree.path(to.id));
        let (Some(old), Some(new)) = (old, new) else { return };
        let (old, new) = (old.join(&from.name), new.join(&to.name));
        let moved = self.tree.child(from.id, &from.name);
        self.tree.unlist(to.id, &to.name);
        self.tell(WatchKind::Renamed { from: old }, new.clone());
        if !from.is_dir {
            return;
        }
        match moved {
            Some(moved) => {
                let replaced = self.tree.put(moved, to.id, &to.name);
                self.drop_folder(replaced);
            }
            // It was gone before it could be scanned, or the scan found it here.
            None if self.tree.child(to.id, &to.name).is_none() => self.scan_new(to.id, to.name, new),
            None => {}
        }
    }

    fn moved_away(&mut self, raw: &Raw) {
        self.tree.unlist(raw.id, &raw.name);
        let Some(folder) = self.tree.path(raw.id) else { return };
        let gone = self.tree.child(raw.id, &raw.name);
        self.drop_folder(gone.filter(|_| raw.is_dir));
        self.tell(WatchKind::Removed, folder.join(&raw.name));
    }

    fn scan_new(&mut self, parent: WatchId, name: OsString, path: PathBuf) {
        if self.recursive {
            self.to_scan.push_back((ScanRequest { path, place: Some((parent, name)) }, true));
        }
    }

    fn drop_folder(&mut self, id: Option<WatchId>) {
        if let Some(id) = id {
            self.unwatch.extend(self.tree.remove(id));
        }
    }

    fn tell(&mut self, kind: WatchKind, path: PathBuf) {
        if self.coalesces {
            let is_modified = matches!(kind, WatchKind::Modified);
            if is_modified || matches!(kind, WatchKind::Attributes) {
                if !self.reported.insert((is_modified, path.clone())) {
                    return;
                }
            } else {
                // It is another file now, or has another name: what is told of it is news.
                let mut key = (true, path);
                self.reported.remove(&key);
                key.0 = false;
                self.reported.remove(&key);
                return self.out.push_back(WatchEvent { kind, path: key.1 });
            }
        }
        self.out.push_back(WatchEvent { kind, path });
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::ScannedFolder;
    use super::*;

    const ROOT: WatchId = 1;

    fn translator(recursive: bool) -> Translator {
        let mut it = Translator::new(ROOT, "root".into(), recursive, true);
        if recursive {
            assert!(matches!(it.next(), Next::Scan(_)));
            it.scanned(found(&[(ROOT, None, &["old"])]));
            assert_eq!(told(&mut it), ["ready root"]);
        }
        it
    }

    /// A folder's watch, its place and the names in it.
    type Folder<'a> = (WatchId, Option<(WatchId, &'a str)>, &'a [&'a str]);

    fn found(folders: &[Folder<'_>]) -> Scanned {
        let path =
            |place: Option<(WatchId, &str)>| place.map_or("root".into(), |it| format!("root/{}", it.1));
        let folder = |(id, place, names): &Folder<'_>| ScannedFolder {
            id: *id,
            place: place.map(|(parent, name)| (parent, name.into())),
            path: path(*place).into(),
            names: names.iter().map(OsString::from).collect(),
        };
        Scanned { folders: folders.iter().map(folder).collect(), failures: Vec::new() }
    }

    fn raw(id: WatchId, kind: RawKind, name: &str) -> Raw {
        Raw { id, kind, is_dir: name.ends_with('/'), cookie: 7, name: name.trim_end_matches('/').into() }
    }

    fn told(it: &mut Translator) -> Vec<String> {
        let line = |event: WatchEvent| {
            let path = event.path.display().to_string();
            match event.kind {
                WatchKind::Renamed { from } => format!("renamed {} {path}", from.display()),
                WatchKind::Failed(_) => format!("failed {path}"),
                kind => format!("{kind:?} {path}").to_lowercase(),
            }
        };
        it.out.drain(..).map(line).collect()
    }

    fn take(it: &mut Translator, raws: &[Raw]) -> Next {
        it.waiting().extend(raws.iter().cloned());
        it.next()
    }

    #[test]
    fn the_halves_of_a_rename_are_paired_even_with_others_in_between() {
        let mut it = translator(false);
        let between = raw(ROOT, RawKind::Modified, "c");
        let next =
            take(&mut it, &[raw(ROOT, RawKind::MovedFrom, "a"), between, raw(ROOT, RawKind::MovedTo, "b")]);
        assert_eq!(next, Next::Read);
        assert_eq!(told(&mut it), ["renamed root/a root/b", "modified root/c"]);
    }

    #[test]
    fn a_half_waits_for_the_other_and_holds_what_follows() {
        let mut it = translator(false);
        let next = take(&mut it, &[raw(ROOT, RawKind::MovedFrom, "a"), raw(ROOT, RawKind::Created, "a")]);
        assert_eq!(next, Next::AwaitPair(7));
        assert!(told(&mut it).is_empty());
        it.give_up_pair();
        assert_eq!(it.next(), Next::Read);
        assert_eq!(told(&mut it), ["removed root/a", "created root/a"]);

        assert_eq!(take(&mut it, &[raw(ROOT, RawKind::MovedFrom, "a")]), Next::AwaitPair(7));
        assert_eq!(take(&mut it, &[raw(ROOT, RawKind::MovedTo, "b")]), Next::Read);
        assert_eq!(told(&mut it), ["renamed root/a root/b"]);
    }

    #[test]
    fn what_a_scan_and_the_kernel_both_tell_is_told_once() {
        let mut it = translator(true);
        let Next::Scan(request) = take(&mut it, &[raw(ROOT, RawKind::Created, "new/")]) else {
            panic!("no scan")
        };
        assert_eq!(request.place, Some((ROOT, "new".into())));
        it.scanned(found(&[(2, Some((ROOT, "new")), &["a", "b"])]));
        // `a` came between the watch and the list; then it went and came again.
        let raws = [RawKind::Created, RawKind::Removed, RawKind::Created].map(|kind| raw(2, kind, "a"));
        assert_eq!(take(&mut it, &raws), Next::Read);
        assert_eq!(
            told(&mut it),
            [
                "created root/new",
                "created root/new/a",
                "created root/new/b",
                "removed root/new/a",
                "created root/new/a"
            ]
        );
        it.drained();
        assert_eq!(take(&mut it, &[raw(2, RawKind::Created, "b")]), Next::Read);
        assert_eq!(told(&mut it), ["created root/new/b"], "an event after the queue was empty is a new one");
    }

    #[test]
    fn a_renamed_folder_takes_what_is_below_along() {
        let mut it = translator(true);
        assert!(matches!(take(&mut it, &[raw(ROOT, RawKind::Created, "a/")]), Next::Scan(_)));
        it.scanned(found(&[(2, Some((ROOT, "a")), &[])]));
        let halves = [raw(ROOT, RawKind::MovedFrom, "a/"), raw(ROOT, RawKind::MovedTo, "b/")];
        assert_eq!(take(&mut it, &halves), Next::Read);
        assert_eq!(take(&mut it, &[raw(2, RawKind::Created, "file")]), Next::Read);
        assert_eq!(told(&mut it), ["created root/a", "renamed root/a root/b", "created root/b/file"]);
    }

    #[test]
    fn a_folder_that_is_moved_away_is_watched_no_more() {
        let mut it = translator(true);
        assert!(matches!(take(&mut it, &[raw(ROOT, RawKind::Created, "a/")]), Next::Scan(_)));
        it.scanned(found(&[(2, Some((ROOT, "a")), &[])]));
        assert_eq!(take(&mut it, &[raw(ROOT, RawKind::MovedFrom, "a/")]), Next::AwaitPair(7));
        it.give_up_pair();
        assert_eq!(it.next(), Next::Read);
        assert_eq!(it.unwatch, [2]);
        assert_eq!(take(&mut it, &[raw(2, RawKind::Created, "unseen")]), Next::Read);
        assert_eq!(told(&mut it), ["created root/a", "removed root/a"]);
    }

    #[test]
    fn an_overflow_is_told_and_the_tree_is_scanned_anew() {
        let mut it = translator(true);
        let overflow = Raw { id: -1, ..raw(ROOT, RawKind::Overflow, "") };
        assert!(matches!(take(&mut it, &[overflow]), Next::Scan(ScanRequest { place: None, .. })));
        it.scanned(found(&[(ROOT, None, &["x"]), (3, Some((ROOT, "x")), &[])]));
        assert_eq!(told(&mut it), ["overflow root", "ready root"]);
        assert_eq!(take(&mut it, &[raw(3, RawKind::Created, "y")]), Next::Read);
        assert_eq!(told(&mut it), ["created root/x/y"]);
    }

    #[test]
    fn changes_are_coalesced_until_the_queue_is_empty_or_the_file_is_another() {
        let mut it = translator(false);
        let modified = || raw(ROOT, RawKind::Modified, "a");
        take(&mut it, &[modified(), modified(), raw(ROOT, RawKind::Removed, "a"), modified()]);
        assert_eq!(told(&mut it), ["modified root/a", "removed root/a", "modified root/a"]);
        it.drained();
        take(&mut it, &[modified()]);
        assert_eq!(told(&mut it), ["modified root/a"]);

        let mut precise = Translator::new(ROOT, "root".into(), false, false);
        take(&mut precise, &[modified(), modified()]);
        assert_eq!(told(&mut precise), ["modified root/a", "modified root/a"]);
    }

    #[test]
    fn the_end_of_the_root_is_the_end() {
        let mut it = translator(false);
        assert_eq!(take(&mut it, &[raw(ROOT, RawKind::SelfMoved, "")]), Next::Read);
        let ended = [raw(ROOT, RawKind::SelfRemoved, ""), raw(ROOT, RawKind::Ended, "")];
        assert_eq!(take(&mut it, &ended), Next::Over);
        assert_eq!(told(&mut it), ["rootmoved root", "rootremoved root"]);
    }
}
