//! The example `upload_progress`: files that are uploaded piece by piece, and everybody watches how far they are.

use std::path::PathBuf;
use std::rc::Rc;

use fs_pool::fs::Fs;
use phaseloop_server::http::{Body, Handler, StatusCode, header};
use phaseloop_server::sse::{Channel, ChannelOptions, Event};
use phaseloop_server::web::express::App;
use phaseloop_server::web::{Error, Req, Result};
use serde_json::json;

/// Bytes of a file that is taken.
const FILE_LEN_MAX: u64 = 1 << 30;

/// Bytes that come before the next word about a file.
const STEP_LEN: u64 = 256 * 1024;

/// Characters of a file's name.
const NAME_LEN_MAX: usize = 100;

const PAGE: &str = include_str!("upload_progress.html");

/// Where files go, and who is told.
struct Uploads {
    fs: Fs,
    folder: PathBuf,
    watching: Channel,
}

/// The page at `/`, files that come to `/files/NAME` by PUT and are put into `folder`, and their progress as events at `/progress`.
pub fn app(fs: &Fs, folder: PathBuf) -> impl Handler + use<> {
    let uploads =
        Rc::new(Uploads { fs: fs.clone(), folder, watching: Channel::new(ChannelOptions::default()) });
    let mut app = App::new();
    app.get("/", async |_req, res, _next| res.html(PAGE));
    let told = Rc::clone(&uploads);
    app.get("/progress", async move |req, res, _next| {
        res.set_response(told.watching.subscribe(&req.take_request()));
        Ok(())
    });
    app.put("/files/:name", async move |req, res, _next| {
        let name = name(req.param("name").unwrap_or_default())?;
        let len = take(&uploads, &name, req).await?;
        res.status(StatusCode::CREATED).json(&json!({ "name": name, "len": len }))
    });
    app.use_error(async |error, _req, res, _next| {
        res.status(error.status()).json(&json!({ "error": error.message() }))
    });
    app
}

/// Takes a file in. Until all of it is there it has another name; one that breaks off leaves nothing.
async fn take(uploads: &Uploads, name: &str, req: &mut Req) -> Result<u64> {
    let total = req.header(header::CONTENT_LENGTH).and_then(|len| len.parse::<u64>().ok());
    let mut body: Body = req.take_body();
    body.set_len_max(FILE_LEN_MAX);
    let file = uploads.fs.temp_file(uploads.folder.join(".upload-")).await?;
    let (mut len, mut next_word) = (0, 0);
    // One piece is on its way to the disk while the next one may come: a client is no faster than the disk.
    while let Some(piece) = body.chunk().await {
        let piece = piece.inspect_err(|_| uploads.tell(name, len, total, "broken"))?;
        len += piece.len() as u64;
        file.write_all(piece).await?;
        if len >= next_word {
            uploads.tell(name, len, total, "coming");
            next_word = len + STEP_LEN;
        }
    }
    file.keep(uploads.folder.join(name)).await?;
    uploads.tell(name, len, total, "done");
    Ok(len)
}

impl Uploads {
    fn tell(&self, name: &str, len: u64, total: Option<u64>, state: &str) {
        let event = json!({ "name": name, "len": len, "total": total, "state": state });
        self.watching.send(Event::new(event.to_string()));
    }
}

/// A name that leads nowhere else, and does not hide the file.
fn name(name: &str) -> Result<String> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
    if name.is_empty()
        || name.starts_with('.')
        || name.chars().count() > NAME_LEN_MAX
        || !name.chars().all(is_plain)
    {
        return Err(Error::new(StatusCode::BAD_REQUEST, format!("{name:?} is no name for a file")));
    }
    Ok(name.to_owned())
}
