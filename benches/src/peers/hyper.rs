//! hyper on tokio's current-thread runtime, set up as its own examples do.

use std::convert::Infallible;
use std::net::TcpListener;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::tokio::current_thread;

/// Answers requests of HTTP/1.1.
pub(crate) fn http1(listener: TcpListener, _buf_len: usize) -> ! {
    serve_http1(listener, false)
}

/// The same, and answers to what came at once leave at once.
pub(crate) fn http1_pipeline_flush(listener: TcpListener, _buf_len: usize) -> ! {
    serve_http1(listener, true)
}

/// Answers requests of HTTP/2, by prior knowledge.
pub(crate) fn http2(listener: TcpListener, _buf_len: usize) -> ! {
    serve(listener, |stream| {
        tokio::spawn(async move {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // A client that goes in the middle of something is no concern of the bench.
            let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    })
}

fn serve_http1(listener: TcpListener, pipeline_flush: bool) -> ! {
    serve(listener, move |stream| {
        tokio::spawn(async move {
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.pipeline_flush(pipeline_flush);
            // As above.
            let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    })
}

fn serve(listener: TcpListener, serve: impl Fn(TcpStream)) -> ! {
    current_thread().block_on(async {
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("tokio takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            serve(stream);
        }
    })
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(SERVER, HeaderValue::from_static("bench"));
    Ok(response)
}
