//! The doors the agent answers at: the metrics page over TCP and the operators' socket.
//!
//! It must never end the agent because a door cannot be opened: the node is watched all the same, and the log says
//! which door is shut and why.

use std::path::Path;

use tokio::task::JoinHandle;

use super::serve::{Shared, bind_tcp, bind_unix, serve_tcp, serve_unix};

/// The open doors. Dropping it shuts them.
pub(crate) struct Doors {
    shared: Shared,
    listen: String,
    page: Option<JoinHandle<std::convert::Infallible>>,
    socket: Option<JoinHandle<std::convert::Infallible>>,
}

impl Doors {
    /// Opens what can be opened.
    pub(crate) async fn open(listen: &str, socket: &Path, shared: Shared) -> Self {
        let mut doors = Self { shared, listen: String::new(), page: None, socket: None };
        doors.listen_on(listen).await;
        match bind_unix(socket).await {
            Ok(listener) => doors.socket = Some(tokio::spawn(serve_unix(listener, doors.shared.clone()))),
            Err(error) => tracing::error!(error = %error, "operators' socket stays shut"),
        }
        doors
    }

    /// Moves the metrics page to another address, or takes it away (`off`). The same address again opens a door that
    /// could not be opened before.
    pub(crate) async fn listen_on(&mut self, listen: &str) {
        if self.listen == listen && self.page.is_some() {
            return;
        }
        if let Some(page) = self.page.take() {
            page.abort();
        }
        listen.clone_into(&mut self.listen);
        match bind_tcp(listen).await {
            Ok(Some(listener)) => self.page = Some(tokio::spawn(serve_tcp(listener, self.shared.clone()))),
            Ok(None) => {}
            Err(error) => tracing::error!(error = %error, "metrics page stays shut"),
        }
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        for door in [&self.page, &self.socket].into_iter().flatten() {
            door.abort();
        }
    }
}
