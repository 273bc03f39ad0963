//! `hardstand-image`: makes bootable media from recipes. It must never patch or reboot a running node.

mod apt;
mod build;
mod cli;
mod date;
mod deb;
mod disk;
mod esp;
mod ext4;
mod fetch;
mod files;
mod kernel;
mod load;
mod media;
mod mirrors;
mod mmdebstrap;
mod output;
mod pack;
mod pcr;
mod problem;
mod progress;
mod rootfs;
mod scratch;
mod seal;
mod sign;
mod store;
mod twice;
mod uki;
mod verify;
mod zfs;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hardstand-image: starting: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run()) {
        Ok(status) => status,
        Err(problem) => {
            let disk_full = problem.is_disk_full();
            eprintln!("hardstand-image: {:#}", anyhow::Error::from(problem));
            if disk_full {
                eprintln!(
                    "  the disk is full: free some space (TMPDIR names the place for scratch, --store the package store) and run it again; nothing half-written is kept"
                );
            }
            ExitCode::FAILURE
        }
    }
}
