//! Asking an application without sockets, and a trace of what happened.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::RefCell;
use std::rc::Rc;

use phaseloop_server::http::{Body, Handler, Request, Response};
use phaseloop_server::web::Error;

use crate::peer::on_loop;

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Trace(pub(crate) Rc<RefCell<Vec<String>>>);

impl Trace {
    pub(crate) fn log(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.0.borrow_mut()).join(", ")
    }
}

/// Asks without sockets; gives the status and the text. An error of the application is its status, in brackets.
pub(crate) fn ask(app: &impl Handler, request: Request<Body>) -> (u16, String) {
    let (response, text) = full(app, request);
    (response.status().as_u16(), text)
}

pub(crate) fn full(app: &impl Handler, request: Request<Body>) -> (Response<()>, String) {
    on_loop(async |_| {
        let response = match app.handle(request).await {
            Ok(response) => response,
            Err(error) => {
                let mut response = Response::new(Body::from(format!("({error})")));
                *response.status_mut() = Error::other(error).status();
                response
            }
        };
        let (parts, body) = response.into_parts();
        let text = body.text().await.unwrap();
        (Response::from_parts(parts, ()), text)
    })
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

pub(crate) fn post(path: &str, media_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", media_type).body(body.into()).unwrap()
}

pub(crate) fn with(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::empty()).unwrap()
}
