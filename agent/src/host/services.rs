//! Declared services (`[[service]]`), asked as somebody who uses them would ask.
//!
//! It must never follow a redirect that was not allowed for, nor keep a connection: users come anew.

use std::time::{Duration, Instant};

use hardstand_core::observed::ServiceAnswer;
use hardstand_core::settings::{self, ServiceSettings};
use hyper::header::LOCATION;
use hyper::{HeaderMap, Method, Uri};

use super::clock::boottime;
use super::https::{Answer, Authorities, Question, ask, late};

/// What is read of a body. A page is smaller; of what is larger, the beginning is enough to see that it is served.
const BODY_BYTES: usize = 512 << 10;

/// Asks once. A question that ends at its limit is a failure, as it is for who waits.
pub(crate) async fn probe_service(service: &ServiceSettings, authorities: Option<&Authorities>) -> ServiceAnswer {
    let limit = Duration::from_secs(service.timeout_secs);
    let mut answer = ServiceAnswer::default();
    let started = Instant::now();
    let failure = match tokio::time::timeout(limit, follow(service, authorities, &mut answer)).await {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(_) => Some(late(limit)),
    };
    if answer.status.is_some() {
        answer.latency_seconds = Some(started.elapsed().as_secs_f64());
    }
    ServiceAnswer { failure, boottime_seconds: boottime().as_secs_f64(), ..answer }
}

/// Whether TLS may be spoken, so that authorities are needed.
pub(crate) fn needs_authorities(service: &ServiceSettings) -> bool {
    service.url.starts_with("https:") || service.redirects > 0
}

async fn follow(
    service: &ServiceSettings,
    authorities: Option<&Authorities>,
    seen: &mut ServiceAnswer,
) -> Result<(), String> {
    let first: Uri = service.url.parse().map_err(|error| format!("{}: {error}", service.url))?;
    let mut url = first.clone();
    let mut left = service.redirects;
    loop {
        let method = match service.method {
            settings::Method::Get => Method::GET,
            settings::Method::Head => Method::HEAD,
        };
        let connect_to = way(service.connect_to.as_deref(), &first, &url);
        let question = Question { method, url: &url, connect_to, headers: HeaderMap::new(), body_bytes: BODY_BYTES };
        let answer = ask(question, authorities, &mut seen.not_after_unix_seconds).await?;
        seen.status = Some(answer.status);
        match location(&answer) {
            Some(to) if left > 0 => (url, left) = (joined(&url, to)?, left - 1),
            to => return judge(service, &answer, to),
        }
    }
}

/// Where to connect for an address that came after the first: another host is found by its name, another port of the same
/// one where that was.
fn way<'a>(connect_to: Option<&'a str>, first: &Uri, url: &Uri) -> Option<&'a str> {
    let to = connect_to.filter(|_| url.host() == first.host())?;
    let is_same = (url.scheme(), url.authority()) == (first.scheme(), first.authority());
    let bare = to.rsplit_once(':').filter(|_| to.parse::<std::net::IpAddr>().is_err());
    Some(bare.filter(|_| !is_same).map_or(to, |(place, _)| place))
}

/// Where a redirect points.
fn location(answer: &Answer) -> Option<&str> {
    let to = answer.headers.get(LOCATION)?.to_str().ok()?;
    [301, 302, 303, 307, 308].contains(&answer.status).then_some(to)
}

fn judge(service: &ServiceSettings, answer: &Answer, to: Option<&str>) -> Result<(), String> {
    let points = to.map_or_else(String::new, |to| format!(" to {}", super::excerpt(to)));
    if !service.expects(answer.status) {
        return Err(format!("it answered {}{points}", answer.status));
    }
    if let Some(wanted) = &service.location
        && to != Some(wanted)
    {
        return Err(format!("it answered {}{points}, not to {wanted}", answer.status));
    }
    if let Some(wanted) = &service.body_contains
        && !answer.body.windows(wanted.len().max(1)).any(|part| part == wanted.as_bytes())
    {
        let read = if answer.whole { String::new() } else { format!(" in its first {} KiB", BODY_BYTES >> 10) };
        return Err(format!("it answered {} without {wanted:?}{read}", answer.status));
    }
    Ok(())
}

/// A reference as an answer gives it, from where it was given (RFC 3986 §5, without `..`).
fn joined(from: &Uri, to: &str) -> Result<Uri, String> {
    let (scheme, place) = (from.scheme_str().unwrap_or("https"), from.authority().map_or("", |place| place.as_str()));
    let text = match to {
        to if to.contains("://") => to.to_owned(),
        to if to.starts_with("//") => format!("{scheme}:{to}"),
        to if to.starts_with('/') => format!("{scheme}://{place}{to}"),
        to => {
            let room = from.path().rsplit_once('/').map_or("", |(room, _)| room);
            format!("{scheme}://{place}{room}/{to}")
        }
    };
    let wrong = || format!("it points to {}, which is no address", super::excerpt(to));
    let url: Uri = text.parse().map_err(|_| wrong())?;
    matches!(url.scheme_str(), Some("http" | "https")).then_some(url).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
