//! systemd over D-Bus: system state, failed and declared units.
