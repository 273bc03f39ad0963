//! Downloads packages of a lock into the store, several at once, each checked against its hash before it has a name.
//! What is there already is not asked for again, so an interrupted run goes on where it stopped.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use hardstand_recipe::lock::Package;
use hardstand_recipe::sources::Mirrors;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::files;
use crate::problem::{Doing, Problem};
use crate::progress::Progress;
use crate::store::Store;

/// Connections at once: hides the round trips of small packages without being a burden to a mirror.
const PARALLEL: usize = 6;
/// A mirror that sends nothing for this long is given up.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// Times a file is asked for: a dropped connection is common, a mirror that drops three is broken.
const ATTEMPTS: u32 = 3;

/// Makes sure that every package is in the store.
pub(crate) async fn packages(store: &Store, mirrors: &Mirrors, packages: &[Package]) -> Result<(), Problem> {
    let mut missing = VecDeque::new();
    for package in packages {
        if store.package(&package.sha256, package.size)?.is_none() {
            missing.push_back(package.clone());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    // The provider is process-wide; a second installation is refused and means that it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .read_timeout(SILENCE_LIMIT)
        .connect_timeout(SILENCE_LIMIT)
        .build()
        .doing(|| "setting up HTTP".to_owned())?;
    let mut progress = Progress::new("downloading packages", missing.iter().map(|package| package.size).sum());
    let shared = Arc::new((client, store.clone(), mirrors.clone()));
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    loop {
        while running.len() < PARALLEL {
            let Some(package) = missing.pop_front() else { break };
            running.spawn(fetch(Arc::clone(&shared), package, tell.clone()));
        }
        if running.is_empty() {
            break;
        }
        tokio::select! {
            Some(bytes) = told.recv() => progress.add(bytes),
            Some(ended) = running.join_next() => {
                ended.map_err(|panic| Problem::Refused(format!("a download ended by a bug: {panic}")))??;
            }
        }
    }
    progress.end();
    Ok(())
}

async fn fetch(
    shared: Arc<(reqwest::Client, Store, Mirrors)>,
    package: Package,
    tell: mpsc::UnboundedSender<u64>,
) -> Result<(), Problem> {
    let (client, store, mirrors) = &*shared;
    let base = if package.archive == "security" {
        mirrors.security.as_ref().ok_or_else(|| {
            Problem::Refused(format!("{} is in the security archive; name it with --security-mirror URL", package.name))
        })?
    } else {
        &mirrors.main
    };
    let url = format!("{base}/{}", package.path);
    let mut attempt = 1;
    loop {
        match fetch_once(client, store, &package, &url, &tell).await {
            Err(Problem::Http { source, .. }) if attempt < ATTEMPTS && source.status().is_none() => attempt += 1,
            result => return result,
        }
    }
}

async fn fetch_once(
    client: &reqwest::Client,
    store: &Store,
    package: &Package,
    url: &str,
    tell: &mpsc::UnboundedSender<u64>,
) -> Result<(), Problem> {
    let doing = || {
        format!(
            "downloading {} {} (if the mirror has moved on, run `hardstand-image lock` again)",
            package.name, package.version
        )
    };
    let mut answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status).doing(doing)?;
    let temporary = files::temporary_beside(&store.package_path(&package.sha256));
    let result = async {
        let writing = || format!("writing {}", temporary.display());
        let mut file = std::fs::File::create_new(&temporary).doing(writing)?;
        let mut hash = Sha256::new();
        while let Some(piece) = answer.chunk().await.doing(doing)? {
            hash.update(&piece);
            file.write_all(&piece).doing(writing)?;
            // Nobody listens any more only when the whole download has already failed.
            let _ = tell.send(piece.len() as u64);
        }
        file.sync_all().doing(writing)?;
        let found = files::hex(&hash.finalize());
        if found != package.sha256 {
            return Err(Problem::Refused(format!(
                "{url} has SHA-256 {found}, the lock says {}; the mirror or something on the way is wrong: use another mirror, or run `hardstand-image lock` again",
                package.sha256
            )));
        }
        store.adopt(&temporary, &package.sha256)
    }
    .await;
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}
