//! Where the health comes from: the running agent, or one pass from here.
//!
//! It must never mix the two.

use super::ViewArgs;
use super::client::Agent;
use crate::report::document::HealthDocument;
use crate::{config, run};

/// Where the health comes from.
pub(super) enum Source<'a> {
    /// The running agent.
    Agent(Agent),
    /// One pass from here, each time it is asked for.
    Local(&'a ViewArgs),
}

impl<'a> Source<'a> {
    pub(super) fn of(view: &'a ViewArgs) -> anyhow::Result<Self> {
        if view.local { Ok(Self::Local(view)) } else { Ok(Self::Agent(Agent::at(&view.socket.socket)?)) }
    }

    pub(super) fn health(&self) -> anyhow::Result<HealthDocument> {
        match self {
            Self::Agent(agent) => Ok(agent.get("/v1/health")?),
            Self::Local(view) => {
                let (_, health) = run::local_pass(config::load(view.config.as_deref())?.settings)?;
                Ok(HealthDocument::from(&health))
            }
        }
    }
}
