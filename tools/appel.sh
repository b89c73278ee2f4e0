#!/bin/sh
# appel.sh: `./quire bench appel`, see --help. Boots Quire and Linux with bench/appel, and has bench/appel.awk print and draw what it says.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

OUT=$BUILD/bench

usage()
{
    cat <<'END'
usage: ./quire bench appel [--svg FILE] [--tsv FILE] [--md FILE] [--no-linux]

Appel & Li's table: what a page fault that a program handles itself costs, in instructions of all privilege levels, one hart:
Linux by signals, Quire by signals, and Quire by libvm's user traps, side by side.

  --svg FILE   as a chart, too; --tsv FILE, --md FILE: as a table
  --no-linux   Linux's column from bench/appel-linux-6.12.tsv instead of now

Status 0; 1 when a row could not be measured.
END
}

svg= tsv= md= linux=yes
while [ $# -gt 0 ]; do
    case $1 in
    --svg | --tsv | --md)
        [ $# -ge 2 ] || die "bench appel: $1: a value is missing"
        (: >"$2") 2>/dev/null || die "cannot write to $2: no such folder, permission or space"
        case $1 in
        --svg) svg=$2 ;;
        --tsv) tsv=$2 ;;
        --md) md=$2 ;;
        esac
        shift
        ;;
    --no-linux) linux= ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) die "bench appel: no option '$1': see ./quire bench appel --help" ;;
    esac
    shift
done

# side run|linux signals|libvm: build/bench/appel-SIDE.tsv
side()
{
    file=$OUT/appel-$1-$2.tsv
    note "measuring $1 by $2"
    status=0
    "$ROOT/quire" "$1" --icount --idle 300 --add "$BUILD/guest/appel:/usr/bin/appel" -- appel "$2" >"$file" 2>"$OUT/appel.err" </dev/null ||
        status=$?
    [ "$status" = 0 ] || { cat "$OUT/appel.err" >&2; die "bench appel: $1 by $2 ended with status $status"; }
}

mkdir -p "$OUT" || die "cannot write to $OUT: no space or permission"
make -s -C "$ROOT" build/guest/appel >&2 || die "the benchmark cannot be built"
side run signals
side run libvm
recorded=$ROOT/bench/appel-linux-6.12.tsv
if [ -n "$linux" ]; then
    side linux signals
    recorded=$OUT/appel-linux-signals.tsv
fi

show()
{
    awk -f "$ROOT/bench/appel.awk" -v form="$1" -v linux="$recorded" -v signals="$OUT/appel-run-signals.tsv" \
        -v libvm="$OUT/appel-run-libvm.tsv"
}

show table
[ -z "$tsv" ] || show tsv >"$tsv"
[ -z "$md" ] || show markdown >"$md"
[ -z "$svg" ] || show svg >"$svg"
