//! gRPC over one HTTP/2 connection: a call with one answer, and a stream of both directions.
//!
//! It must never send twice. What it says of a failure is exact: [`CallError::NotSent`] only when the request never
//! left, [`CallError::Unanswered`] as soon as it may have.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use hyper::{Request, Response, StatusCode};
use prost::Message;
use tokio::sync::mpsc;

/// Largest message taken in. A fleet of 10,000 nodes with a report of 2 KiB each is read in pages far below this.
const MESSAGE_LIMIT: usize = 32 << 20;
/// Requests waiting to leave on one stream. A stream of ours carries a few bytes a second; a full queue means it is stuck.
const OUTGOING_QUEUE: usize = 8;
/// One byte for compression (never used), four for the length.
const PREFIX: usize = 5;

/// gRPC status codes that we tell apart; numbers are those of the gRPC specification.
pub(super) mod code {
    pub(in super::super) const OK: u32 = 0;
    pub(in super::super) const INVALID_ARGUMENT: u32 = 3;
    pub(in super::super) const NOT_FOUND: u32 = 5;
    pub(in super::super) const PERMISSION_DENIED: u32 = 7;
    pub(in super::super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(in super::super) const OUT_OF_RANGE: u32 = 11;
    pub(in super::super) const UNAVAILABLE: u32 = 14;
    pub(in super::super) const UNAUTHENTICATED: u32 = 16;
}

/// What the server said instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// gRPC code.
    pub(crate) code: u32,
    /// The server's own words.
    pub(crate) message: String,
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The request never left this machine.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It left, or may have; what it did is not known.
    #[error("sent, and not answered: {0}")]
    Unanswered(String),
    /// The server answered with a status.
    #[error("etcd says: {} (gRPC code {})", .0.message, .0.code)]
    Refused(Status),
}

/// The client's half of one HTTP/2 connection.
pub(super) type Sender = SendRequest<Outgoing>;

/// The body of a request: one message, or those of a stream as they come.
pub(super) enum Outgoing {
    One(Option<Bytes>),
    Many(mpsc::Receiver<Bytes>),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::One(message) => Poll::Ready(message.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Many(queue) => queue.poll_recv(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }
}

/// One question, one answer.
pub(super) async fn call<Q: Message, A: Message + Default>(
    sender: Sender,
    authority: &str,
    path: &str,
    question: &Q,
) -> Result<A, CallError> {
    let body = Outgoing::One(Some(framed(question)));
    let response = send(sender, request(authority, path, false, body)?).await?;
    let mut answers = Answers::open(response)?;
    let answer = answers.next().await?;
    // The status comes after the answer; a server that fails in between has not answered.
    if answers.next::<A>().await?.is_some() {
        return Err(CallError::Unanswered("two answers to one question".to_owned()));
    }
    answer.ok_or_else(|| CallError::Unanswered("an end without an answer".to_owned()))
}

/// A stream of questions and answers.
#[derive(Debug)]
pub(super) struct Stream {
    questions: mpsc::Sender<Bytes>,
    answers: Answers,
}

impl Stream {
    /// Opens a stream with its first question; the server gives no headers before it has something to say. With
    /// `needs_leader` a member that has lost its leader ends the stream instead of sitting silent.
    pub(super) async fn open<Q: Message>(
        sender: Sender,
        authority: &str,
        path: &str,
        needs_leader: bool,
        first: &Q,
    ) -> Result<Self, CallError> {
        let (questions, queue) = mpsc::channel(OUTGOING_QUEUE);
        questions.try_send(framed(first)).expect("the queue is new and holds one message");
        let response = send(sender, request(authority, path, needs_leader, Outgoing::Many(queue))?).await?;
        Ok(Self { questions, answers: Answers::open(response)? })
    }

    /// Sends one more question. Does not wait: a queue that is full belongs to a stream that is stuck.
    pub(super) fn ask<Q: Message>(&self, question: &Q) -> Result<(), CallError> {
        self.questions.try_send(framed(question)).map_err(|error| CallError::NotSent(error.to_string()))
    }

    /// The next answer; `None` when the server ended the stream in good order. May be dropped while it waits: nothing is lost.
    pub(super) async fn next<A: Message + Default>(&mut self) -> Result<Option<A>, CallError> {
        self.answers.next().await
    }
}

/// The messages of a response as they come.
#[derive(Debug)]
struct Answers {
    body: Incoming,
    buffer: BytesMut,
    ended: bool,
}

impl Answers {
    fn open(response: Response<Incoming>) -> Result<Self, CallError> {
        if response.status() != StatusCode::OK {
            let told = format!("HTTP status {}: is this an etcd client address?", response.status());
            return Err(CallError::Unanswered(told));
        }
        if let Some(status) = status(response.headers())
            && status.code != code::OK
        {
            return Err(CallError::Refused(status));
        }
        Ok(Self { body: response.into_body(), buffer: BytesMut::new(), ended: false })
    }

    async fn next<A: Message + Default>(&mut self) -> Result<Option<A>, CallError> {
        loop {
            if let Some(message) = self.take()? {
                let read = A::decode(message);
                return read.map(Some).map_err(|error| CallError::Unanswered(format!("not an etcd message: {error}")));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.keep(frame)?,
                Some(Err(error)) => return Err(CallError::Unanswered(chain(&error))),
                None => return Err(CallError::Unanswered("the connection ended before the status".to_owned())),
            }
        }
    }

    fn keep(&mut self, frame: Frame<Bytes>) -> Result<(), CallError> {
        match frame.into_data() {
            Ok(data) => self.buffer.extend_from_slice(&data),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                match status(&trailers) {
                    Some(status) if status.code == code::OK => self.ended = true,
                    Some(status) => return Err(CallError::Refused(status)),
                    None => return Err(CallError::Unanswered("an end without a status".to_owned())),
                }
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<Bytes>, CallError> {
        if self.buffer.len() < PREFIX {
            return Ok(None);
        }
        let mut prefix = &self.buffer[..PREFIX];
        let (compressed, length) = (prefix.get_u8(), prefix.get_u32() as usize);
        if compressed != 0 || length > MESSAGE_LIMIT {
            return Err(CallError::Unanswered(format!("a message of {length} bytes, which is more than we take")));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

async fn send(mut sender: Sender, request: Request<Outgoing>) -> Result<Response<Incoming>, CallError> {
    sender.ready().await.map_err(|error| CallError::NotSent(chain(&error)))?;
    sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
        Some(_untouched) => CallError::NotSent(chain(error.error())),
        None => CallError::Unanswered(chain(error.error())),
    })
}

fn request(authority: &str, path: &str, needs_leader: bool, body: Outgoing) -> Result<Request<Outgoing>, CallError> {
    let mut request = Request::post(format!("https://{authority}{path}"))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(TE, HeaderValue::from_static("trailers"));
    if needs_leader {
        request = request.header("hasleader", HeaderValue::from_static("true"));
    }
    request.body(body).map_err(|error| CallError::NotSent(error.to_string()))
}

fn framed<M: Message>(message: &M) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("a request of ours is far below 4 GiB"));
    message.encode(&mut frame).expect("the buffer has room for the message");
    frame.freeze()
}

fn status(headers: &HeaderMap) -> Option<Status> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let message = headers.get("grpc-message").map(|text| percent_decoded(text.as_bytes())).unwrap_or_default();
    Some(Status { code, message })
}

/// gRPC writes what is not printable ASCII as `%XX`.
fn percent_decoded(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        let byte =
            escaped.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_with_its_escapes() {
        let mut headers = HeaderMap::new();
        assert_eq!(status(&headers), None);
        headers.insert("grpc-status", HeaderValue::from_static("14"));
        headers.insert("grpc-message", HeaderValue::from_static("no leader%3A 100%"));
        assert_eq!(status(&headers), Some(Status { code: 14, message: "no leader: 100%".to_owned() }));
    }
}
