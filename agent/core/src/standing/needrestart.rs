//! How a node stands by what needrestart finds: everything works, on old code.
//!
//! It must never take a kernel for current whose state is not told.

use super::{Report, Standing, Subject};
use crate::observed::Needrestart;

impl Report for Needrestart {
    fn subjects(&self) -> Vec<Subject> {
        let mut subjects = vec![kernel(self)];
        subjects.extend(microcode(self));
        let old = [
            ("service", &self.services),
            ("container", &self.containers),
            ("session", &self.sessions),
            ("process", &self.processes),
        ];
        for (kind, names) in old {
            let state = Standing::Degraded;
            subjects.extend(names.iter().map(|name| Subject::not_ok(kind, name, state, "it runs old code")));
        }
        let unknown = |line| Subject::not_ok("line", line, Standing::Unknown, "its key is not known");
        subjects.extend(self.others.iter().map(unknown));
        subjects
    }
}

fn kernel(told: &Needrestart) -> Subject {
    let name = told.kernel.as_deref().unwrap_or("kernel");
    let expected = told.expected_kernel.as_deref().unwrap_or("another");
    let not = |state, why: String| Subject::not_ok("kernel", name, state, why);
    match told.kernel_state {
        Some(1) => match (&told.kernel, &told.expected_kernel) {
            (Some(runs), Some(waits)) if runs != waits => {
                not(Standing::Unknown, format!("it is called current, and {waits} is expected"))
            }
            _ => Subject::ok("kernel", name),
        },
        Some(2) => not(Standing::Degraded, format!("{expected} waits for a reboot (same ABI)")),
        Some(3) => not(Standing::Degraded, format!("{expected} waits for a reboot")),
        Some(0) => not(Standing::Unknown, "needrestart does not know whether it is current".to_owned()),
        Some(other) => not(Standing::Unknown, format!("state {other} is not known")),
        None => not(Standing::Unknown, "its state is not told".to_owned()),
    }
}

fn microcode(told: &Needrestart) -> Option<Subject> {
    let name = told.microcode.as_deref().unwrap_or("microcode");
    let not = |state, why: String| Some(Subject::not_ok("microcode", name, state, why));
    match told.microcode_state {
        None if told.microcode.is_none() && told.expected_microcode.is_none() => None,
        None => not(Standing::Unknown, "its state is not told".to_owned()),
        Some(1) => match (&told.microcode, &told.expected_microcode) {
            (Some(runs), Some(waits)) if runs != waits => {
                not(Standing::Unknown, format!("it is called current, and {waits} is expected"))
            }
            _ => Some(Subject::ok("microcode", name)),
        },
        Some(2) => {
            let expected = told.expected_microcode.as_deref().unwrap_or("another");
            not(Standing::Degraded, format!("{expected} waits for a reboot"))
        }
        Some(0) => not(Standing::Unknown, "needrestart does not know whether it is current".to_owned()),
        Some(other) => not(Standing::Unknown, format!("state {other} is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::worst;
    use super::*;

    fn standing(change: impl FnOnce(&mut Needrestart)) -> Standing {
        let mut told = Needrestart { kernel_state: Some(1), ..Needrestart::default() };
        change(&mut told);
        worst(&told.subjects())
    }

    #[test]
    fn a_kernel_stands_by_its_number() {
        let expected = [
            (Some(0), Standing::Unknown),
            (Some(1), Standing::Ok),
            (Some(2), Standing::Degraded),
            (Some(3), Standing::Degraded),
            (Some(4), Standing::Unknown),
            (None, Standing::Unknown),
        ];
        for (state, expected) in expected {
            assert_eq!(standing(|told| told.kernel_state = state), expected, "{state:?}");
        }
        let at_odds = |told: &mut Needrestart| {
            (told.kernel, told.expected_kernel) = (Some("1".to_owned()), Some("2".to_owned()));
        };
        assert_eq!(standing(at_odds), Standing::Unknown);
    }

    #[test]
    fn microcode_stands_by_its_number_where_it_has_one() {
        for (state, expected) in [
            (Some(0), Standing::Unknown),
            (Some(1), Standing::Ok),
            (Some(2), Standing::Degraded),
            (Some(3), Standing::Unknown),
        ] {
            assert_eq!(standing(|told| told.microcode_state = state), expected, "{state:?}");
        }
        assert_eq!(standing(|told| told.microcode = Some("0x1".to_owned())), Standing::Unknown);
    }

    #[test]
    fn whatever_runs_old_code_is_named() {
        let name = || vec!["one".to_owned()];
        assert_eq!(standing(|told| told.services = name()), Standing::Degraded);
        assert_eq!(standing(|told| told.containers = name()), Standing::Degraded);
        assert_eq!(standing(|told| told.sessions = name()), Standing::Degraded);
        assert_eq!(standing(|told| told.processes = name()), Standing::Degraded);
        assert_eq!(standing(|told| told.others = name()), Standing::Unknown);
    }
}
