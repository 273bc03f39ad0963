//! Compares what a screen shows with a file a person has read. `HARDSTAND_BLESS=1` writes the file anew.
//!
//! It must never be compiled into the product.

use std::path::Path;

/// Fails with both texts when `shown` differs from `agent/goldens/NAME`.
#[track_caller]
pub(crate) fn assert_golden(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name);
    if std::env::var_os("HARDSTAND_BLESS").is_some() {
        std::fs::write(&path, shown).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(shown == wanted, "{} differs; wanted:\n{wanted}\nshown:\n{shown}", path.display());
}

/// Fails when a line is wider than `width` columns.
#[track_caller]
pub(crate) fn assert_fits(shown: &str, width: usize) {
    for line in shown.lines() {
        assert!(super::terminal::columns(line) <= width, "wider than {width}: {line}");
    }
}
