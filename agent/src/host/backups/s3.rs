//! Backups that are objects of an S3 server: the newest below a prefix, by ListObjectsV2 in path style.
//!
//! It must never read an object, and never go on for ever: a prefix holds so many objects or is refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hardstand_core::observed::{BackupCopy, BackupSeen};
use hardstand_core::settings::BackupSettings;
use hyper::header::{AUTHORIZATION, DATE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Uri};

pub(crate) use super::sign::Keys;
use super::sign::{Asked, EMPTY, authorization, encoded};
use crate::host::HostError;
use crate::host::https::{Answer, Authorities, Question, ask, late};

/// Pages of a thousand objects that are listed.
const PAGES: usize = 50;
/// One page is a thousand times a key of 1 KiB at most, and what is around it.
const PAGE_BYTES: usize = 4 << 20;

/// The newest object below the prefix.
///
/// # Errors
/// When the server does not list them, with what to do.
pub(crate) async fn probe_bucket(
    backup: &BackupSettings,
    keys: &Keys,
    authorities: Option<&Authorities>,
) -> Result<BackupSeen, HostError> {
    let limit = Duration::from_secs(backup.timeout_secs);
    let listed = tokio::time::timeout(limit, list(backup, keys, authorities)).await;
    listed.unwrap_or_else(|_| Err(late(limit))).map_err(|why| {
        let bucket = backup.bucket.as_deref().unwrap_or_default();
        let endpoint = backup.endpoint.as_deref().unwrap_or_default();
        HostError::Broken(format!("listing s3://{bucket}/{} at {endpoint}: {why}", backup.prefix))
    })
}

async fn list(backup: &BackupSettings, keys: &Keys, authorities: Option<&Authorities>) -> Result<BackupSeen, String> {
    let mut seen = BackupSeen::default();
    let mut token = None;
    for _ in 0..PAGES {
        let page = page(backup, keys, authorities, token.as_deref()).await?;
        for object in between_all(&page, "<Contents>", "</Contents>") {
            take(&mut seen, object, &backup.suffix)?;
        }
        if tag(&page, "IsTruncated").as_deref() != Some("true") {
            return Ok(seen);
        }
        token = Some(tag(&page, "NextContinuationToken").ok_or("the list is cut short and does not say how to go on")?);
    }
    Err(format!("more than {PAGES},000 objects; name a narrower prefix"))
}

/// Counts an object as a backup, where it is one.
fn take(seen: &mut BackupSeen, object: &str, suffix: &str) -> Result<(), String> {
    let told = |name: &str| tag(object, name).ok_or_else(|| format!("the list has an object without {name}"));
    let (name, written, size) = (told("Key")?, told("LastModified")?, told("Size")?);
    // An empty object is a directory, or a backup that failed at once.
    if size == "0" || !name.ends_with(suffix) {
        return Ok(());
    }
    let at = humantime::parse_rfc3339(&written).map_err(|error| format!("{name} is of {written:?}: {error}"))?;
    let unix_seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    seen.count += 1;
    if seen.newest.as_ref().is_none_or(|newest| newest.unix_seconds < unix_seconds) {
        seen.newest = Some(BackupCopy { name, unix_seconds });
    }
    Ok(())
}

async fn page(
    backup: &BackupSettings,
    keys: &Keys,
    authorities: Option<&Authorities>,
    token: Option<&str>,
) -> Result<String, String> {
    let endpoint = backup.endpoint.as_deref().unwrap_or_default().trim_end_matches('/');
    let after = token.map_or_else(String::new, |token| format!("continuation-token={}&", encoded(token)));
    let query = format!("{after}list-type=2&max-keys=1000&prefix={}", encoded(&backup.prefix));
    let url = format!("{endpoint}/{}?{query}", backup.bucket.as_deref().unwrap_or_default());
    let url: Uri = url.parse().map_err(|error| format!("{endpoint}: {error}"))?;
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(['-', ':'], "");
    let host = url.authority().map(ToString::to_string).unwrap_or_default();
    let asked = Asked { host: &host, path: url.path(), query: &query, region: &backup.region, at: &now };
    let mut signature = HeaderValue::try_from(authorization(keys, &asked)).map_err(|_| "the keys hold odd signs")?;
    signature.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, signature);
    let odd = |_| "the keys hold odd signs".to_owned();
    headers.insert(HeaderName::from_static("x-amz-date"), HeaderValue::try_from(now.as_str()).map_err(odd)?);
    headers.insert(HeaderName::from_static("x-amz-content-sha256"), HeaderValue::from_static(EMPTY));
    if let Some(token) = &keys.token {
        let mut token = HeaderValue::try_from(token).map_err(odd)?;
        token.set_sensitive(true);
        headers.insert(HeaderName::from_static("x-amz-security-token"), token);
    }
    let question = Question { method: Method::GET, url: &url, connect_to: None, headers, body_bytes: PAGE_BYTES };
    let answer = ask(question, authorities, &mut None).await?;
    let body = String::from_utf8_lossy(&answer.body);
    match answer.status {
        200 if !answer.whole => Err("its list is larger than one can be".to_owned()),
        200 if body.contains("<ListBucketResult") => Ok(body.into_owned()),
        200 => Err("what it answers is no list of a bucket; is this an S3 server?".to_owned()),
        _ => Err(refusal(&answer, &body, &now)),
    }
}

/// What a refusal means, and what to do. Its own words may quote what was signed, so only its code is told.
fn refusal(answer: &Answer, body: &str, now: &str) -> String {
    let code = tag(body, "Code").unwrap_or_default();
    let code = crate::host::excerpt(&code);
    let theirs = answer.headers.get(DATE).and_then(|date| date.to_str().ok()).unwrap_or("not told");
    let next = match code.as_str() {
        "RequestTimeTooSkewed" => format!("the clocks differ: here it is {now}, there {theirs}; see: timedatectl"),
        "AccessDenied" => "these keys may not list it: allow s3:ListBucket".to_owned(),
        "InvalidAccessKeyId" => "it does not know these keys; see the file in `credentials`".to_owned(),
        "SignatureDoesNotMatch" => "the secret key is another one; see the file in `credentials`".to_owned(),
        "NoSuchBucket" => "there is no such bucket; see `bucket` and `endpoint`".to_owned(),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => "the bucket is in another `region`".to_owned(),
        _ => "see the server's log".to_owned(),
    };
    format!("it answered {} {code}: {next}", answer.status)
}

/// The text of the first element of this name.
fn tag(xml: &str, name: &str) -> Option<String> {
    let text = between_all(xml, &format!("<{name}>"), &format!("</{name}>")).next()?;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(plain.replace("&#34;", "\"").replace("&#39;", "'").replace("&amp;", "&"))
}

fn between_all<'a>(text: &'a str, open: &str, close: &str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |part| Some(part.split_once(close)?.0)).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b/=</NextContinuationToken>\
        <Contents><Key>w/a &lt;1&gt;.zst</Key><LastModified>2026-11-23T01:00:00.000Z</LastModified><Size>7</Size></Contents>\
        <Contents><Key>w/b.zst</Key><LastModified>2026-11-22T01:00:00.000Z</LastModified><Size>7</Size></Contents>\
        <Contents><Key>w/</Key><LastModified>2026-11-24T01:00:00.000Z</LastModified><Size>0</Size></Contents>\
        <Contents><Key>w/c.log</Key><LastModified>2026-11-24T01:00:00.000Z</LastModified><Size>9</Size></Contents>\
        </ListBucketResult>";

    #[test]
    fn the_newest_object_that_counts_is_taken() {
        let mut seen = BackupSeen::default();
        for object in between_all(PAGE, "<Contents>", "</Contents>") {
            take(&mut seen, object, ".zst").unwrap();
        }
        let newest = BackupCopy { name: "w/a <1>.zst".to_owned(), unix_seconds: 1_795_395_600 };
        assert_eq!(seen, BackupSeen { newest: Some(newest), count: 2 });
        assert_eq!(tag(PAGE, "NextContinuationToken").as_deref(), Some("a&b/="));
        assert!(take(&mut seen, "<Key>a</Key><Size>1</Size>", "").unwrap_err().contains("without LastModified"));
        crate::host::feed_damaged(PAGE, |text| {
            let mut seen = BackupSeen::default();
            for object in between_all(text, "<Contents>", "</Contents>") {
                drop(take(&mut seen, object, ""));
            }
        });
    }

    #[test]
    fn a_refusal_says_what_to_do_and_repeats_nothing_that_was_signed() {
        for (code, told) in [
            (
                "RequestTimeTooSkewed",
                "here it is 20261123T010000Z, there Mon, 23 Nov 2026 03:00:00 GMT; see: timedatectl",
            ),
            ("SignatureDoesNotMatch", "the secret key is another one"),
            ("AccessDenied", "allow s3:ListBucket"),
            ("NoSuchBucket", "see `bucket`"),
            ("SlowDown", "see the server's log"),
        ] {
            let body = format!("<Error><Code>{code}</Code><StringToSign>AWS4 geheim</StringToSign></Error>");
            let mut headers = HeaderMap::new();
            headers.insert(DATE, HeaderValue::from_static("Mon, 23 Nov 2026 03:00:00 GMT"));
            let answer = Answer { status: 403, reason: None, headers, body: Vec::new(), whole: true };
            let said = refusal(&answer, &body, "20261123T010000Z");
            assert!(said.starts_with(&format!("it answered 403 {code}: ")), "{said}");
            assert!(said.contains(told) && !said.contains("geheim"), "{said}");
        }
    }
}
