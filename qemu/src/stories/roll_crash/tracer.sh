# Stops the agent at a boundary of its journal, for a power cut just there. It comes as an SMBIOS credential and is no
# part of any image; the agent is the one that ships, traced from outside.
#
#   in:   the cell that is armed, `PHASE before` or `PHASE after`, as a credential
#   out:  $room/found   the phase on the disk when an agent started in this boot, a line for each, before it ran
#         $room/frozen  the agent stands still at the armed boundary
#         $room/late    it did not stop in time, and has gone on
#
# strace holds the agent for a second after each fsync(2) of the journal's new file (the record is written and has not its
# name yet) and of its directory (the record is there to stay, its act has not begun). Within that second strace itself
# is stopped, and with it nobody is left who could let the agent go on.
room=/run/hardstand-lab-tracer
state=/var/lib/hardstand
next=$state/.journal.json.next
hold_microseconds=1000000
mkdir -p "$room"

cell() { cat /run/credentials/@system/hardstand-lab.cell; }

# The phase comes second in the file; a node that never had a journal is idle.
on_disk() {
    local text
    text=$(head -c 64 "$state/journal.json" 2>/dev/null)
    [[ $text =~ \"phase\":\"([a-z_]+)\" ]] && echo "${BASH_REMATCH[1]}" || echo idle
}

# Whether the agent is still where it was held: its new file without the name, or its directory not yet closed.
stands() {
    case $1 in
        before) [ -e "$next" ] ;;
        after) ls -l "/proc/$process/fd" | grep -q -- " -> $state\$" ;;
    esac
}

in_state() { [[ $(<"/proc/$1/status") =~ State:[[:space:]]+$2 ]]; }

# moment, phase
boundary() {
    [ "$(cell)" = "$2 $1" ] || return 0
    kill -STOP "$tracer"
    until in_state "$tracer" T; do sleep 0.01; done
    if in_state "$process" t && stands "$1"; then
        echo "$2 $1" >"$room/frozen"
        sleep infinity
    fi
    echo "$2 $1" >>"$room/late"
    kill -CONT "$tracer"
}

follow() {
    local line phase= named=
    on_disk >>"$room/found"
    rm -f "$room/words"
    mkfifo "$room/words"
    strace -qq -y -p "$process" -s 64 -o "$room/words" -P "$next" -P "$state" -e trace=write,fsync,rename \
        -e "inject=fsync:delay_exit=$hold_microseconds" &
    tracer=$!
    while read -r line; do
        case $line in
            "write("*"<$next>"*) [[ $line =~ phase[^a-z]+([a-z_]+) ]] && phase=${BASH_REMATCH[1]} ;;
            "fsync("*"<$next>"*" = 0"*) boundary before "$phase" ;;
            "rename("*"$next"*" = 0"*) named=yes ;;
            "fsync("*"<$state>"*" = 0"*)
                [ -z "$named" ] || boundary after "$phase"
                named=
                ;;
        esac
    done <"$room/words"
    wait "$tracer"
}

while :; do
    # The agent waits for its tracer, see traced.conf.
    process=$(systemctl show -P MainPID hardstand-agent)
    if [ "${process:-0}" != 0 ]; then follow; fi
    sleep 0.2
done
