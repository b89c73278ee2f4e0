#!/bin/sh
# bench.sh [--vs linux] [--smp N] [--mem SIZE] [PREFIX...]: runs bench/vmbench in the guest with time counted in
# instructions, all measures or those
# whose names begin with a PREFIX, and prints the table; with --vs linux beside the same on Debian's Linux.
# The figures stay in build/bench/quire.tsv and linux.tsv; Linux's are taken again only when the benchmark or what is
# asked has changed.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

OUT=$BUILD/bench
SECONDS_AT_MOST=3000

versus= smp=1 mem=1G
while [ $# -gt 0 ]; do
    case $1 in
    --vs)
        [ "${2:-}" = linux ] || die "--vs ${2:-}: only linux can be compared with: see ./quire --help"
        versus=linux
        shift
        ;;
    --smp | --mem)
        [ $# -ge 2 ] || die "$1: a value is missing: see ./quire --help"
        [ "$1" = --smp ] && smp=$2 || mem=$2
        shift
        ;;
    -*) die "bench: no option '$1': see ./quire --help" ;;
    *) break ;;
    esac
    shift
done

# measure quire|linux PREFIX...: build/bench/NAME.tsv
measure()
{
    name=$1
    shift
    [ "$name" = quire ] && command=run || command=linux
    note "measuring $name, one instruction at a time"
    "$ROOT/quire" "$command" --icount --smp "$smp" --mem "$mem" --timeout "$SECONDS_AT_MOST" \
        --add "$BUILD/guest/vmbench:/usr/bin/vmbench" \
        -- vmbench --dir /var/tmp "$@" >"$OUT/$name.new" </dev/null ||
        die "the benchmark failed on $name: $(tail -n1 "$OUT/$name.new")"
    mv "$OUT/$name.new" "$OUT/$name.tsv"
}

mkdir -p "$OUT" || die "cannot write to $OUT: no space or permission"
make -s -C "$ROOT" "build/guest/vmbench" >&2 || die "the benchmark cannot be built"
measure quire "$@"
if [ -z "$versus" ]; then
    cat "$OUT/quire.tsv"
    exit 0
fi
asked="$smp $mem $*"
if [ ! -e "$OUT/linux.tsv" ] || [ "$BUILD/guest/vmbench" -nt "$OUT/linux.tsv" ] ||
    [ "$(cat "$OUT/linux.asked" 2>/dev/null)" != "$asked" ]; then
    measure linux "$@"
    echo "$asked" >"$OUT/linux.asked"
fi
awk -f "$ROOT/bench/report.awk" "$OUT/quire.tsv" "$OUT/linux.tsv"
