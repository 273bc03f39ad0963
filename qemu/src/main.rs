//! The lab: boots what we ship in QEMU, breaks it, and says what happened. Started through `qemu/lab`.
//!
//! It must never touch a disk, a network or a process that is not its own.

mod accel;
mod args;
mod checks;
mod clock;
mod console;
mod guest;
mod health;
mod house;
mod http;
mod machine;
mod network;
mod qmp;
mod scene;
mod stories;
mod suite;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::house::House;
use crate::stories::Story;

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
    /// Run one scenario against the images as built
    Story {
        /// Which
        name: Story,
        /// Directory with one built image per recipe [default: out/images]
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
    },
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
            Command::Story { name, images } => {
                let images = images.unwrap_or_else(|| house.out.join("images"));
                stories::run(&house, name, images).await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}
