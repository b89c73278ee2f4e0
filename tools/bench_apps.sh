#!/bin/sh
# bench_apps.sh: `./quire bench apps`, see --help. Runs apps/NAME/bench*.sh (apps/bench.sh says what they are like) in a guest, on
# Quire by user traps, on Quire by signals, on Linux by signals, and has bench/apps.awk print and draw what they say.
# What was measured stays in build/bench/apps-NAME-SIDE.tsv.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

OUT=$BUILD/bench
IDLE_SECONDS=600

usage()
{
    cat <<'END'
usage: ./quire bench apps [OPTION...] [APP...]

What the programs on libvm (apps/) cost and how long they stop: on Quire by libvm's user traps, on Quire by signals, on Debian's
Linux by signals, one hart, side by side, in instructions of all privilege levels. APP: gc checkpoint store pager memo share guard
address; all, without one: that takes a quarter of an hour on a quiet machine.

  --tsv FILE     the result with tabs between columns, too
  --md FILE      as tables in Markdown
  --svg FOLDER   as charts, FOLDER/apps-NAME.svg
  --sides LIST   some of quire,signals,linux (all); of the others, what was measured last is shown
  --quick        less work: to try the benchmark itself
  --show         measures nothing, shows what was measured last

Status 0; 1 when a benchmark failed.
END
}

misuse()
{
    die "bench apps: $*: see ./quire bench apps --help"
}

apps= tsv= md= svg= sides="quire signals linux" quick=
while [ $# -gt 0 ]; do
    case $1 in
    --tsv | --md | --svg | --sides)
        [ $# -ge 2 ] || misuse "$1: a value is missing"
        case $1 in
        --tsv) tsv=$2 ;;
        --md) md=$2 ;;
        --svg) svg=$2 ;;
        --sides) sides=$(echo "$2" | tr , ' ') ;;
        esac
        shift
        ;;
    --quick) quick=yes ;;
    --show) sides= ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) misuse "no option '$1'" ;;
    *)
        [ -f "$ROOT/apps/$1/bench.sh" ] || misuse "no program '$1'"
        apps="$apps $1"
        ;;
    esac
    shift
done
[ -n "$apps" ] || apps="gc checkpoint store pager memo share guard address"
for side in $sides; do
    case $side in quire | signals | linux) ;; *) misuse "--sides: '$side' is not one" ;; esac
done
for file in "$tsv" "$md"; do
    [ -z "$file" ] || (: >"$file") 2>/dev/null || die "cannot write to $file: no such folder, permission or space"
done
[ -z "$svg" ] || mkdir -p "$svg" 2>/dev/null || die "cannot write to $svg: no permission or space"

# said FILE NAME: what the first lines say of NAME
said()
{
    sed -n "1,12s/^# $2: //p" "$1"
}

# The marks' counts in the place of the values that wait for them: @DIVISOR:NANOSECONDS.
fill_in()
{
    awk -F '\t' -v OFS='\t' -v marks="$OUT/apps.marks" '
        BEGIN { while ((getline line <marks) > 0) {
            split(line, field, " ")
            if (field[1] == 1) began = field[2]
            if (field[1] == 2) count[++n] = field[2] - began
        } }
        $2 ~ /^@/ {
            split(substr($2, 2), part, ":")
            i++
            $2 = sprintf("%.0f", (n > 0 ? count[i] : part[2]) / part[1])
        }
        NF == 4 { print }' "$1"
}

# measure SCRIPT SIDE: adds its rows to build/bench/apps-APP-SIDE.tsv
measure()
{
    script=$1 side=$2 app=$(basename "$(dirname "$1")") image=
    case " $(said "$script" sides | tr , ' ') " in "  " | *" $side "*) ;; *) return 0 ;; esac
    note "measuring $app on $side"
    # shellcheck disable=SC2046 # words
    [ -z "$(said "$script" needs)" ] || make -s -C "$ROOT" $(said "$script" needs) >&2 || die "what is measured cannot be built"
    # shellcheck disable=SC2046
    set -- $(said "$script" machine) $(said "$script" "machine $side")
    for word; do # in a word of options, % stands for a blank
        shift
        set -- "$@" "$(printf %s "$word" | tr % ' ')"
    done
    for file in $(said "$script" files); do
        set -- "$@" --add "$ROOT/$file"
    done
    if [ -n "$(said "$script" drive)" ]; then
        image=$OUT/apps-drive.img
        rm -f "$image"
        truncate -s "$(said "$script" drive)" "$image" || die "no space for $image: make some"
        set -- "$@" --drive "$image"
    fi
    rm -f "$OUT/apps.marks"
    [ -z "$(said "$script" count)" ] || [ -z "$counter" ] || set -- "$@" --plugin "$counter,log=$OUT/apps.marks"
    kernel=run backend=
    [ "$side" != linux ] || kernel=linux
    [ "$side" != signals ] || backend=signals
    status=0
    "$ROOT/quire" "$kernel" --icount --idle "$IDLE_SECONDS" --add "$BUILD/apps:/apps" --add "$ROOT/apps/bench.sh:/bench/bench.sh" \
        --add "$script:/bench/run.sh" "$@" --kernel-log "$OUT/apps.kernel" \
        -- env SIDE="$side" QUICK="$quick" ${backend:+VM_BACKEND=$backend} sh /bench/run.sh >"$OUT/apps.rows" 2>"$OUT/apps.err" </dev/null ||
        status=$?
    grep -v "^$(printf '[^\t]*\t[^\t]*\t[^\t]*\t[^\t]*$')" "$OUT/apps.rows" >&2 || true
    fill_in "$OUT/apps.rows" >>"$OUT/apps-$app-$side.tsv"
    [ -z "$image" ] || rm -f "$image"
    [ "$status" = 0 ] || { note "$app on $side: status $status: $(tail -n1 "$OUT/apps.err")"; failed=1; }
}

show()
{
    form=$1
    shift
    awk -f "$ROOT/bench/apps.awk" -v form="$form" -v dir="$OUT" -v apps="$*"
}

mkdir -p "$OUT" || die "cannot write to $OUT: no space or permission"
exec 9>"$OUT/lock"
! have flock || flock -n 9 || die "another ./quire bench is running here"
failed=0
if [ -n "$sides" ]; then
    make -s -C "$ROOT" apps counter >&2 || die "the programs cannot be built"
    choose_counter
fi
for app in $apps; do
    for side in $sides; do
        rm -f "$OUT/apps-$app-$side.tsv"
        for script in "$ROOT/apps/$app"/bench*.sh; do
            measure "$script" "$side"
        done
    done
done
# shellcheck disable=SC2086 # names have no blanks
{
    show table $apps
    [ -z "$tsv" ] || show tsv $apps >"$tsv"
    [ -z "$md" ] || show markdown $apps >"$md"
    for app in $apps; do
        [ -z "$svg" ] || show svg $app >"$svg/apps-$app.svg"
    done
}
exit "$failed"
