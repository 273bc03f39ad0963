//! Calendar expressions: `[weekdays] [year-month-day] [hour:minute[:second]]`, each part with `*`, lists, ranges, steps.
//!
//! It must never take a text it does not understand wholly: time zones and `~` are refused, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Days in 400 years, after which the calendar repeats.
const DAYS_400_YEARS: i64 = 146_097;
/// How far ahead the next opening is looked for.
const LOOK_AHEAD_DAYS: i64 = 366;
const DAY: i64 = 86_400;

/// A local time, to the second. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Civil {
    day: i64,
    second: i64,
}

impl Civil {
    /// The local time so many seconds after 1970-01-01 00:00 local time (UTC seconds plus the zone's offset).
    pub fn from_seconds(seconds: i64) -> Self {
        Self { day: seconds.div_euclid(DAY), second: seconds.rem_euclid(DAY) }
    }

    /// Seconds since 1970-01-01 00:00 local time.
    pub fn seconds(self) -> i64 {
        self.day * DAY + self.second
    }

    fn weekday(self) -> u32 {
        // 1970-01-01 was a Thursday; Monday is 0.
        u32::try_from((self.day + 3).rem_euclid(7)).unwrap_or(0)
    }

    /// Year, month and day of the proleptic Gregorian calendar.
    fn date(self) -> (i64, u32, u32) {
        // Counted from 0000-03-01, so that a leap day is the last day of its year.
        let shifted = self.day + 719_468;
        let era = shifted.div_euclid(DAYS_400_YEARS);
        let day_of_era = shifted.rem_euclid(DAYS_400_YEARS);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        (year, u32::try_from(month).unwrap_or(0), u32::try_from(day).unwrap_or(0))
    }

    fn of(year: i64, month: u32, day: u32, second: i64) -> Self {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self { day: era * DAYS_400_YEARS + day_of_era - 719_468, second }
    }
}

impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second) = (self.second / 3_600, self.second / 60 % 60, self.second % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

impl FromStr for Civil {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no local time; write 2026-12-06 02:00:00");
        let numbers: Vec<i64> = text
            .split(['-', ' ', ':', 'T'])
            .map(str::parse)
            .collect::<Result<_, std::num::ParseIntError>>()
            .map_err(|_| wrong())?;
        let [year, month, day, hour, minute, second] = numbers.try_into().map_err(|_| wrong())?;
        let (month, day) = (u32::try_from(month).map_err(|_| wrong())?, u32::try_from(day).map_err(|_| wrong())?);
        let time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        let found = Self::of(year, month, day, hour * 3_600 + minute * 60 + second);
        if time && found.date() == (year, month, day) { Ok(found) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for Civil {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Civil> for String {
    fn from(time: Civil) -> Self {
        time.to_string()
    }
}

/// A text that is no calendar expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no calendar expression: {why}; write for example \"Sun *-*-1..7 02:00\"")]
pub struct NotACalendar {
    text: String,
    why: String,
}

/// A calendar expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Calendar {
    text: String,
    weekdays: Field,
    year: Field,
    month: Field,
    day: Field,
    /// Seconds of the day at which it matches, in their order.
    times: Vec<i64>,
}

impl Calendar {
    /// The latest match at or before `now`, no further back than `within` seconds.
    pub(super) fn last_at_or_before(&self, now: Civil, within: u64) -> Option<Civil> {
        let earliest = now.seconds().checked_sub(i64::try_from(within).ok()?)?;
        let first_day = Civil::from_seconds(earliest).day;
        (first_day..=now.day)
            .rev()
            .filter(|day| self.matches_day(*day))
            .find_map(|day| {
                let last = self.times.iter().rev().find(|second| day < now.day || **second <= now.second);
                last.map(|second| Civil { day, second: *second })
            })
            .filter(|found| found.seconds() >= earliest)
    }

    /// The first match after `now`, within a year.
    pub(super) fn next_after(&self, now: Civil) -> Option<Civil> {
        (now.day..=now.day + LOOK_AHEAD_DAYS).filter(|day| self.matches_day(*day)).find_map(|day| {
            let first = self.times.iter().find(|second| day > now.day || **second > now.second);
            first.map(|second| Civil { day, second: *second })
        })
    }

    fn matches_day(&self, day: i64) -> bool {
        let time = Civil { day, second: 0 };
        let (year, month, day) = time.date();
        let year = u32::try_from(year).unwrap_or(u32::MAX);
        self.weekdays.has(time.weekday()) && self.year.has(year) && self.month.has(month) && self.day.has(day)
    }
}

impl FromStr for Calendar {
    type Err = NotACalendar;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: String| NotACalendar { text: text.to_owned(), why };
        let (mut weekdays, mut date, mut time) = (None, None, None);
        for word in expanded(text.trim()).split_whitespace() {
            let place = if word.contains(':') {
                &mut time
            } else if word.contains('-') {
                &mut date
            } else {
                &mut weekdays
            };
            if place.replace(word.to_owned()).is_some() {
                return Err(wrong(format!("{word} says again what another word says")));
            }
        }
        if weekdays.is_none() && date.is_none() && time.is_none() {
            return Err(wrong("it is empty".to_owned()));
        }
        let weekdays = weekdays.map_or(Ok(Field::any()), |word| Field::parse(&word, 0, 6, weekday)).map_err(wrong)?;
        let (year, month, day) = parse_date(date.as_deref().unwrap_or("*-*-*")).map_err(wrong)?;
        let times = parse_time(time.as_deref().unwrap_or("00:00")).map_err(wrong)?;
        Ok(Self { text: text.trim().to_owned(), weekdays, year, month, day, times })
    }
}

/// The short words of systemd.
fn expanded(text: &str) -> &str {
    match text {
        "daily" => "*-*-* 00:00",
        "hourly" => "*-*-* *:00",
        "weekly" => "Mon *-*-* 00:00",
        "monthly" => "*-*-01 00:00",
        other => other,
    }
}

fn parse_date(word: &str) -> Result<(Field, Field, Field), String> {
    let parts: Vec<&str> = word.split('-').collect();
    let (year, month, day) = match parts.as_slice() {
        [year, month, day] => (*year, *month, *day),
        [month, day] => ("*", *month, *day),
        _ => return Err(format!("{word} is no year-month-day")),
    };
    Ok((
        Field::parse(year, 1970, 9999, number)?,
        Field::parse(month, 1, 12, number)?,
        Field::parse(day, 1, 31, number)?,
    ))
}

fn parse_time(word: &str) -> Result<Vec<i64>, String> {
    let parts: Vec<&str> = word.split(':').collect();
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute] => (*hour, *minute, "00"),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return Err(format!("{word} is no hour:minute")),
    };
    let hour = Field::parse(hour, 0, 23, number)?;
    let minute = Field::parse(minute, 0, 59, number)?;
    let second = Field::parse(second, 0, 59, number)?;
    let times = (0..24u32).filter(|at| hour.has(*at)).flat_map(|hour_at| {
        let (minute, second) = (&minute, &second);
        (0..60u32).filter(|at| minute.has(*at)).flat_map(move |minute_at| {
            (0..60u32)
                .filter(|at| second.has(*at))
                .map(move |second_at| i64::from(hour_at * 3_600 + minute_at * 60 + second_at))
        })
    });
    Ok(times.collect())
}

fn number(word: &str) -> Option<u32> {
    word.parse().ok()
}

fn weekday(word: &str) -> Option<u32> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let word = word.to_ascii_lowercase();
    let found = DAYS.iter().position(|day| word == *day || word == day[..3])?;
    u32::try_from(found).ok()
}

/// One part: a list of ranges with steps. Empty: anything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field(Vec<(u32, u32, u32)>);

impl Field {
    fn any() -> Self {
        Self(Vec::new())
    }

    fn has(&self, value: u32) -> bool {
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|(from, to, step)| (*from..=*to).contains(&value) && (value - from).is_multiple_of(*step))
    }

    fn parse(word: &str, least: u32, most: u32, read: fn(&str) -> Option<u32>) -> Result<Self, String> {
        if word == "*" {
            return Ok(Self::any());
        }
        let value = |text: &str| {
            let found = read(text).ok_or_else(|| format!("{text:?} is not understood"))?;
            if (least..=most).contains(&found) {
                Ok(found)
            } else {
                Err(format!("{text} is not between {least} and {most}"))
            }
        };
        let mut ranges = Vec::new();
        for item in word.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => {
                    (range, Some(number(step).filter(|step| *step > 0).ok_or_else(|| format!("/{step} is no step"))?))
                }
                None => (item, None),
            };
            let (from, to) = match range.split_once("..") {
                Some((from, to)) => (value(from)?, value(to)?),
                None if range == "*" => (least, most),
                None => (value(range)?, if step.is_some() { most } else { value(range)? }),
            };
            if from > to {
                return Err(format!("{range} runs backwards"));
            }
            ranges.push((from, to, step.unwrap_or(1)));
        }
        Ok(Self(ranges))
    }
}

impl TryFrom<String> for Calendar {
    type Error = NotACalendar;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Calendar> for String {
    fn from(calendar: Calendar) -> Self {
        calendar.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Openings as `systemd-analyze calendar --base-time='2026-11-23 12:00:00' --iterations=2` gave them.
    const NEXT: &[(&str, [&str; 2])] = &[
        ("Sun *-*-1..7 02:00", ["2026-12-06 02:00:00", "2027-01-03 02:00:00"]),
        ("Mon..Fri 22:30", ["2026-11-23 22:30:00", "2026-11-24 22:30:00"]),
        ("*-*-* *:00/20", ["2026-11-23 12:20:00", "2026-11-23 12:40:00"]),
        ("Sat,Sun *-*-* 01:15:30", ["2026-11-28 01:15:30", "2026-11-29 01:15:30"]),
        ("12-24 18:00", ["2026-12-24 18:00:00", "2027-12-24 18:00:00"]),
        ("*-01/3-01", ["2027-01-01 00:00:00", "2027-04-01 00:00:00"]),
        ("monthly", ["2026-12-01 00:00:00", "2027-01-01 00:00:00"]),
    ];

    #[test]
    fn openings_are_those_of_systemd() {
        let start: Civil = "2026-11-23 12:00:00".parse().expect("a time");
        for (text, expected) in NEXT {
            let calendar: Calendar = text.parse().expect(text);
            let first = calendar.next_after(start).expect(text);
            let second = calendar.next_after(first).map_or_else(|| "none".to_owned(), |time| time.to_string());
            assert_eq!([first.to_string(), second], *expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in
            ["", "Sun Mon", "*-*-* 25:00", "*-13-01", "Someday", "*-*~1 02:00", "02:00 UTC", "*-*-7..1", "*:0/0"]
        {
            assert!(text.parse::<Calendar>().is_err(), "{text}");
        }
    }

    #[test]
    fn days_and_dates_agree_over_four_centuries() {
        let mut last = Civil::of(1970, 1, 1, 0);
        for day in 1..DAYS_400_YEARS {
            let time = Civil { day, second: 0 };
            let (year, month, date) = time.date();
            assert_eq!(Civil::of(year, month, date, 0), time);
            assert!(last < time);
            last = time;
        }
        assert!("2026-02-29 00:00:00".parse::<Civil>().is_err());
        assert!("2028-02-29 00:00:00".parse::<Civil>().is_ok());
    }
}
