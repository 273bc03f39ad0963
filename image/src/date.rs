//! The one date format an archive's Release file uses, and the one an SBOM wants. No clock is read here.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: u64 = 86_400;

/// `Sat, 15 Nov 2025 10:08:55 UTC` as seconds since 1970; `None` for anything else.
pub(crate) fn parse_rfc5322(text: &str) -> Option<u64> {
    let words: Vec<_> = text.split_whitespace().collect();
    let [_, day, month, year, time, "UTC" | "GMT" | "+0000"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let clock: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = clock[..] else { return None };
    let days = days_before(year.parse().ok()?, month, day.parse().ok()?)?;
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

/// Seconds since 1970 as `2025-11-15T10:08:55Z`.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (mut year, mut days) = (1970, seconds / DAY);
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    let rest = seconds % DAY;
    format!("{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z", days + 1, rest / 3600, rest / 60 % 60, rest % 60)
}

fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || day == 0 || day > month_days(year, month) {
        return None;
    }
    let years: u64 = (1970..year).map(year_days).sum();
    Some(years + (1..month).map(|month| month_days(year, month)).sum::<u64>() + day - 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn year_days(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(is_leap(year)),
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_rfc5322, rfc3339};

    #[test]
    fn dates_of_release_files_are_read_and_written() {
        let seconds = parse_rfc5322("Sat, 15 Nov 2025 10:08:55 UTC").unwrap();
        assert_eq!(seconds, 1_763_201_335);
        assert_eq!(rfc3339(seconds), "2025-11-15T10:08:55Z");
        assert_eq!(rfc3339(parse_rfc5322("Thu, 29 Feb 2024 00:00:00 UTC").unwrap()), "2024-02-29T00:00:00Z");
        assert_eq!(parse_rfc5322("Fri, 30 Feb 2024 00:00:00 UTC"), None);
        assert_eq!(parse_rfc5322("yesterday"), None);
    }
}
