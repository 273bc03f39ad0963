//! The fleet's certificates and who its store is, made as an operator makes them: with `hardstand ca` of the programs as
//! built, in the story's own directory.
//!
//! It must never put a key into an image or into an argument of a program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::Run;

use super::seed::ETCD_TLS;
use super::{Seed, SeedFile, Topology};

/// Making a key takes milliseconds.
const CA_LIMIT: Duration = Duration::from_secs(30);
/// Where a node's agent looks for its certificates.
const CREDENTIALS: &str = "/etc/hardstand/credentials";

/// What the fleet's store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A file on the storage box, served by its agent.
    Embedded,
    /// One etcd with a member on each machine.
    Etcd,
}

/// The authority of one fleet.
#[derive(Debug)]
pub(crate) struct Trust {
    program: PathBuf,
    dir: PathBuf,
}

impl Trust {
    /// Makes an authority in `dir`.
    pub(crate) async fn make(program: &Path, dir: PathBuf) -> Result<Self> {
        let trust = Self { program: program.to_owned(), dir };
        trust.ca(&["init", &trust.path("ca")]).await?;
        Ok(trust)
    }

    /// Adds to every machine what makes it a member of a fleet on this engine.
    pub(crate) async fn enlist(&self, topology: &mut Topology, engine: Engine) -> Result<()> {
        let all = topology.seeds.clone();
        for seed in &mut topology.seeds {
            let (ca, out) = (self.path("ca"), self.path(&seed.name));
            let address = seed.address().to_string();
            let names = ["issue", "node", &seed.name, "--ca", &ca, "--out", &out];
            let addresses = ["--address", &address, "--address", "127.0.0.1", "--address", &seed.name];
            self.ca(&[&names[..], &addresses[..]].concat()).await?;
            let read = |path: String| std::fs::read_to_string(&path).with_context(|| format!("reading {path}"));
            let authority = read(format!("{ca}/ca.crt"))?;
            let (certificate, key) =
                (read(format!("{out}/node-{}.crt", seed.name))?, read(format!("{out}/node-{}.key", seed.name))?);
            let mut put = |path: String, mode, group, text: &str| {
                seed.files.push(SeedFile { path, mode, user: "root", group, text: text.to_owned() });
            };
            let own = format!("{CREDENTIALS}/node-{}", seed.name);
            put(format!("{CREDENTIALS}/ca.crt"), "0644", "hardstand", &authority);
            put(format!("{CREDENTIALS}/crl.pem"), "0644", "hardstand", &read(format!("{ca}/crl.pem"))?);
            put(format!("{own}.crt"), "0644", "hardstand", &certificate);
            put(format!("{own}.key"), "0640", "hardstand", &key);
            if engine == Engine::Etcd {
                put(format!("{ETCD_TLS}/ca.crt"), "0644", "etcd", &authority);
                put(format!("{ETCD_TLS}/member.crt"), "0644", "etcd", &certificate);
                put(format!("{ETCD_TLS}/member.key"), "0640", "etcd", &key);
                seed.files.push(seed.etcd(&all, true));
            }
            let settings = store_settings(engine, seed, &all);
            seed.files.push(SeedFile::plain("/etc/hardstand/agent.toml.d/60-store.toml", settings));
        }
        Ok(())
    }

    /// The directory of a person's certificates, as `--credentials` wants it.
    pub(crate) async fn operator(&self, name: &str) -> Result<PathBuf> {
        let (ca, out) = (self.path("ca"), self.path(name));
        self.ca(&["issue", "operator", name, "--ca", &ca, "--out", &out]).await?;
        let out = PathBuf::from(out);
        for file in ["ca.crt", "crl.pem"] {
            std::fs::copy(Path::new(&ca).join(file), out.join(file)).with_context(|| format!("copying {file}"))?;
        }
        Ok(out)
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    async fn ca(&self, words: &[&str]) -> Result<()> {
        let run = Run::new(&self.program, CA_LIMIT).arg("ca").args(words);
        run.success().await.context("making the fleet's certificates")?;
        Ok(())
    }
}

/// `[store]` of a machine's agent; of a person's when `seed` is none of `all`.
pub(crate) fn store_settings(engine: Engine, seed: &Seed, all: &[Seed]) -> String {
    let host = all.last().expect("a fleet has machines");
    match engine {
        Engine::Embedded if seed.name == host.name => {
            format!("[store]\nengine = \"embedded\"\nvoters = []\nlisten = \"{}:9788\"\n", host.address())
        }
        Engine::Embedded => {
            format!("[store]\nengine = \"remote\"\nendpoints = [\"https://{}:9788\"]\n", host.address())
        }
        Engine::Etcd => {
            // Its own member first.
            let others = all.iter().filter(|other| other.name != seed.name);
            let own = all.iter().filter(|own| own.name == seed.name);
            let urls: Vec<String> =
                own.chain(others).map(|member| format!("\"https://{}:2379\"", member.address())).collect();
            let voters: Vec<String> = all.iter().map(|seed| format!("\"{}\"", seed.name)).collect();
            let (urls, voters) = (urls.join(", "), voters.join(", "));
            format!("[store]\nengine = \"etcd\"\nendpoints = [{urls}]\nvoters = [{voters}]\n")
        }
    }
}
