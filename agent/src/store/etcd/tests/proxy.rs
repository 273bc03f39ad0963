//! A proxy for TCP that can be slow, silent, mute, or cut every connection: what this kernel has no traffic shaper for.
//!
//! It must never change or drop a byte of a connection that it keeps.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// What happens on the way.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    delay_ms: u64,
    /// Nothing gets to the server.
    holds_questions: bool,
    /// Nothing gets to the client.
    holds_answers: bool,
    /// Connections of an earlier count are cut.
    cuts: u64,
}

/// The way between a client and its servers.
#[derive(Debug)]
pub(super) struct Way {
    weather: watch::Sender<Weather>,
}

impl Way {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { weather: watch::channel(Weather::default()).0 })
    }

    /// Each direction takes so long.
    pub(super) fn set_delay_ms(&self, delay_ms: u64) {
        self.weather.send_modify(|weather| weather.delay_ms = delay_ms);
    }

    /// What is kept back, by direction.
    pub(super) fn hold(&self, questions: bool, answers: bool) {
        self.weather.send_modify(|weather| {
            weather.holds_questions = questions;
            weather.holds_answers = answers;
        });
    }

    /// Breaks every connection there is.
    pub(super) fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }
}

/// Serves until the runtime ends.
pub(super) async fn serve(listener: TcpListener, to: (String, u16), way: Arc<Way>) {
    while let Ok((near, _)) = listener.accept().await {
        let (to, way) = (to.clone(), Arc::clone(&way));
        tokio::spawn(async move {
            let mut weather = way.weather.subscribe();
            let began_at = weather.borrow_and_update().cuts;
            let Ok(far) = TcpStream::connect(to).await else { return };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            let forward = async {
                let questions = forward(near_in, far_out, way.weather.subscribe(), |weather| weather.holds_questions);
                let answers = forward(far_in, near_out, way.weather.subscribe(), |weather| weather.holds_answers);
                tokio::join!(questions, answers);
            };
            tokio::select! {
                () = forward => {}
                _ = weather.wait_for(|weather| weather.cuts != began_at) => {}
            }
        });
    }
}

/// Hands bytes on, each a delay after it came, and none while they are held.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    holds: fn(&Weather) -> bool,
) {
    let (late, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let now = weather.clone();
    let reads = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let at = Instant::now() + Duration::from_millis(now.borrow().delay_ms);
            if late.send((at, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writes = async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            if weather.wait_for(|weather| !holds(weather)).await.is_err() || to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reads, writes);
}
