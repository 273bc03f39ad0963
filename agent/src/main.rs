//! Entry point of `hardstand`: reads the command line and hands over to `cli`.
//!
//! It must never decide anything.

#[allow(dead_code, reason = "the operator commands that use the rest are built beside it")]
mod act;
mod cli;
mod config;
mod crew;
mod durable;
#[allow(dead_code, reason = "the operator commands that use the rest are built beside it")]
mod facts;
mod fleetlock;
#[cfg(test)]
mod hang;
mod helper;
mod hmac;
mod host;
#[allow(dead_code, reason = "the operator commands that use the rest are built beside it")]
mod journal;
mod member;
mod probe;
mod report;
mod run;
mod state;
#[allow(dead_code, reason = "the operator commands that use the rest are built beside it")]
mod store;
#[allow(dead_code, reason = "the operator commands that use the rest are built beside it")]
mod trust;

fn main() -> std::process::ExitCode {
    cli::main()
}
