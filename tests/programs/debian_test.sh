# disk: packages
# Debian's own dynamically linked bash and coreutils.
. /programs/tap.sh

is "$(bash -c 'echo ${BASH_VERSION%%.*}')" 5 "bash starts"
is "$(bash -c 'a=(1 2 3); echo ${#a[@]} ${a[-1]}')" "3 3" "its arrays"
is "$(bash -c 'for ((i = 0; i < 1000; i++)); do :; done; echo $i')" 1000 "its loops"
is "$(bash -c 'cat <(echo one) <(echo two)')" "one
two" "process substitution"
is "$(bash -c 'set -o pipefail; false | true; echo $?')" 1 "pipefail"
is "$(bash -c 'coproc cat; echo hi >&${COPROC[1]}; read -r x <&${COPROC[0]}; echo $x')" hi "a coprocess"
is "$(bash -c 'sleep 0.1 & wait -n; echo $?')" 0 "wait -n"
is "$(/usr/bin/ls --version | head -n 1 | cut -d' ' -f3)" "coreutils)" "coreutils' ls"
is "$(/usr/bin/seq 1 100000 | /usr/bin/sort -R | /usr/bin/sort -n | /usr/bin/md5sum)" "$(/usr/bin/seq 1 100000 | /usr/bin/md5sum)" "a big sort"
is "$(/usr/bin/stat -c %F /dev/null)" "character special file" "stat"
ok "cp -a, with reflinks and sparse files tried" /usr/bin/cp -a /usr/share share
ok "and the same" diff -r /usr/share share
is "$(/usr/bin/date -u -d @86400 +%F)" 1970-01-02 "date"
is "$(bash -c 'ulimit -s')" 8192 "the stack's limit"
is "$(/usr/bin/timeout 0.2 /usr/bin/sleep 5; echo $?)" 124 "timeout"
is "$(printf 'b\na\n' | /usr/bin/sort | /usr/bin/tr '\n' ' ')" "a b " "small pipes"
is "$(/usr/bin/nproc)" "$(grep -c '^processor' /proc/cpuinfo)" "nproc"
is "$(/usr/bin/df --output=target / | tail -n 1)" / "df"
is "$(/usr/bin/id -un)" root "id"
finish
