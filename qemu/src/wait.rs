//! Waiting for a condition, with a limit and a name. The lab has no other way to let time pass.
//!
//! It must never sleep for a fixed time in the hope that something has happened by then.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks at a condition. Short against everything the lab waits for, long against the cost of a look.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until there is something to see, at most `limit`. The error says what was waited for.
pub(crate) async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if start.elapsed() > limit {
            bail!("waited {} s for {what}, which did not come", limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_that_fails_says_for_what() {
        let limit = Duration::from_millis(1);
        let error = until("the sun", limit, async || Ok(None::<()>)).await.unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s for the sun, which did not come");
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_condition_holds() {
        let mut looks = 0;
        let seen = until("three looks", Duration::from_secs(10), async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        })
        .await
        .unwrap();
        assert_eq!(seen, 3);
    }
}
