//! A file server for machines that boot: exact paths under one directory, GET and HEAD, never a redirect.
//!
//! It must never leave that directory nor serve outside the lab's namespace.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

struct Room {
    dir: PathBuf,
    log: Mutex<std::fs::File>,
}

/// Serves `dir` on port 80 of `address` until the runtime ends; one line per request goes to `log`.
pub(crate) async fn serve(address: Ipv4Addr, dir: PathBuf, log: PathBuf) -> Result<()> {
    let listener = TcpListener::bind((address, 80)).await.with_context(|| format!("serving HTTP on {address}"))?;
    let log = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let room = Arc::new(Room { dir, log: Mutex::new(log) });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let room = Arc::clone(&room);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&room), request));
                // A client that goes away in the middle tries again by itself.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(())
}

async fn answer(room: Arc<Room>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = respond(&room.dir, request.method(), request.uri().path());
    let line = format!("{} {} {}\n", request.method(), request.uri(), response.status().as_u16());
    // The log is evidence, not function: a full disk must not stop a boot.
    let _ = room.log.lock().expect("no holder of this lock can panic").write_all(line.as_bytes());
    Ok(response)
}

fn respond(dir: &Path, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let refuse = |status| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response
    };
    if method != Method::GET && method != Method::HEAD {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Some(file) = inside(dir, path) else { return refuse(StatusCode::NOT_FOUND) };
    // Whole in memory: an image is tens of megabytes and the lab has one or two machines.
    let Ok(bytes) = std::fs::read(file) else { return refuse(StatusCode::NOT_FOUND) };
    let length = bytes.len();
    let body = if method == Method::HEAD { Bytes::new() } else { Bytes::from(bytes) };
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

fn inside(dir: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.strip_prefix('/')?);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| dir.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside() {
        assert_eq!(inside(Path::new("/d"), "/netboot/boot.ipxe"), Some(PathBuf::from("/d/netboot/boot.ipxe")));
        assert_eq!(inside(Path::new("/d"), "/../etc/passwd"), None);
        assert_eq!(inside(Path::new("/d"), "//etc/passwd"), None);
    }

    #[test]
    fn a_head_says_the_length_and_sends_nothing() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let length = std::fs::metadata(dir.join("Cargo.toml")).unwrap().len();
        let response = respond(dir, &Method::HEAD, "/Cargo.toml");
        assert_eq!(response.headers()[CONTENT_LENGTH], length.to_string());
        assert_eq!(respond(dir, &Method::GET, "/absent").status(), StatusCode::NOT_FOUND);
    }
}
