//! Reads recipes with their ancestors, overlays and locks from disk into values. It must never follow a recipe outside
//! its own directory by accident: `extends` names a file beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hardstand_recipe::lock::Lock;
use hardstand_recipe::manifest::Manifest;
use hardstand_recipe::recipe::{self, Recipe, RecipeError};
use hardstand_recipe::tree::{Kind, Node, Origin, Tree};

use crate::files;
use crate::problem::{Doing, Problem};
use crate::seal::MANIFEST;

/// A chain of `extends` longer than this is a mistake.
const MOST_ANCESTORS: usize = 16;

/// Reads a recipe and its ancestors.
pub(crate) fn recipe(path: &Path) -> Result<Recipe, Problem> {
    let file = path.display().to_string();
    let refuse = |file: &Path, problem: String| {
        Problem::Recipe(RecipeError::Meaning { file: file.display().to_string(), problem })
    };
    let mut chain = Vec::new();
    let mut seen = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(here) = next.take() {
        if seen.contains(&here) || seen.len() == MOST_ANCESTORS {
            return Err(refuse(path, format!("`extends` leads back to {}; break the circle", here.display())));
        }
        let text = match (fs::read_to_string(&here), seen.last()) {
            (Err(error), Some(child)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(refuse(child, format!("`extends` names {}, which does not exist", here.display())));
            }
            (read, _) => read.doing(|| format!("reading recipe {}", here.display()))?,
        };
        let parsed = recipe::parse(&here.display().to_string(), &text)?;
        next = parsed.extends.as_ref().map(|name| here.with_file_name(format!("{name}.toml")));
        seen.push(here);
        chain.push(parsed);
    }
    chain.reverse();
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(recipe::resolve(&name, &file, chain)?)
}

/// The directory of an overlay: `../overlays/NAME` seen from the recipe, or the path itself if the name has a slash.
pub(crate) fn overlay_dir(recipe: &Path, name: &str) -> PathBuf {
    let here = recipe.parent().unwrap_or(Path::new("."));
    if name.contains('/') { here.join(name) } else { here.join("../overlays").join(name) }
}

/// Reads an overlay: modes are 0755 or 0644 by the executable bit (all that version control keeps), owner root.
pub(crate) fn overlay(recipe: &Path, name: &str, clock: u64) -> Result<Tree, Problem> {
    let dir = overlay_dir(recipe, name);
    if !dir.is_dir() {
        return Err(Problem::Recipe(RecipeError::Meaning {
            file: recipe.display().to_string(),
            problem: format!("overlay `{name}` is not a directory at {}; make it or correct `overlays`", dir.display()),
        }));
    }
    let mut tree = Tree::default();
    walk(&dir, "", &Origin::Overlay(name.to_owned()), clock, &mut tree)?;
    Ok(tree)
}

/// Reads a lock.
pub(crate) fn lock(path: &Path) -> Result<Lock, Problem> {
    if !path.is_file() {
        return Err(Problem::Refused(format!(
            "there is no lock at {}; make it with `hardstand-image lock RECIPE --lock {}`",
            path.display(),
            path.display()
        )));
    }
    Ok(Lock::parse(&path.display().to_string(), &files::read_text(path)?)?)
}

/// Reads the manifest of an image directory.
pub(crate) fn manifest(dir: &Path) -> Result<Manifest, Problem> {
    let path = dir.join(MANIFEST);
    serde_json::from_slice(&files::read(&path)?).map_err(|error| {
        Problem::Refused(format!("{}: {error}; check the image with `hardstand-image verify`", path.display()))
    })
}

fn walk(dir: &Path, prefix: &str, origin: &Origin, clock: u64, tree: &mut Tree) -> Result<(), Problem> {
    let doing = || format!("reading overlay {}", dir.display());
    for entry in fs::read_dir(dir).doing(doing)? {
        let entry = entry.doing(doing)?;
        let name = entry.file_name().into_string().map_err(|name| {
            Problem::Refused(format!("{}: the name {} is not UTF-8; rename it", dir.display(), name.display()))
        })?;
        let path = format!("{prefix}{name}");
        let meta = entry.metadata().doing(doing)?;
        let node = Node::dir(clock, origin.clone());
        if meta.is_dir() {
            tree.insert(&path, node);
            walk(&entry.path(), &format!("{path}/"), origin, clock, tree)?;
        } else if meta.is_symlink() {
            let target = fs::read_link(entry.path()).doing(doing)?;
            tree.insert(
                &path,
                Node { mode: 0o777, kind: Kind::Symlink(target.to_string_lossy().into_owned()), ..node },
            );
        } else {
            let mode = if meta.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            tree.insert(&path, Node { mode, ..Node::file(files::read(&entry.path())?, clock, origin.clone()) });
        }
    }
    Ok(())
}
