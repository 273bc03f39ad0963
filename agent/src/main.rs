//! Entry point of `hardstand`: reads the command line and hands over to `cli`.
//!
//! It must never decide anything.

mod cli;
mod config;
#[allow(dead_code)]
mod crew;
mod helper;
#[allow(dead_code)]
mod host;
#[allow(dead_code)]
mod probe;
mod report;
mod run;
mod state;

fn main() -> std::process::ExitCode {
    cli::main()
}
