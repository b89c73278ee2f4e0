#!/bin/sh
# crash.sh [--quick] [--seed N] [--runs N] [--states N]: crash-consistency tests of ext3 and its journal.
#
# The kernel's file system and journal run on the host, with several threads and a disk that completes writes in any order
# (tests/crash/crash.c). Each run is cut at many moments; of what no flush covered, any part may be lost, in units of 512
# bytes. Every state is recovered by the kernel's code, some by e2fsck too, and compared with what programs were promised
# (docs/journal.md). Then the journal is broken on purpose, in eight ways, and must be caught.
#
# By default about 100,000 states; --quick: some thousands, in three minutes. Prints TAP.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

seed=1 runs=700 states=100 small_states=16 sequences=1500 every=40
while [ $# -gt 0 ]; do
    case $1 in
    --quick) runs=30 small_states=2 sequences=150 every=60 ;;
    --seed | --runs | --states)
        [ $# -ge 2 ] || die "crash: $1: a number is missing"
        case $2 in '' | *[!0-9]*) die "crash: $1 $2: a number is wanted" ;; esac
        case $1 in --seed) seed=$2 ;; --runs) runs=$2 ;; --states) states=$2 ;; esac
        shift
        ;;
    *) die "no option '$1': ./quire crash [--quick] [--seed N] [--runs N] [--states N]" ;;
    esac
    shift
done

log=$BUILD/crash/log
mkdir -p "$BUILD/crash" || die "cannot write to $BUILD"
make -s -C "$ROOT" -f tests/crash/Makefile >"$log" 2>&1 || { cat "$log" >&2; die "the crash test cannot be built"; }

n=0 failed=0
# check DESCRIPTION OPTION...
check()
{
    text=$1
    shift
    n=$((n + 1))
    if (cd "$ROOT" && build/crash/crash "$@") >"$log" 2>&1; then
        echo "ok $n - $text: $(tail -n1 "$log")"
    else
        echo "not ok $n - $text: crash $*"
        failed=1
        cut -c1-600 "$log" | tail -n 20 | sed 's/^/# /'
    fi
}

check "every sequence of two operations, then fsync, fdatasync or sync" --small --seed "$seed" --states "$small_states" --fsck $((every * 5))
check "sequences of three operations, with fsync between" --sequences "$sequences" --seed "$seed" --states "$small_states" --fsck $((every * 5))
for mode in ordered journal writeback; do
    check "sequences that other file systems failed at, data=$mode" --known tests/crash/known.txt --data "$mode" --seed "$seed" --states "$small_states" \
        --fsck $((every * 5))
done
check "three programs at once" --seed "$seed" --runs "$runs" --states "$states" --fsck "$every"
check "files that grow and are cut while others commit" --shrinking --seed "$seed" --runs $((runs / 4)) --states "$states" --fsck "$every"
for mode in journal writeback; do
    check "three programs at once, data=$mode" --data "$mode" --seed "$seed" --runs $((runs / 3)) --states "$states" --fsck "$every"
done
for fault in no-flush no-second-flush no-revoke early-commit no-order no-escape early-tail no-tail-flush; do
    check "a journal with the fault $fault is caught" --fault "$fault" --runs 400 --states "$states" --fsck 0
done
check "data=journal without the data in the journal is caught" --data journal --fault no-data --runs 20 --states "$states" --fsck 0
echo "1..$n"
exit "$failed"
