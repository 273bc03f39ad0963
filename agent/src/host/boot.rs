//! The running kernel, installed kernels, and why a reboot is due.
