# The lab's control port inside a guest: one line per command on the second serial port, one line back.
# It comes as an SMBIOS credential and is no part of any image.
#
#   in:  ID SECONDS BASE64-OF-A-SCRIPT        out: @ID STATUS .BASE64-OF-STDOUT .BASE64-OF-STDERR
room=/run/hardstand-lab
mkdir -p "$room"
exec 3<>/dev/ttyS1
stty -F /dev/ttyS1 raw -echo clocal 115200

answer() {
    local id=$1 seconds=$2 words=$3 dir=$room/$1 status
    mkdir "$dir"
    base64 -d <<<"$words" >"$dir/script"
    timeout --kill-after=2 "$seconds" /bin/bash "$dir/script" </dev/null >"$dir/out" 2>"$dir/err" 3>&-
    status=$?
    {
        flock 9
        printf '@%s %s .%s .%s\n' "$id" "$status" "$(base64 -w0 "$dir/out")" "$(base64 -w0 "$dir/err")" >&3
    } 9>"$room/lock"
    rm -r "$dir"
}

echo @ready >&3
# In the background each: a command that hangs must not take the port with it.
while read -r id seconds words <&3; do
    answer "$id" "$seconds" "$words" &
done
