//! The engine against real etcd, and the faults it must survive.
//!
//! `cargo test -p hardstand store::etcd` runs the everyday part, about four minutes; with the environment variable
//! `HARDSTAND_ETCD_MATRIX=all` every cell runs, or those whose name contains its text; with `HARDSTAND_ETCD=PATH` on
//! another etcd than the one that comes with the tests.

mod contract;
mod faults;
mod lab;
mod life;
mod load;
mod proxy;
