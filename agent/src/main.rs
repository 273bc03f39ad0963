//! Entry point of `hardstand`: reads the command line and hands over to `cli`.
//!
//! It must never decide anything.

mod cli;
mod config;
mod crew;
#[cfg(test)]
mod hang;
mod helper;
mod host;
mod probe;
mod report;
mod run;
mod state;
#[allow(dead_code, unused_imports, reason = "the leader and the node that use it are built beside it")]
mod store;
#[allow(dead_code, unused_imports, reason = "the leader and the node that use it are built beside it")]
mod trust;

fn main() -> std::process::ExitCode {
    cli::main()
}
