//! The pure half of hardstand-image: recipes, locks, the tree and its layers, layout arithmetic, the build plan, the
//! manifest. It turns text and bytes into values and must never read a file, run a program or look at a clock.

pub mod chunks;
pub mod cpio;
pub mod firmware;
pub mod glob;
pub mod identity;
pub mod layout;
pub mod lock;
pub mod manifest;
pub mod modules;
pub mod pe;
pub mod plan;
pub mod recipe;
pub mod sbom;
pub mod size;
pub mod sources;
pub mod tree;
pub mod zfs;
