//! The lab: boots what we ship in QEMU, breaks it, and says what happened. Started through `qemu/lab`.
//!
//! It must never touch a disk, a network or a process that is not its own.

mod accel;
mod agent_here;
mod args;
mod attach;
mod bench;
mod checks;
mod clean;
mod clock;
mod console;
mod demo;
mod fleet;
mod follow;
mod guest;
mod health;
mod house;
mod http;
mod images;
mod loopback;
mod machine;
mod network;
mod qmp;
mod scene;
mod simulator;
mod stories;
mod suite;
mod updates;
mod visit;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::house::House;
use crate::stories::{Part, Story};
use crate::visit::Medium;

/// Boots hardstand's images in QEMU, breaks them, and measures.
#[derive(Parser)]
#[command(name = "qemu/lab", bin_name = "qemu/lab", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot three machines, plan, approve and watch a rollout to its end, show its runbook
    Demo {
        /// Instead: boot the live image over the network, show the node, break it and repair it
        #[arg(long)]
        live: bool,
        /// Boot what is built there instead of building [default: build into out/images]
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
    },
    /// Run every check; ends with `N passed, N failed`
    Test,
    /// Measure, side by side with the peers; the table is kept as out/bench.md
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        /// Measure the images built there instead of building [default: build into out/images]
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
        /// Measure only this, without machines
        #[command(subcommand)]
        alone: Option<bench::Alone>,
    },
    /// Run one scenario against the images as built
    Story {
        /// Which
        name: Story,
        /// Directory with one built image per recipe [default: out/images]
        #[arg(long, value_name = "DIR")]
        images: Option<PathBuf>,
        /// Of roll-crash: only this part of its power cuts, such as 3/16 [default: all of them]
        #[arg(long, value_name = "N/M")]
        part: Option<Part>,
    },
    /// Boot a built image and attach to its console
    Run {
        /// Directory of the image, such as out/images/live
        dir: PathBuf,
        #[command(flatten)]
        medium: MediumArgs,
        /// Boot by a BIOS instead of UEFI (over the network only)
        #[arg(long, requires = "pxe")]
        bios: bool,
    },
    /// Boot the installed system (built if it is missing) and attach to its console as root
    Shell,
    /// Build the agent's package; prints its path
    Package,
    /// Make what the fleet's package repository serves (needs the lock of lab-fleet and the release programs)
    Updates,
    /// Build the image of a recipe into out/images
    Build {
        /// The recipe's name, such as live
        recipe: String,
    },
    /// Remove out/, stray machines, and what is long unused in the image store
    Clean {
        /// Remove the caches as well
        #[arg(long)]
        cache: bool,
    },
}

#[derive(Args)]
#[group(multiple = false)]
struct MediumArgs {
    /// As the machine's disk (the default)
    #[arg(long)]
    disk: bool,
    /// As a USB stick
    #[arg(long)]
    usb: bool,
    /// Over the network
    #[arg(long)]
    pxe: bool,
}

impl MediumArgs {
    fn medium(&self) -> Medium {
        match (self.usb, self.pxe) {
            (true, _) => Medium::Usb,
            (_, true) => Medium::Pxe,
            _ => Medium::Disk,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One thread: namespaces are entered by it, and the programs it starts die with it.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lab: starting the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(cli.command));
    // A read of the terminal that nobody ends must not keep us.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    let house = House::here()?;
    match command {
        Command::Demo { live, images } => demo::run(&house, images, live).await?,
        Command::Bench { alone: Some(what), .. } => {
            let held = bench::alone(&house, &what).await?;
            return Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Bench { images, alone: None } => bench::run(&house, images).await?,
        Command::Test => {
            let turn = suite::turn(&house).await;
            let others = Story::IN_TURN.iter().chain(&Story::ON_DEMAND).filter(|story| **story != turn.story);
            let others = others.map(|story| story.name());
            let part = if turn.story == Story::RollCrash { format!(" part {}", turn.cuts) } else { String::new() };
            let others = others.collect::<Vec<_>>().join(" ");
            println!("in turn: story-{}{part}; not told this time: {others}", turn.story.name());
            let tally = checks::run(&house, suite::checks(&house, turn)?).await?;
            return Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Story { name, images, part } => {
            if part.is_some() && name != Story::RollCrash {
                anyhow::bail!("{} has no parts; roll-crash has", name.name());
            }
            let images = images.unwrap_or_else(|| house.out.join("images"));
            stories::run(&house, name, images, part).await?;
        }
        Command::Run { dir, medium, bios } => visit::visit(&house, &dir, medium.medium(), bios).await?,
        Command::Shell => {
            let image = house.image("lab-node");
            if !image.is_dir() {
                images::make(&house, "lab-node").await?;
            }
            visit::visit(&house, &image, Medium::Disk, false).await?;
        }
        Command::Package => println!("{}", images::package(&house).await?.display()),
        Command::Updates => updates::make(&house).await?,
        Command::Build { recipe } => images::make(&house, &recipe).await?,
        Command::Clean { cache } => clean::clean(&house, cache).await?,
    }
    Ok(ExitCode::SUCCESS)
}
