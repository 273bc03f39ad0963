//! Entry point of `hardstand`: reads the command line and hands over to `cli`.
//!
//! It must never decide anything.

// Taken up by the control loop, which begins steps, reads facts and writes the journal.
#[allow(dead_code)]
mod act;
mod cli;
mod config;
mod crew;
mod durable;
#[allow(dead_code)]
mod facts;
#[cfg(test)]
mod hang;
mod helper;
mod host;
#[allow(dead_code)]
mod journal;
mod probe;
mod report;
mod run;
mod state;

fn main() -> std::process::ExitCode {
    cli::main()
}
