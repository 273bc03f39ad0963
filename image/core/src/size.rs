//! Sizes as people write them (`80 MB`, `2 GiB`). Integers only: a size is never a float.

/// Parses `80 MB`, `2GiB`, `512`; decimal and binary units. The error says what would be right.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("`{other}` is not a unit; write kB, MB, GB, KiB, MiB or GiB, as in \"80 MB\"")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is not a size; write a whole number and a unit, as in \"80 MB\""))
}

/// A size for people: decimal units, one digit after the point (`74.5 MB`).
pub fn words(bytes: u64) -> String {
    for (factor, unit) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")] {
        if bytes >= factor {
            let tenths = (u128::from(bytes) * 10 + u128::from(factor) / 2) / u128::from(factor);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::{parse, words};

    #[test]
    fn sizes_are_read_and_written_exactly() {
        assert_eq!(parse("80 MB"), Ok(80_000_000));
        assert_eq!(parse("2GiB"), Ok(2 << 30));
        assert_eq!(parse("512"), Ok(512));
        assert_eq!(words(74_460_000), "74.5 MB");
        assert_eq!(words(999), "999 B");
        assert_eq!(
            parse("80 Mb"),
            Err("`Mb` is not a unit; write kB, MB, GB, KiB, MiB or GiB, as in \"80 MB\"".to_owned())
        );
        assert!(parse("99999999999 GiB").is_err());
        assert!(parse("MB").is_err());
    }
}
