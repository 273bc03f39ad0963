//! Entry point of `hardstand`: reads the command line and hands over to `cli`.
//!
//! It must never decide anything.

mod act;
mod cli;
mod config;
mod crew;
mod durable;
mod facts;
#[cfg(test)]
mod hang;
mod helper;
mod host;
mod journal;
mod probe;
mod report;
mod run;
mod state;

fn main() -> std::process::ExitCode {
    cli::main()
}
