#!/bin/sh
# races.sh KERNEL-LOG [KERNEL-LOG...]: the data races that a kernel of DEBUG=races told, each once, with their lines of code
# (the innermost function first, when the compiler has put one into another).

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
ELF=$ROOT/build/races-kernel/quire.elf

. "$ROOT/tools/common.sh"

[ "${1:---help}" != --help ] || exec sed -n '2,3s/^# //p' "$0"
for log; do
    [ -r "$log" ] || die "$log: no such kernel log"
done
[ -f "$ELF" ] || die "there is no $ELF: ./quire run --races makes it"

# Where the call before the return address $1 is.
place()
{
    riscv64-linux-gnu-addr2line -fie "$ELF" "$(printf '0xffffffff%08x' $((0x${1#0xffffffff} - 2)))" |
        awk '{ f = $1; getline; sub(/ \(discriminator.*/, ""); sub(/.*\/kernel\//, "kernel/"); printf "%s%s (%s)", n++ ? " < " : "", f, $0 }'
}

sed -n 's/.*\(race: 0x.*\)/\1/p' "$@" | sort -u -k2,2 -k9,9 | while read -r line; do
    # shellcheck disable=SC2086 # words
    set -- $line
    echo "$3 $4 bytes: $(place "$2")"
    case $line in
    *' while '*) echo "    ${10} them: $(place "$9")" ;;
    *) echo "    somebody else writes them" ;;
    esac
    echo "    $(echo "$line" | sed 's/.*: \(0x.* became .*\)/\1/')"
done
