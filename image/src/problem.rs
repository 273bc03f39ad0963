//! What can go wrong at the edges, as values. Each says what was being done; `main` prints the chain and, for causes a
//! person meets often, what to do next. It must never hide the source of an error.

use std::io;

use hardstand_exec::ExecError;
use hardstand_recipe::lock::LockError;
use hardstand_recipe::modules::ModulesError;
use hardstand_recipe::pe::PeError;
use hardstand_recipe::plan::PlanError;
use hardstand_recipe::recipe::RecipeError;
use hardstand_recipe::tree::OverlayError;

/// One error of the image program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{doing}")]
    Io { doing: String, source: io::Error },
    #[error("{doing}")]
    Program { doing: String, source: ExecError },
    #[error("{doing}")]
    Http { doing: String, source: reqwest::Error },
    #[error("writing the partition table of {file}")]
    Gpt { file: String, source: gptman::Error },
    #[error("{doing}")]
    Sign { doing: String, source: minisign::PError },
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Modules(#[from] ModulesError),
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("reading or making a UKI")]
    Pe(#[from] PeError),
    /// A sentence that says what is wrong and what the operator can do.
    #[error("{0}")]
    Refused(String),
}

impl Problem {
    /// Whether a full disk is behind it: then the way out is the same wherever it happened.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Program { source: ExecError::Failed { stderr, .. }, .. } => {
                stderr.contains("No space left on device")
            }
            _ => false,
        }
    }
}

/// Puts what was being done in front of an error.
pub(crate) trait Doing<T> {
    /// `doing` is a lower-case gerund: "reading /etc/...".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Problem>;
}

impl<T> Doing<T> for Result<T, io::Error> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Problem> {
        self.map_err(|source| Problem::Io { doing: doing(), source })
    }
}

impl<T> Doing<T> for Result<T, ExecError> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Problem> {
        self.map_err(|source| Problem::Program { doing: doing(), source })
    }
}

impl<T> Doing<T> for Result<T, reqwest::Error> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Problem> {
        self.map_err(|source| Problem::Http { doing: doing(), source })
    }
}

impl<T> Doing<T> for Result<T, minisign::PError> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Problem> {
        self.map_err(|source| Problem::Sign { doing: doing(), source })
    }
}
