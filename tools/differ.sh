#!/bin/sh
# differ.sh [--first N] [--seeds N] [--steps N] [--record] [--again] [--recorded] [SET...]: random sequences of system
# calls (tests/differ) on Quire and on Debian's Linux; what they answered is compared call by call.
#
# By default 20 seeds of 100 calls for each set. --recorded compares with what Linux once answered, of which
# tests/differ/linux.tsv keeps hashes; --record writes that file, with the sequences that are alike; --again compares
# the logs of the last run. Prints TAP. The logs are in build/differ: quire.log and linux.log.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

DIFFER=$BUILD/differ
RECORD=$ROOT/tests/differ/linux.tsv
ALL_SETS="files user memory mapped userfault events processes sockets ipc"
MACHINE_SECONDS=1500

first=1 seeds=20 steps=100 mode=both sets=
while [ $# -gt 0 ]; do
    case $1 in
    --first | --seeds | --steps)
        [ $# -ge 2 ] || die "differ: $1: a number is missing"
        case $2 in '' | *[!0-9]*) die "differ: $1 $2: a number is wanted" ;; esac
        case $1 in --first) first=$2 ;; --seeds) seeds=$2 ;; --steps) steps=$2 ;; esac
        shift
        ;;
    --record | --recorded | --again) mode=${1#--} ;;
    -*) die "no option '$1': ./quire differ [--first N] [--seeds N] [--steps N] [--record] [--recorded] [--again] [SET...]" ;;
    *)
        case " $ALL_SETS " in *" $1 "*) ;; *) die "differ: no set of calls '$1': $ALL_SETS" ;; esac
        sets="$sets $1"
        ;;
    esac
    shift
done
[ -n "$sets" ] || sets=$ALL_SETS

mkdir -p "$DIFFER" || die "cannot write to $BUILD"
exec 9>"$DIFFER/lock"
! have flock || flock -n 9 || die "another ./quire differ is running here"
make -s -C "$ROOT" differ >"$DIFFER/build.log" 2>&1 || { cat "$DIFFER/build.log" >&2; die "tests/differ cannot be built"; }

# run KERNEL: its answers go to build/differ/KERNEL.log.
run()
{
    name=$1
    [ "$name" = linux ] || name=run
    status=0
    # shellcheck disable=SC2086 # names of sets
    "$ROOT/quire" "$name" --timeout "$MACHINE_SECONDS" --kernel-log "$DIFFER/$1.kernel" --add "$DIFFER/differ:/bin/differ" \
        -- /bin/differ "$first" "$seeds" "$steps" $sets >"$DIFFER/$1.log" 2>"$DIFFER/$1.err" </dev/null || status=$?
    [ "$status" = 0 ] || echo "machine $first.$1 000 ended with status $status" >>"$DIFFER/$1.log"
}

compare()
{
    awk -v known="$ROOT/tests/differ/known.tsv" -v sets="$sets" "$@" -f "$ROOT/tests/differ/compare.awk"
}

case $mode in
again) compare -v "quire=$DIFFER/quire.log" -v "linux=$DIFFER/linux.log" ;;
recorded)
    # shellcheck disable=SC2046 # three numbers
    set -- $(sed -n 's/^# first \([0-9]*\) seeds \([0-9]*\) steps \([0-9]*\)$/\1 \2 \3/p' "$RECORD")
    first=$1 seeds=$2 steps=$3
    run quire
    compare -v "quire=$DIFFER/quire.log" -v "record=$RECORD"
    ;;
*)
    make -s -C "$ROOT" linux >&2 || die "the referee cannot be built"
    run quire
    run linux
    if [ "$mode" = both ]; then
        compare -v "quire=$DIFFER/quire.log" -v "linux=$DIFFER/linux.log"
    else
        {
            echo "# What Linux answered to the sequences of tests/differ, a hash for each line: ./quire differ --record writes this."
            echo "# first $first seeds $seeds steps $steps"
            compare -v "quire=$DIFFER/quire.log" -v "linux=$DIFFER/linux.log" -v to_record=1
        } >"$RECORD"
        note "$(grep -vc '^#' "$RECORD") sequences recorded"
    fi
    ;;
esac
