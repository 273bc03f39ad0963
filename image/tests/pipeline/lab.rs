//! The small image all tests of the pipeline share: its recipe, its lock, its store. It is made once per run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_exec::{Finished, Run};
use tokio::sync::OnceCell;

/// One build of the small image takes half a minute; a busy machine several times that.
pub(crate) const LIMIT: Duration = Duration::from_secs(900);

/// A recipe, its lock, a store with its packages, and the image built from them twice.
pub(crate) struct Lab {
    /// Where all of it lies.
    pub(crate) dir: PathBuf,
}

impl Lab {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.command(env!("CARGO_BIN_EXE_hardstand-image")).args(args)
    }

    pub(crate) fn command(&self, program: &str) -> Run {
        Run::new(program, LIMIT)
            .env("HOME", &self.dir)
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("TMPDIR", self.path("tmp"))
            .dir(&self.dir)
    }

    pub(crate) fn build(&self, recipe: &str, store: &str, out: &str) -> Run {
        self.run(&["build", recipe, "--lock", "tiny.lock", "--store", store, "--out", out])
    }

    /// A store with the same packages and nothing derived.
    pub(crate) fn fresh_store(&self, name: &str) {
        let _ = fs::remove_dir_all(self.path(name));
        fs::create_dir_all(self.path(name)).unwrap();
        std::os::unix::fs::symlink("../store/packages", self.path(name).join("packages")).unwrap();
    }

    /// A recipe like the small one, with an overlay of these files.
    pub(crate) fn with_overlay(&self, name: &str, files: &[(&str, &str)]) -> String {
        let overlay = self.path(&format!("{name}-overlay"));
        for (path, text) in files {
            let target = overlay.join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, text).unwrap();
        }
        let recipe = format!("{name}.toml");
        let text = format!("extends = \"tiny\"\noverlays = [\"./{name}-overlay\"]\n");
        fs::write(self.path(&recipe), text).unwrap();
        recipe
    }
}

pub(crate) async fn lab() -> &'static Lab {
    static LAB: OnceCell<Lab> = OnceCell::const_new();
    LAB.get_or_init(|| async {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pipeline");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("tmp")).unwrap();
        let recipe = "suite = \"trixie\"\nkernel = \"cloud\"\npackages = [\"systemd-sysv\", \"udev\"]\n\
                      modules = [\"virtio_net\", \"ext4\"]\noutputs = [\"netboot\", \"disk\"]\ncompression = 1\n\
                      cmdline = [\"console=ttyS0\"]\nsize_budget = \"200 MB\"\nremove = [\"/usr/share/doc/**\", \"/var/log/**\", \"/var/cache/**\", \"/etc/apt/sources.list\", \"/dev/**\"]\n";
        fs::write(dir.join("tiny.toml"), recipe).unwrap();
        let lab = Lab { dir };
        lab.run(&["lock", "tiny.toml", "--store", "store"]).success().await.unwrap();
        let built = lab.build("tiny.toml", "store", "image").arg("--twice").success().await.unwrap();
        assert!(built.stderr.contains("built twice: every byte is the same"), "{}", built.stderr);
        lab
    })
    .await
}

pub(crate) fn stdout(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stdout).into_owned()
}
