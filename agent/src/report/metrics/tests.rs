//! The page against what a person has read, against promtool, and against the rules of its formats.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hardstand_core::observed::{Moment, Role};
use hardstand_core::phase::Phase;
use hardstand_core::reading::Sample;
use hardstand_core::rollout::RolloutState;
use hardstand_core::{History, Observed, Settings, judge};
use hardstand_exec::Run;

use super::{Asked, Format, render, render_ages};
use crate::member::{FleetStanding, Pace, RolloutStanding, Standing};
use crate::report::golden::assert_golden;
use crate::report::samples::{NOW, finding, observed, sick};

/// It takes milliseconds; a busy machine may take a thousand times as long.
const PROMTOOL_LIMIT: Duration = Duration::from_secs(20);

fn page(observed: &Observed, format: Format) -> String {
    let mut health = sick();
    health.collectors = observed.collectors();
    let gone = ["disk.present", "sdb WD-GONE", "gone", ""];
    health.findings.push(finding(hardstand_core::Severity::Crit, hardstand_core::Gate::Blocks, gone, 1));
    let asked = Asked { pass_age_seconds: 4.5, unix_seconds: NOW as f64 + 4.5 };
    let ages = render_ages(observed, asked, format);
    let rest = render(observed, &health, Some(&standing()), format);
    let page = String::from_utf8([ages, rest].concat()).unwrap();
    page.replace(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), "version=\"VERSION\"")
        .replace(&format!("machine=\"{}\"", std::env::consts::ARCH), "machine=\"ARCH\"")
}

/// A node that verifies while another one's rollout is half done.
fn standing() -> Standing {
    let rollout = RolloutStanding { name: "2026-12".into(), state: RolloutState::Running, done: 1, nodes: 3 };
    let fleet = FleetStanding {
        leads: true,
        halted: false,
        leases: 1,
        waiting: Some(vec![("nas".to_owned(), "store.last".to_owned())]),
        rollout: Some(rollout),
    };
    Standing { pace: Pace::Busy, phase: Phase::Verifying, fleet: Some(fleet), ..Standing::default() }
}

/// Every string of the pass that can come from outside holds what would break a line.
fn hostile() -> Observed {
    let mut seen = observed();
    seen.node = "pve\"1\"\n\\end".into();
    if let Some(nics) = seen.nics.reading.known().cloned() {
        let twice = [nics.clone(), nics].concat();
        seen.nics = Sample::fresh(twice, 0.0);
    }
    seen
}

#[test]
fn the_page_reads_well() {
    assert_golden("metrics.txt", &page(&observed(), Format::Text));
}

#[test]
fn openmetrics_differs_where_its_rules_do() {
    let page = page(&observed(), Format::OpenMetrics);
    assert!(page.contains("# TYPE node_context_switches counter\nnode_context_switches_total 1000\n"), "{page}");
    assert!(page.contains("# TYPE hardstand_build info\nhardstand_build_info{version=\"VERSION\"} 1\n"), "{page}");
    assert!(page.contains("# TYPE node_vmstat_oom_kill unknown\n"), "{page}");
    assert!(page.ends_with("\n# EOF\n"));
    assert_eq!(page.matches("# EOF").count(), 1);
}

#[test]
fn labels_are_escaped_and_nothing_is_written_twice() {
    for format in [Format::Text, Format::OpenMetrics] {
        let page = page(&hostile(), format);
        assert!(page.contains(r#"nodename="pve\"1\"\n\\end""#), "{page}");
        assert!(page.contains(r#"mountpoint="/mnt/a \"b\"\nc""#), "{page}");
        let samples: Vec<&str> =
            page.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0).collect();
        assert_eq!(samples.iter().collect::<BTreeSet<_>>().len(), samples.len());
    }
}

#[test]
fn every_family_is_declared_even_when_nothing_could_be_read() {
    let at = Moment { boottime_seconds: 1.0, unix_seconds: NOW };
    let nothing = Observed::nothing(at, "pve1", Role::Live, "not yet");
    let declared = |observed: &Observed| -> BTreeSet<String> {
        let page = page(observed, Format::Text);
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect()
    };
    let missing: Vec<String> = declared(&observed())
        .difference(&declared(&nothing))
        .filter(|row| !row.starts_with("node_memory_"))
        .cloned()
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    let page = page(&nothing, Format::Text);
    assert!(page.contains("hardstand_collector_success{collector=\"cpu\"} 0\n"), "{page}");
}

#[test]
fn a_disk_that_vanished_stays_on_the_page_with_0() {
    let (settings, mut history) = (Settings::default(), History::default());
    let mut seen = observed();
    judge(&seen, &settings, &mut history);
    seen.disks = Sample::fresh(Vec::new(), 0.0);
    seen.at.boottime_seconds += 10.0;
    let health = judge(&seen, &settings, &mut history);
    let page = render(&seen, &health, None, Format::Text);
    let page = std::str::from_utf8(&page).unwrap();
    assert!(page.contains("\nhardstand_disk_present{serial=\"S5GXNX0T123456A\"} 0\n"), "{page}");
}

#[test]
fn ages_grow_with_the_time_since_the_pass() {
    let mut seen = observed();
    seen.clock.age_seconds = 10.0;
    let page = page(&seen, Format::Text);
    assert!(page.contains("hardstand_pass_age_seconds 4.5\n"), "{page}");
    assert!(page.contains("hardstand_collector_age_seconds{collector=\"clock\"} 14.5\n"), "{page}");
}

#[test]
fn the_accept_header_chooses_the_format() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4";
    assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
    assert_eq!(Format::accepted(Some("text/html, application/openmetrics-text; version=0.0.1;q=0.5")), Format::Text);
    assert_eq!(Format::accepted(Some("application/openmetrics-text;q=0")), Format::Text);
    assert_eq!(Format::accepted(Some("*/*")), Format::Text);
    assert_eq!(Format::accepted(None), Format::Text);
}

/// promtool comes with the `prometheus` package, which the lab installs.
#[test]
fn promtool_accepts_the_page() {
    let promtool = Path::new("/usr/bin/promtool");
    assert!(promtool.exists(), "promtool is needed: apt-get install prometheus");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for observed in [observed(), hostile()] {
        let page = page(&observed, Format::Text);
        let run = Run::new(promtool, PROMTOOL_LIMIT).args(["check", "metrics"]).stdin(page.as_bytes());
        let output = runtime.block_on(run.output()).unwrap();
        let said = output.stderr + &String::from_utf8(output.stdout).unwrap();
        // node_exporter's names of /proc/meminfo lines break this one rule of style, there as here.
        let style = "metric names should be written in 'snake_case' not 'camelCase'";
        let kept = |line: &&str| !(line.starts_with("node_memory_") && line.ends_with(style));
        let faults: Vec<&str> = said.lines().filter(kept).collect();
        assert_eq!(faults, Vec::<&str>::new(), "{page}");
        assert!(matches!(output.code, Some(0 | 3)), "{}", output.status);
    }
}
