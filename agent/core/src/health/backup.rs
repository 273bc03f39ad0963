//! Is the newest backup new enough, and was a restore tried?
//!
//! It must never take a backup for made that cannot be seen, nor one from the future for a new one.

use super::{Court, Gate, Severity, span};
use crate::observed::BackupSeen;
use crate::settings::{BackupKind, BackupSettings};
use crate::{Reading, Sample};

/// How far ahead a date may lie: names carry local time, and clocks differ.
const AHEAD_SECONDS: f64 = 86_400.0;

pub(super) fn judge(court: &mut Court<'_>) {
    let (seen, settings) = (court.seen, court.settings);
    let Some(backups) = seen.backups.reading.known() else { return };
    for backup in &settings.backup {
        let sample = backups.iter().find(|(name, _)| *name == backup.name).map(|(_, sample)| sample);
        judge_one(court, backup, sample);
    }
}

fn judge_one(court: &mut Court<'_>, backup: &BackupSettings, sample: Option<&Sample<BackupSeen>>) {
    let (check, what) = match backup.kind {
        BackupKind::Drill => ("backup.drill", "restore drill"),
        BackupKind::File | BackupKind::S3 => ("backup.age", "backup"),
    };
    let name = (check, backup.name.as_str());
    let gate = if backup.required { Gate::Blocks } else { Gate::Warns };
    let place = place(backup);
    let seen = match sample.map(|sample| &sample.reading) {
        Some(Reading::Known(seen)) => seen,
        unknown => {
            let why = unknown.and_then(Reading::why).unwrap_or("not looked at yet");
            let summary = format!("{what} {}: not known", backup.name);
            return court.find(name, Severity::Unknown, gate, summary, why);
        }
    };
    let Some(newest) = &seen.newest else {
        let summary = format!("{what} {}: there is none", backup.name);
        let evidence = format!("nothing that counts in {place}; {}", next(backup));
        return court.find(name, Severity::Crit, gate, summary, evidence);
    };
    let age = court.seen.at.unix_seconds as f64 - newest.unix_seconds as f64;
    if age < -AHEAD_SECONDS {
        let summary = format!("{what} {}: dated in the future", backup.name);
        let evidence =
            format!("{} is dated {} ahead; see: timedatectl, and where it was made", newest.name, span(-age));
        return court.find(name, Severity::Unknown, gate, summary, evidence);
    }
    let (age, most) = (age.max(0.0), backup.max_age_seconds());
    let severity = match age {
        age if age > 2.0 * most => Severity::Crit,
        age if age > most => Severity::Warn,
        _ => return court.ok(name, format!("{} old: {} ({} in {place})", span(age), newest.name, seen.count)),
    };
    let summary = format!("{what} {} is {} old", backup.name, span(age));
    let evidence =
        format!("the newest is {} in {place}, and should be at most {} old; {}", newest.name, span(most), next(backup));
    court.find(name, severity, gate, summary, evidence);
}

fn place(backup: &BackupSettings) -> String {
    match backup.kind {
        BackupKind::S3 => format!("s3://{}/{}", backup.bucket.as_deref().unwrap_or_default(), backup.prefix),
        BackupKind::File | BackupKind::Drill => backup.path.clone().unwrap_or_default(),
    }
}

fn next(backup: &BackupSettings) -> &'static str {
    match backup.kind {
        BackupKind::Drill => "restore something, see that it works, and write the date down there",
        BackupKind::File | BackupKind::S3 => "see the log of the job that makes it",
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::tests::well;
    use super::*;
    use crate::observed::BackupCopy;
    use crate::{History, Settings};

    const HOUR: f64 = 3_600.0;

    #[test]
    fn age_is_judged_by_its_limit() {
        let now = well(0.0).at.unix_seconds as f64;
        let of_age = |hours: f64| {
            let newest = BackupCopy { name: "wiki.zst".to_owned(), unix_seconds: (now - hours * HOUR) as u64 };
            Reading::Known(BackupSeen { newest: Some(newest), count: 7 })
        };
        let (file, drill, s3) = (BackupKind::File, BackupKind::Drill, BackupKind::S3);
        for (kind, required, reading, severity, gate, told) in [
            (file, true, of_age(25.0), Severity::Ok, Gate::None, "25 h old: wiki.zst (7 in /b)"),
            (file, false, of_age(27.0), Severity::Warn, Gate::Warns, "at most 26 h old"),
            (s3, true, of_age(27.0), Severity::Warn, Gate::Blocks, "wiki.zst in s3://box/wiki/"),
            (file, false, of_age(53.0), Severity::Crit, Gate::Warns, "see the log"),
            (file, false, of_age(-20.0), Severity::Ok, Gate::None, "0 s old"),
            (file, true, of_age(-30.0), Severity::Unknown, Gate::Blocks, "30 h ahead"),
            (drill, false, of_age(89.0 * 24.0), Severity::Ok, Gate::None, "89 days old"),
            (drill, false, of_age(91.0 * 24.0), Severity::Warn, Gate::Warns, "write the date down"),
            (
                file,
                true,
                Reading::Known(BackupSeen::default()),
                Severity::Crit,
                Gate::Blocks,
                "nothing that counts in /b",
            ),
            (file, false, Reading::unknown("reading /b: gone"), Severity::Unknown, Gate::Warns, "gone"),
        ] {
            let backup = BackupSettings {
                name: "wiki".to_owned(),
                kind,
                path: Some("/b".to_owned()),
                bucket: Some("box".to_owned()),
                prefix: "wiki/".to_owned(),
                required,
                ..BackupSettings::default()
            };
            let settings = Settings { backup: vec![backup], ..Settings::default() };
            let mut seen = well(0.0);
            let sample = Sample { reading, kept: None, age_seconds: 0.0, duration_seconds: 0.0 };
            seen.backups = Sample::fresh(vec![("wiki".to_owned(), sample)], 0.0);
            let health = judge(&seen, &settings, &mut History::default());
            let found = health.findings.iter().find(|finding| finding.check.starts_with("backup.")).unwrap();
            assert_eq!((found.severity, found.gate), (severity, gate), "{found:?}");
            assert!(found.evidence.contains(told), "{told}: {found:?}");
            assert_eq!(found.check == "backup.drill", kind == drill);
        }
    }

    #[test]
    fn one_that_is_declared_and_was_not_looked_at_is_unknown_and_none_is_no_finding() {
        let backup = BackupSettings { name: "wiki".to_owned(), ..BackupSettings::default() };
        let settings = Settings { backup: vec![backup], ..Settings::default() };
        let health = judge(&well(0.0), &settings, &mut History::default());
        let found = health.findings.iter().find(|finding| finding.check == "backup.age").unwrap();
        assert_eq!((found.severity, &*found.evidence), (Severity::Unknown, "not looked at yet"));
        let health = judge(&well(0.0), &Settings::default(), &mut History::default());
        let ours = ["backup", "certificate", "service"];
        assert!(health.findings.iter().all(|finding| ours.iter().all(|group| !finding.check.starts_with(group))));
    }
}
