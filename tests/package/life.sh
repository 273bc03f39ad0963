#!/bin/sh
# The life of the package on a small Debian: installed, upgraded, removed, installed again, purged.
#
# Runs inside a throw-away root, as its root, with /life/old.deb and /life/new.deb. It must never run anywhere else: it
# installs and purges packages. Exit status 0 and "life: whole" as the last line mean that every step held.
set -eu

fail() {
    echo "life: $step: $*" >&2
    exit 1
}
is() { # is WANTED GOT WHAT
    [ "$1" = "$2" ] || fail "$3 is '$2', not '$1'"
}
there() { [ -e "$1" ] || [ -L "$1" ] || fail "$1 is not there"; }
gone() { if [ -e "$1" ] || [ -L "$1" ]; then fail "$1 is still there"; fi; }
version() { dpkg-query -W -f '${Version}' hardstand; }

[ -e /life/old.deb ] || { echo "life: this is not the throw-away root it runs in" >&2; exit 1; }
wants=/etc/systemd/system

step="install"
dpkg -i /life/old.deb
is "hardstand:hardstand 700" "$(stat -c '%U:%G %a' /var/lib/hardstand)" "/var/lib/hardstand"
is "root:root 755" "$(stat -c '%U:%G %a' /run/hardstand)" "/run/hardstand"
is /var/lib/hardstand "$(getent passwd hardstand | cut -d: -f6)" "the home of hardstand"
[ "$(id -u hardstand)" -lt 1000 ] || fail "hardstand is no system user"
is enabled "$(systemctl is-enabled hardstand-agent.service)" "the agent's unit"
is enabled "$(systemctl is-enabled hardstand-helper.socket)" "the helper's socket"
is static "$(systemctl is-enabled hardstand-helper.service)" "the helper's unit"
there $wants/multi-user.target.wants/hardstand-agent.service
there $wants/sockets.target.wants/hardstand-helper.socket
/usr/bin/hardstand --version >/dev/null || fail "the program does not run here"
/usr/bin/hardstand config check /etc/hardstand/agent.toml || fail "the default config is refused by the program"

step="upgrade"
echo kept >/var/lib/hardstand/state
chown hardstand:hardstand /var/lib/hardstand/state
sed -i 's/^#name = .*/name = "mine"/' /etc/hardstand/agent.toml
systemctl disable hardstand-agent.service
old=$(version)
dpkg -i /life/new.deb </dev/null
dpkg --compare-versions "$(version)" gt "$old" || fail "version $(version) is not newer than $old"
is kept "$(cat /var/lib/hardstand/state)" "the state"
is "hardstand:hardstand 700" "$(stat -c '%U:%G %a' /var/lib/hardstand)" "/var/lib/hardstand"
grep -qx 'name = "mine"' /etc/hardstand/agent.toml || fail "the operator's config was lost"
is disabled "$(systemctl is-enabled hardstand-agent.service || true)" "the unit the operator disabled"

step="remove"
dpkg -r hardstand
gone /usr/bin/hardstand
gone /usr/lib/systemd/system/hardstand-agent.service
gone /run/hardstand
is kept "$(cat /var/lib/hardstand/state)" "the state"
there /etc/hardstand/agent.toml

step="install again"
dpkg -i /life/new.deb </dev/null
is kept "$(cat /var/lib/hardstand/state)" "the state"
grep -qx 'name = "mine"' /etc/hardstand/agent.toml || fail "the operator's config was lost"

step="purge"
mkdir -p /etc/hardstand/agent.toml.d
echo '# the operator put this here' >/etc/hardstand/agent.toml.d/50-mine.toml
dpkg -P hardstand
rest=$(find / -xdev -path /life -prune -o -path /proc -prune -o -path /sys -prune -o -name '*hardstand*' -print)
[ -z "$rest" ] || fail "left behind: $rest"
is "" "$(dpkg-query -W -f '${Status}' hardstand 2>/dev/null || true)" "the status in dpkg"
echo "life: whole"
