#!/bin/sh
# configure.sh IMAGE: runs the maintainer scripts of the packages on a new disk, in a guest that boots from it.
#
# dpkg does it, as on any Debian machine: users, alternatives, ldconfig's cache, Python's compiled modules. A package
# whose scripts fail is told by name; the disk is good for all others. What was said is in IMAGE.log.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

SECONDS_AT_MOST=1800
IDLE_SECONDS=300

image=$1
log=${image%.new}.log
status=0
# What we need is built: make calls us.
QUIRE_BUILT=yes "$ROOT/quire" run --disk "$image" --keep --smp 2 --timeout "$SECONDS_AT_MOST" --idle "$IDLE_SECONDS" \
    --kernel-log "$log.kernel" -- sh -c '
        export DEBIAN_FRONTEND=noninteractive LC_ALL=C
        ldconfig
        dpkg --abort-after=9999 --configure -a' >"$log" 2>&1 </dev/null || status=$?
case $status in
0) ;;
1)
    failed=$(sed -n 's/^dpkg: error processing package \([^ ]*\) .*/\1/p' "$log" | tr '\n' ' ')
    note "these packages could not be configured, see ${log#"$ROOT/"}: $failed"
    ;;
*) die "the packages could not be configured in the guest (status $status): ${log#"$ROOT/"} says more" ;;
esac
