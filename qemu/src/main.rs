//! The lab: boots what we ship in QEMU, breaks it, and says what happened. Started through `qemu/lab`.
//!
//! It must never touch a disk, a network or a process that is not its own.

mod accel;
mod args;
mod checks;
mod clock;
mod console;
mod guest;
mod house;
mod http;
mod machine;
mod network;
mod qmp;
mod suite;
mod wait;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::house::House;

/// Boots hardstand's images in QEMU, breaks them, and measures.
#[derive(Parser)]
#[command(name = "qemu/lab", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check; ends with `N passed, N failed`
    Test,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let house = House::here()?;
    // One thread: namespaces are entered by it, and the programs it starts die with it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        match command {
            Command::Test => {
                let tally = checks::run(&house, suite::checks(&house)?).await?;
                Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    })
}
