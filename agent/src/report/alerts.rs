//! Alert rules for Prometheus, made from the one table of checks, so that none is missing and none is of old.
//!
//! It must never fire for what a person has acknowledged: such a finding is `info`, and no rule looks at that.

use std::fmt::Write as _;

use hardstand_core::health::CHECKS;

/// The rules that are not about one check: the agent itself, and the fleet.
const OWN: [(&str, &str, &str, &str, &str); 5] = [
    ("AgentDown", "up{job=\"hardstand\"} == 0", "5m", "critical", "the agent's page is not there"),
    // The loop looks once a minute at least.
    ("PassStale", "hardstand_pass_age_seconds > 150", "1m", "critical", "the agent has not looked for long"),
    ("Held", "hardstand_held == 1", "0m", "critical", "the node stands still until a person has looked"),
    ("Halted", "max without (instance) (hardstand_halt) == 1", "0m", "warning", "the fleet is halted"),
    ("StoreDown", "hardstand_store_up == 0", "5m", "critical", "the fleet's store is not reached"),
];

/// How long a finding must stand: the checks have their own patience already.
const FOR: &str = "1m";

/// The rule file. Prometheus reads the nodes' pages under the job name `hardstand`.
pub(crate) fn rules() -> String {
    let mut out = String::from(
        "# Made by `hardstand monitoring alerts`; make it anew after an upgrade. The pages are read as job `hardstand`.\n\
         groups:\n  - name: hardstand\n    rules:\n",
    );
    for (name, expr, hold, severity, about) in OWN {
        rule(&mut out, name, expr, hold, severity, &format!("{{{{ $labels.instance }}}}: {about}"));
    }
    out.push_str("  - name: hardstand-findings\n    rules:\n");
    let severity = "{{ if eq $labels.severity \"crit\" }}critical{{ else }}warning{{ end }}";
    for check in CHECKS {
        let expr = format!("hardstand_finding{{check=\"{}\",severity=~\"warn|unknown|crit\"}} == 1", check.name);
        let summary = format!("{{{{ $labels.instance }}}} {{{{ $labels.subject }}}}: {}", check.about);
        rule(&mut out, &camel_case(check.name), &expr, FOR, severity, &summary);
    }
    out
}

fn rule(out: &mut String, name: &str, expr: &str, hold: &str, severity: &str, summary: &str) {
    // Single quotes: nothing in these texts has one doubled, and YAML reads everything else in them as it is.
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    writeln!(
        out,
        "      - alert: Hardstand{name}\n        expr: {}\n        for: {hold}\n        labels:\n          severity: {}\n        \
         annotations:\n          summary: {}\n          description: {}",
        quoted(expr),
        quoted(severity),
        quoted(summary),
        quoted("What was seen and what to do: run hardstand health on the node."),
    )
    .expect("writing to a string never fails");
}

/// `zfs.pool` as `ZfsPool`.
fn camel_case(name: &str) -> String {
    let words = name.split(['.', '_']).map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use hardstand_exec::Run;

    use super::*;

    /// It takes a second or two; a busy machine may take a hundred times as long.
    const PROMTOOL_LIMIT: Duration = Duration::from_secs(120);

    /// What Prometheus makes of a node that falls ill, is acknowledged, and whose agent dies.
    const CASES: &str = "\
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'hardstand_finding{check=\"zfs.pool\",subject=\"tank\",severity=\"ok\",instance=\"pve1\"}'
        values: '1 1 stale _x7'
      - series: 'hardstand_finding{check=\"zfs.pool\",subject=\"tank\",severity=\"crit\",instance=\"pve1\"}'
        values: '_ _ 1 1 1 1 stale _ _ _'
      - series: 'hardstand_finding{check=\"zfs.pool\",subject=\"tank\",severity=\"info\",instance=\"pve1\"}'
        values: '_ _ _ _ _ _ 1 1 1 1'
      - series: 'hardstand_finding{check=\"disk.smart\",subject=\"sda\",severity=\"unknown\",instance=\"pve1\"}'
        values: '1x9'
      - series: 'up{job=\"hardstand\",instance=\"nas\"}'
        values: '1 1 1 0 0 0 0 0 0 0'
      - series: 'hardstand_halt{instance=\"pve1\"}'
        values: '0 0 1 1 1 1 1 1 1 1'
    alert_rule_test:
      - {eval_time: 1m, alertname: HardstandZfsPool}
      - eval_time: 4m
        alertname: HardstandZfsPool
        exp_alerts:
          - exp_labels: {check: zfs.pool, subject: tank, severity: critical, instance: pve1}
            exp_annotations:
              summary: 'pve1 tank: a ZFS pool is not online, or is gone'
              description: 'What was seen and what to do: run hardstand health on the node.'
      - {eval_time: 9m, alertname: HardstandZfsPool}
      - eval_time: 4m
        alertname: HardstandDiskSmart
        exp_alerts:
          - exp_labels: {check: disk.smart, subject: sda, severity: warning, instance: pve1}
            exp_annotations:
              summary: 'pve1 sda: a disk fails, wears out, or does not tell its health'
              description: 'What was seen and what to do: run hardstand health on the node.'
      - {eval_time: 4m, alertname: HardstandAgentDown}
      - eval_time: 9m
        alertname: HardstandAgentDown
        exp_alerts:
          - exp_labels: {job: hardstand, severity: critical, instance: nas}
            exp_annotations:
              summary: \"nas: the agent's page is not there\"
              description: 'What was seen and what to do: run hardstand health on the node.'
      - eval_time: 3m
        alertname: HardstandHalted
        exp_alerts:
          - exp_labels: {severity: warning}
            exp_annotations:
              summary: ': the fleet is halted'
              description: 'What was seen and what to do: run hardstand health on the node.'
";

    /// promtool comes with the `prometheus` package, which the lab installs.
    #[test]
    fn promtool_accepts_the_rules_and_they_fire_when_they_should() {
        let promtool = Path::new("/usr/bin/promtool");
        assert!(promtool.exists(), "promtool is needed: apt-get install prometheus");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rules.yml"), rules()).unwrap();
        std::fs::write(dir.path().join("cases.yml"), CASES).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for arguments in [["check", "rules", "rules.yml"], ["test", "rules", "cases.yml"]] {
            let run = Run::new(promtool, PROMTOOL_LIMIT).args(arguments).dir(dir.path());
            let output = runtime.block_on(run.output()).unwrap();
            let said = output.stderr + &String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.code, Some(0), "{said}\n{}", rules());
            println!("{said}");
        }
    }

    #[test]
    fn every_check_has_a_rule() {
        let rules = rules();
        for check in CHECKS {
            assert!(rules.contains(&format!("check=\"{}\"", check.name)), "{}", check.name);
        }
        assert_eq!(camel_case("kernel.reboot_needed"), "KernelRebootNeeded");
    }
}
