//! Entry point of `hardstand`: reads the command line and hands over to `cli`.
//!
//! It must never decide anything.

#[allow(dead_code, reason = "taken up by the control loop")]
mod act;
mod cli;
mod config;
mod crew;
mod durable;
#[allow(dead_code, reason = "taken up by the control loop")]
mod facts;
#[cfg(test)]
mod hang;
mod helper;
mod host;
#[allow(dead_code, reason = "taken up by the control loop")]
mod journal;
mod member;
mod probe;
mod report;
mod run;
mod state;
mod store;
mod trust;

fn main() -> std::process::ExitCode {
    cli::main()
}
