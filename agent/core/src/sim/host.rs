//! A host: packages, kernels, services, power. It does what it is told and knows no rule.
//!
//! It must never be better than a real one: an upgrade that is cut off leaves packages half-configured, and a machine
//! that is told to reboot may not, or may come back with another kernel.

use super::pace::Pace;
use super::random::Random;

/// The kernel before and after the upgrade.
pub(super) const OLD_KERNEL: &str = "6.12.1";
pub(super) const NEW_KERNEL: &str = "6.12.2";

/// Power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    On,
    /// Off until then.
    Off {
        until_ms: u64,
    },
    /// Off until a person comes.
    Dead,
}

/// A program that runs on the host, apart from the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    None,
    Running { until_ms: u64 },
    Ended,
    Failed,
}

/// What will go wrong on this host, set by faults and mended by people.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Curses {
    pub(super) slow_reboot: bool,
    pub(super) reboot_ignored: bool,
    pub(super) old_kernel: bool,
    pub(super) bad_package: bool,
    pub(super) sick_afterwards: bool,
    /// The upgrade replaces the agent half-way.
    pub(super) agent_upgrade: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Host {
    pace: Pace,
    node: usize,
    pub(super) boot_id: String,
    pub(super) power: Power,
    pub(super) boot: u64,
    pub(super) booted_ms: u64,
    pub(super) complete_ms: u64,
    pub(super) kernel: &'static str,
    pub(super) default_kernel: &'static str,
    pub(super) installed: bool,
    pub(super) whole: bool,
    /// Services are stopped, or on their way; durable as the units' own state is.
    pub(super) drained: bool,
    pub(super) serving: bool,
    pub(super) apt: Unit,
    /// When a reboot that was ordered takes the power.
    pub(super) going_down_ms: Option<u64>,
    /// A finding blocks.
    pub(super) sick_since_ms: Option<u64>,
    /// Data is degraded elsewhere, from when until when.
    pub(super) degraded_ms: (u64, u64),
    /// Probes cannot tell, from when until when.
    pub(super) blind_ms: (u64, u64),
    pub(super) curses: Curses,
    /// Boots since packages were last changed, for the proof.
    pub(super) boots_since_patch: u32,
    /// Since when it does not serve, and how long it has not served in all.
    pub(super) away_since_ms: Option<u64>,
    pub(super) away_ms: u64,
}

impl Host {
    pub(super) fn new(node: usize, pace: Pace) -> Self {
        Self {
            pace,
            node,
            boot_id: format!("boot-{node}-1"),
            power: Power::On,
            boot: 1,
            booted_ms: 0,
            complete_ms: 0,
            kernel: OLD_KERNEL,
            default_kernel: OLD_KERNEL,
            installed: false,
            whole: true,
            drained: false,
            serving: true,
            apt: Unit::None,
            going_down_ms: None,
            sick_since_ms: None,
            degraded_ms: (0, 0),
            blind_ms: (0, 0),
            curses: Curses::default(),
            boots_since_patch: 0,
            away_since_ms: None,
            away_ms: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.power == Power::On
    }

    pub(super) fn is_blind(&self, now_ms: u64) -> bool {
        now_ms < self.blind_ms.1
    }

    pub(super) fn is_degraded(&self, now_ms: u64) -> bool {
        now_ms < self.degraded_ms.1
    }

    /// The power goes: what runs ends where it is.
    pub(super) fn cut(&mut self, power: Power, now_ms: u64) {
        self.power = power;
        self.serving = false;
        self.going_down_ms = None;
        // A run that was cut off leaves packages as they are, and no unit to ask.
        self.apt = Unit::None;
        self.note_service(now_ms);
    }

    pub(super) fn boot(&mut self, now_ms: u64, random: &mut Random) {
        self.power = Power::On;
        self.boot += 1;
        self.boot_id = format!("boot-{}-{}", self.node, self.boot);
        self.booted_ms = now_ms;
        self.complete_ms = now_ms + random.time(self.pace.boot);
        self.kernel = if self.curses.old_kernel { OLD_KERNEL } else { self.default_kernel };
        self.serving = !self.drained;
        self.boots_since_patch += 1;
        if self.curses.sick_afterwards && self.installed {
            self.sick_since_ms = Some(now_ms);
        }
        self.note_service(now_ms);
    }

    /// An upgrade begins. Until it ends, packages are not whole.
    pub(super) fn begin_apt(&mut self, now_ms: u64, random: &mut Random) {
        if self.installed && self.whole {
            self.apt = Unit::Ended;
            return;
        }
        self.whole = false;
        self.apt = Unit::Running { until_ms: now_ms + random.time(self.pace.patch) };
    }

    /// Time passes: the upgrade ends, a reboot takes the power. True when the power went.
    pub(super) fn pass(&mut self, now_ms: u64, random: &mut Random) -> bool {
        if let Unit::Running { until_ms } = self.apt
            && until_ms <= now_ms
        {
            if self.curses.bad_package {
                self.apt = Unit::Failed;
            } else {
                self.apt = Unit::Ended;
                self.installed = true;
                self.whole = true;
                self.default_kernel = NEW_KERNEL;
                self.boots_since_patch = 0;
            }
        }
        if self.is_up() && self.going_down_ms.is_some_and(|at| at <= now_ms) {
            let off = random.time(if self.curses.slow_reboot { self.pace.slow_off } else { self.pace.off });
            self.cut(Power::Off { until_ms: now_ms + off }, now_ms);
            return true;
        }
        false
    }

    pub(super) fn note_service(&mut self, now_ms: u64) {
        match (self.serving && self.is_up(), self.away_since_ms) {
            (false, None) => self.away_since_ms = Some(now_ms),
            (true, Some(since)) => {
                self.away_ms += now_ms - since;
                self.away_since_ms = None;
            }
            _ => {}
        }
    }

    /// A person runs the package manager to its end.
    pub(super) fn finish_by_hand(&mut self) {
        self.apt = Unit::None;
        self.installed = true;
        self.whole = true;
        self.default_kernel = NEW_KERNEL;
        self.boots_since_patch = 0;
    }

    /// A person mends everything that is wrong with it.
    pub(super) fn mend(&mut self) {
        self.curses = Curses::default();
        self.sick_since_ms = None;
        self.blind_ms = (0, 0);
        self.degraded_ms = (0, 0);
        if self.apt == Unit::Failed {
            self.apt = Unit::None;
        }
    }
}
