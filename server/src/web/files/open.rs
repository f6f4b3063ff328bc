//! Finding a file, on the pool.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files up to this long are read by the job that opens them: one hop in place of two.
const SMALL_LEN_MAX: u64 = 64 * 1024;

/// What to look for.
pub(super) struct Search {
    pub(super) root: Arc<Path>,
    pub(super) path: PathBuf,
    pub(super) is_folder: bool,
    pub(super) index: Option<String>,
    /// What is outside of the root is not there.
    pub(super) inside: bool,
    /// Endings and names of the codings that the client takes.
    pub(super) taken: Vec<(&'static str, &'static str)>,
}

pub(super) enum Found {
    Nothing,
    Refused,
    /// A folder, asked for without a slash.
    Folder,
    File(Box<Opened>),
}

pub(super) struct Opened {
    pub(super) file: File,
    /// The whole file, if it is small.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) metadata: Metadata,
    /// The name without the ending of its coding: says the type.
    pub(super) name: PathBuf,
    pub(super) coding: Option<&'static str>,
}

impl Search {
    /// # Errors
    /// What the system says and no client can help.
    pub(super) fn run(self) -> io::Result<Found> {
        match self.find() {
            Ok(found) => Ok(found),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
                    Ok(Found::Nothing)
                }
                io::ErrorKind::PermissionDenied => Ok(Found::Refused),
                _ => Err(error),
            },
        }
    }

    fn find(&self) -> io::Result<Found> {
        let mut path = self.root.join(&self.path);
        if self.is_folder || self.path.as_os_str().is_empty() {
            let Some(index) = &self.index else { return Ok(Found::Nothing) };
            path.push(index);
        }
        for (ending, coding) in &self.taken {
            let mut other = path.clone().into_os_string();
            other.push(ending);
            match self.open(&PathBuf::from(other)) {
                Ok(Some(opened)) => {
                    let opened = Opened { name: path, coding: Some(coding), ..opened };
                    return Ok(Found::File(Box::new(opened)));
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        match self.open(&path)? {
            Some(opened) => Ok(Found::File(Box::new(opened))),
            None if !self.is_folder && path.is_dir() => Ok(Found::Folder),
            None => Ok(Found::Nothing),
        }
    }

    /// `None` for what is no file, such as a FIFO: to open one would wait for a writer, so it is looked at first.
    fn open(&self, path: &Path) -> io::Result<Option<Opened>> {
        if self.inside && !std::fs::canonicalize(path)?.starts_with(std::fs::canonicalize(&self.root)?) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let bytes = match metadata.len() <= SMALL_LEN_MAX {
            true => {
                let mut bytes = Vec::with_capacity(metadata.len() as usize);
                // One that grows meanwhile is sent as long as it was said to be.
                (&mut file).take(metadata.len()).read_to_end(&mut bytes)?;
                Some(bytes).filter(|bytes| bytes.len() as u64 == metadata.len())
            }
            false => None,
        };
        Ok(Some(Opened { file, bytes, metadata, name: path.to_path_buf(), coding: None }))
    }
}
