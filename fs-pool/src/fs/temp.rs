//! Files and folders of new names: some stay, some vanish with whoever holds them.

use std::fs::OpenOptions;
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use super::front::subject;
use super::operation::Subject;
use super::{File, Fs, Operation};
use crate::pool::Class;
use crate::request::LoopPool;

impl Fs {
    /// Makes a folder of a new name that only its owner may enter: `prefix` and six characters. Gives its path.
    #[track_caller]
    pub fn mkdtemp(&self, prefix: impl AsRef<Path>) -> Operation<PathBuf> {
        self.call("mkdtemp", prefix, make_folder)
    }

    /// Makes a file of a new name that only its owner may read and write: `prefix` and six characters.
    ///
    /// [`File::path`] says its name. It stays when it is closed: see [`temp_file`](Self::temp_file) for one that does not.
    #[track_caller]
    pub fn mkstemp(&self, prefix: impl AsRef<Path>) -> Operation<File> {
        let subject = subject("mkstemp", prefix);
        let prefix = Arc::clone(&subject.path);
        Operation::start(&self.trips, subject, |chain| {
            chain.step(
                move |_| make_file(&prefix),
                |chain, lp, (path, file)| {
                    chain.finish(lp, Ok(File::new(chain.trips(), &Arc::from(path), file)));
                },
            );
        })
    }

    /// As [`mkstemp`](Self::mkstemp), and removes the file when what this gives is dropped.
    #[track_caller]
    pub fn temp_file(&self, prefix: impl AsRef<Path>) -> Operation<TempFile> {
        let subject = subject("temp_file", prefix);
        let prefix = Arc::clone(&subject.path);
        Operation::start(&self.trips, subject, |chain| {
            // The vanishing name is made in the job, so that an operation that is given up leaves nothing.
            chain.step(
                move |_| make_file(&prefix).map(|(path, file)| (Vanishing::file(path), file)),
                |chain, lp, (name, file)| {
                    let file = File::new(chain.trips(), &Arc::from(name.path()), file);
                    chain.finish(lp, Ok(TempFile { file, name: OnPool::new(chain.pool(), name) }));
                },
            );
        })
    }

    /// As [`mkdtemp`](Self::mkdtemp), and removes the folder with all that is in it when what this gives is dropped.
    #[track_caller]
    pub fn temp_folder(&self, prefix: impl AsRef<Path>) -> Operation<TempFolder> {
        let subject = subject("temp_folder", prefix);
        let prefix = Arc::clone(&subject.path);
        Operation::start(&self.trips, subject, |chain| {
            chain.step(
                move |_| make_folder(&prefix).map(Vanishing::folder),
                |chain, lp, name| {
                    chain.finish(lp, Ok(TempFolder { name: OnPool::new(chain.pool(), name) }));
                },
            );
        })
    }
}

/// An open file that is removed when this is dropped. Made by [`Fs::temp_file`].
///
/// It is removed on the pool, and the loop lives until that is done; where the loop or the pool has ended, at once. A
/// process that is killed leaves it.
///
/// # Examples
/// ```
/// # use fs_pool::{fs::Fs, pool::Pool, request::LoopPool};
/// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
/// # let fs = Fs::new(&LoopPool::new(&lp, &pool));
/// let file = lp.block_on(fs.temp_file(std::env::temp_dir().join("draft-")))??;
/// let path = file.path().to_owned();
/// lp.block_on(file.write_all("not yet"))??;
/// drop(file);
/// lp.run(phaseloop::RunMode::Default)?;
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TempFile {
    file: File,
    name: OnPool,
}

impl TempFile {
    /// Gives the file a name to stay under; one that is there is replaced. If that fails, the file is removed.
    #[track_caller]
    pub fn keep(mut self, to: impl AsRef<Path>) -> Operation<()> {
        let to = to.as_ref().to_path_buf();
        let path: Arc<Path> = Arc::from(self.file.path());
        let subject = Subject { operation: "keep", path, to: Some(to.clone()) };
        let trips = super::operation::Trips::single(&self.name.pool);
        let name = self.name.name.take();
        Operation::single(&trips, subject, move |_| name.map_or(Ok(()), |name| name.keep(&to)))
    }
}

impl Deref for TempFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl fmt::Debug for TempFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TempFile").field("path", &self.file.path()).finish_non_exhaustive()
    }
}

/// A folder that is removed, with all that is in it, when this is dropped. Made by [`Fs::temp_folder`].
///
/// When and by whom it is removed: see [`TempFile`].
pub struct TempFolder {
    name: OnPool,
}

impl TempFolder {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.name.name.as_ref().map_or(Path::new(""), Vanishing::path)
    }

    /// Lets the folder stay. Gives its path.
    pub fn keep(mut self) -> PathBuf {
        self.name.name.take().map(Vanishing::let_stay).unwrap_or_default()
    }
}

impl AsRef<Path> for TempFolder {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl fmt::Debug for TempFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TempFolder").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// A name that vanishes where this is dropped. Blocks, so it is sent to the pool for that.
#[derive(Debug)]
pub(super) struct Vanishing {
    path: PathBuf,
    is_folder: bool,
    stays: bool,
}

impl Vanishing {
    pub(super) fn file(path: PathBuf) -> Self {
        Self { path, is_folder: false, stays: false }
    }

    fn folder(path: PathBuf) -> Self {
        Self { path, is_folder: true, stays: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives what it names the name that it is to have. Blocks.
    pub(super) fn keep(mut self, to: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, to)?;
        self.stays = true;
        Ok(())
    }

    /// As `keep`, but not if something has that name. Blocks.
    pub(super) fn keep_new(self, to: &Path) -> io::Result<()> {
        std::fs::hard_link(&self.path, to) // the first name goes as this is dropped
    }

    fn let_stay(mut self) -> PathBuf {
        self.stays = true;
        std::mem::take(&mut self.path)
    }
}

impl Drop for Vanishing {
    fn drop(&mut self) {
        if !self.stays {
            // There is nobody to tell, and most often the reason is that it is gone.
            let _ = match self.is_folder {
                true => std::fs::remove_dir_all(&self.path),
                false => std::fs::remove_file(&self.path),
            };
        }
    }
}

/// Brings what vanishes to the pool.
pub(super) struct OnPool {
    pool: LoopPool,
    name: Option<Vanishing>,
}

impl OnPool {
    fn new(pool: &LoopPool, name: Vanishing) -> Self {
        Self { pool: pool.clone(), name: Some(name) }
    }
}

impl Drop for OnPool {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            vanish(&self.pool, name);
        }
    }
}

/// Drops something on the pool. The loop lives until that is done; whoever drops the job instead does it there.
pub(super) fn vanish<T: Send + 'static>(pool: &LoopPool, what: T) {
    // A refused job is dropped here, and what it holds with it.
    let _ = pool.run(Class::FS, move |_| drop(what), |_, _| {});
}

/// Makes a file next to `path`, to take its place later. Blocks.
pub(super) fn make_sibling(path: &Path, mode: u32) -> io::Result<(Vanishing, std::fs::File)> {
    let prefix = path.with_file_name(".phaseloop-"); // not made of the name, which may be as long as names can be
    let create = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    new_name(&prefix, create).map(|(path, file)| (Vanishing::file(path), file))
}

fn make_folder(prefix: &Path) -> io::Result<PathBuf> {
    new_name(prefix, |path| std::fs::DirBuilder::new().mode(0o700).create(path)).map(|(path, ())| path)
}

fn make_file(prefix: &Path) -> io::Result<(PathBuf, std::fs::File)> {
    new_name(prefix, |path| OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path))
}

/// Tries new names until one is free. Blocks. Source: mkstemp(3).
fn new_name<T>(prefix: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    let mut last = None;
    for attempt in 0..TEMP_NAMES_MAX {
        let mut path = prefix.as_os_str().to_owned();
        path.push(random_name(attempt));
        let path = PathBuf::from(path);
        match create(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
}

/// Names tried before giving up: 100. With 2 * 10^9 names, whoever meets so many was meant to.
const TEMP_NAMES_MAX: u32 = 100;

/// Six letters and digits. `RandomState` is seeded by the system once a thread and then counts, which names need and no
/// more: a name that is guessed is found taken.
fn random_name(attempt: u32) -> String {
    let mut number = RandomState::new().hash_one(attempt);
    let mut digit = || {
        let digit = number % 36;
        number /= 36;
        char::from_digit(digit as u32, 36).unwrap_or('0')
    };
    (0..6).map(|_| digit()).collect()
}
