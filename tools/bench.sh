#!/bin/sh
# bench.sh: `./quire bench`, see --help. Boots the guest with bench/vmbench and a fresh disk for its files, again on
# what it is compared with, and has bench/report.awk print both. What was measured stays in build/bench/SIDE.tsv.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

if [ "${1:-}" = appel ]; then
    shift
    exec "$ROOT/tools/appel.sh" "$@"
fi
if [ "${1:-}" = apps ]; then
    shift
    exec "$ROOT/tools/bench_apps.sh" "$@"
fi

OUT=$BUILD/bench
IDLE_SECONDS=900    # a machine that reports no measure for so long hangs
MEASURE_SECONDS=40  # of the guest's time, for one measure
MACHINES=20         # that may die on the way
PLAIN_HARTS="1 2 4"
PLAIN_RUNS="1 2"

usage()
{
    cat <<'END'
usage: ./quire bench [OPTION...] [NAME...]
       ./quire bench appel [OPTION...]    Appel & Li's table, see ./quire bench appel --help
       ./quire bench apps [OPTION...] [APP...]   the programs of apps/, see ./quire bench apps --help

Runs bench/vmbench in the guest and prints what each measure costs: instructions of all privilege levels per operation,
the time in which a hart waits left out, the median of several rounds. NAME picks one measure, or all that begin so.

  --vs linux         the same on Debian's Linux in the same QEMU, measured now; the ratio, above 1 where Quire is
                     faster, and the ratios' geometric mean
  --vs isolation     the same on Quire with isolation=on: what it costs
  --vs FILE          beside an earlier result, from --tsv or bench/linux-6.12.tsv
  --tsv FILE         the result with tabs between columns, too
  --svg FILE         the result as a chart, too
  --md FILE          the result as a table in Markdown, too
  --plain            wall time instead of instructions, with 1, 2 and 4 harts; with --vs as ratios
  --check FILE       the measures of FILE (measure, tab, most instructions): status 1 when one takes more
  --list             what each measure does, and nothing more
  --blocks BYTES     of the file system that the files are on: 1024 (so without this), 2048 or 4096
  --mem SIZE, --append OPTIONS   the machine: see ./quire --help (1G)

"none": the kernel cannot do it; "failed": it could not be measured. Status 0; 1 when a measure failed.
END
}

misuse()
{
    die "bench: $*: see ./quire bench --help"
}

versus= tsv= svg= md= plain= check= list= blocks=1024 mem=1G append= names=
while [ $# -gt 0 ]; do
    case $1 in
    --vs | --tsv | --svg | --md | --check | --blocks | --mem | --append)
        [ $# -ge 2 ] || misuse "$1: a value is missing"
        case $1 in
        --vs) versus=$2 ;;
        --tsv) tsv=$2 ;;
        --svg) svg=$2 ;;
        --md) md=$2 ;;
        --check) check=$2 ;;
        --blocks) blocks=$2 ;;
        --mem) mem=$2 ;;
        --append) append=$2 ;;
        esac
        shift
        ;;
    --plain) plain=yes ;;
    --list) list=yes ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) misuse "no option '$1'" ;;
    '' | *[!a-z0-9_]*) misuse "'$1': names have small letters, digits and _" ;;
    *) names="$names $1" ;;
    esac
    shift
done
# shellcheck disable=SC2086 # names have no blanks
set -- $names
case $blocks in 1024 | 2048 | 4096) ;; *) misuse "--blocks $blocks: 1024, 2048 or 4096 is wanted" ;; esac
case $versus in
'' | linux | isolation) ;;
*) [ -r "$versus" ] || misuse "--vs $versus: linux, isolation or a file is wanted" ;;
esac
[ -z "$check" ] || [ -r "$check" ] || misuse "--check $check: no such file"
if [ -n "$check" ] && [ $# = 0 ]; then
    # shellcheck disable=SC2046
    set -- $(awk '!/^#/ { print $1 }' "$check")
fi
for file in "$tsv" "$svg" "$md"; do
    [ -z "$file" ] || (: >"$file") 2>/dev/null || die "cannot write to $file: no such folder, permission or space"
done

# What the guest runs: its files are on a disk of their own. Linux may have named the disks in another order.
guest_script()
{
    cat <<'END'
disk=/dev/vdb
for serial in /sys/block/vd*/serial; do
    [ -r "$serial" ] || continue
    [ "$(cat "$serial")" != drive1 ] || { disk=${serial%/serial}; disk=/dev/${disk##*/}; }
done
mount -t ext3 "$disk" /mnt || exit 126
exec vmbench --dir /mnt "$@"
END
}

# boot_once LINE-FILE HARTS run|linux COMMAND-LINE NAME...: one machine; its table goes to LINE-FILE.
boot_once()
{
    lines=$1 harts=$2 command=$3 extra=$4
    shift 4
    rm -f "$image" "$OUT/marks"
    truncate -s 256M "$image" && mke2fs -q -F -t ext3 -b "$blocks" "$image" >&2 || die "no space for $image: make some"
    status=0
    "$ROOT/quire" "$command" ${counting:+--icount} ${counting:+${counter:+--plugin "$counter,log=$OUT/marks"}} \
        --smp "$harts" --mem "$mem" --append "$extra" --idle "$IDLE_SECONDS" --kernel-log "$OUT/kernel.log" \
        --drive "$image" --add "$BUILD/guest/vmbench:/usr/bin/vmbench" \
        -- sh -c "$(guest_script)" sh --limit "$MEASURE_SECONDS" "$@" >"$OUT/boot.tsv" 2>"$OUT/boot.err" </dev/null ||
        status=$?
    # A line that the machine's end cut off is none.
    awk -F '\t' '/^#plan/ || NF == 5' "$OUT/boot.tsv" >"$OUT/whole.tsv"
    if [ -s "$OUT/marks" ]; then
        awk -f "$ROOT/bench/counts.awk" "$OUT/marks" "$OUT/whole.tsv" >"$lines"
    else
        cp "$OUT/whole.tsv" "$lines"
    fi
    rm -f "$image" "$OUT/marks"
}

# measure SIDE HARTS run|linux COMMAND-LINE NAME...: build/bench/SIDE.tsv. A measure that takes the machine down has
# failed, the rest goes on in a new one.
measure()
{
    side=$1 harts=$2 command=$3 extra=$4
    shift 4
    note "measuring $side"
    : >"$OUT/$side.new"
    machines=0
    while :; do
        machines=$((machines + 1))
        boot_once "$OUT/lines" "$harts" "$command" "$extra" "$@"
        if ! grep -q '^#plan' "$OUT/lines"; then
            cat "$OUT/boot.err" "$OUT/boot.tsv" | tail -n3 >&2
            die "the benchmark does not start on $side"
        fi
        grep -v '^#' "$OUT/lines" >>"$OUT/$side.new" || true
        ! grep '^vmbench: ' "$OUT/boot.tsv" >&2 || true
        left=$(awk -F '\t' '/^#plan/ { for (i = 2; i <= NF; i++) plan[++n] = $i; next } { done[$1] = 1 }
            END { for (i = 1; i <= n; i++) if (!(plan[i] in done)) print plan[i] }' "$OUT/lines")
        [ -n "$left" ] || break
        # shellcheck disable=SC2086 # names have no blanks
        set -- $left
        note "$1 took the machine down on $side (status $status): $(tail -n1 "$OUT/boot.err")"
        printf '%s\tfailed\t\t0\t\n' "$1" >>"$OUT/$side.new"
        shift
        [ $# -gt 0 ] && [ "$machines" -lt "$MACHINES" ] || break
    done
    mv "$OUT/$side.new" "$OUT/$side.tsv"
}

# measure_side SIDE HARTS FILE-SUFFIX NAME...
measure_side()
{
    side=$1$3 harts=$2 kind=$1
    shift 3
    case $kind in
    quire) measure "$side" "$harts" run "$append" "$@" ;;
    linux) measure "$side" "$harts" linux "" "$@" ;;
    isolation) measure "$side" "$harts" run "$append isolation=on" "$@" ;;
    esac
}

report()
{
    awk -f "$ROOT/bench/report.awk" -v theirs="$their_name" "$@"
}

# The result in all forms that are wanted.
show_counts()
{
    set -- ours="$OUT/quire.tsv" other="$theirs" reach="$ROOT/bench/reach.tsv"
    report -v form=table -v "$1" -v "$2" -v "$3"
    [ -z "$tsv" ] || report -v form=tsv -v "$1" -v "$2" -v "$3" >"$tsv"
    [ -z "$md" ] || report -v form=markdown -v "$1" -v "$2" -v "$3" >"$md"
    [ -z "$svg" ] || report -v form=svg -v "$1" -v "$2" -v "$3" >"$svg"
}

# The disk lies in memory where that is possible: Linux commits more often when a host's slow disk lets time pass.
place_disk()
{
    image=$OUT/disk.img
    if [ -d /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')" -gt 600000 ]; then
        image=$(mktemp /dev/shm/quire-bench.XXXXXX 2>/dev/null) || image=$OUT/disk.img
    fi
    trap 'rm -f "$image"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

show_times()
{
    awk -f "$ROOT/bench/plain.awk" -v form="$1" -v dir="$OUT" -v theirs="$versus" -v harts="$PLAIN_HARTS"
}

mkdir -p "$OUT" || die "cannot write to $OUT: no space or permission"
make -s -C "$ROOT" build/guest/vmbench counter >&2 || die "the benchmark cannot be built"
exec 9>"$OUT/lock"
! have flock || flock -n 9 || die "another ./quire bench is running here"
place_disk

if [ -n "$list" ]; then
    exec "$ROOT/quire" run --add "$BUILD/guest/vmbench:/usr/bin/vmbench" -- vmbench --list "$@"
fi

if [ -n "$plain" ]; then
    MEASURE_SECONDS=400 # a machine that is busy with other things
    [ -z "$svg$check" ] || misuse "--plain goes with --vs, --tsv and --md only"
    case $versus in '' | linux | isolation) ;; *) misuse "--plain --vs $versus: linux or isolation is wanted" ;; esac
    counting=
    # Other work on this machine only ever adds time: the least of some runs counts.
    for harts in $PLAIN_HARTS; do
        for run in $PLAIN_RUNS; do
            for side in quire $versus; do
                measure_side "$side" "$harts" "-plain$harts-$run" "$@"
            done
        done
        for side in quire $versus; do
            awk -f "$ROOT/bench/least.awk" "$OUT/$side-plain$harts"-[0-9].tsv >"$OUT/$side-plain$harts.tsv"
            rm -f "$OUT/$side-plain$harts"-[0-9].tsv
        done
    done
    show_times table
    [ -z "$tsv" ] || show_times tsv >"$tsv"
    [ -z "$md" ] || show_times markdown >"$md"
    failed=0
    ! grep -q "$(printf '\tfailed\t')" "$OUT"/quire-plain[124].tsv || failed=1
    exit "$failed"
fi

counting=yes
choose_counter
measure_side quire 1 "" "$@"
case $versus in
linux | isolation)
    measure_side "$versus" 1 "" "$@"
    their_name=$versus theirs=$OUT/$versus.tsv
    ;;
'') their_name='' theirs='' ;;
*) their_name=$(basename "$versus" .tsv) theirs=$versus ;;
esac
show_counts
failed=0
! grep -q "$(printf '\tfailed\t')" "$OUT/quire.tsv" || failed=1
[ -z "$check" ] || awk -f "$ROOT/bench/check.awk" "$check" "$OUT/quire.tsv" || failed=1
exit "$failed"
