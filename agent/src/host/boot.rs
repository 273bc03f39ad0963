//! The running kernel, installed kernels, and why a reboot is due.
use super::{Host, HostError};
use hardstand_core::observed::Kernel;
pub(crate) fn probe_kernel(_host: &Host) -> Result<Kernel, HostError> {
    Err(HostError::Broken("not written yet".to_owned()))
}
