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

fn main() -> std::process::ExitCode {
    cli::main()
}
