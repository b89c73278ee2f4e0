# malloc of 100 bytes, a store, free, with few and many blocks alive.
# machine: --packages bash,coreutils
. /bench/bench.sh

for with in guard plain; do
    [ "$SIDE-$with" != signals-plain ] || continue
    export GUARD_STATISTICS=1
    case $with in
    guard) runs guard /apps/guard-errors bench ;;
    plain) runs /apps/guard-errors bench ;;
    esac || continue
    for live in 0 20000 40000; do
        what=$(sed -n 's/.*once, \([0-9]* of them without guards\).*/\1/p' err)
        row "$with, $live live" "$(awk -v live="$live" '$2 == live { print $4 }' out)" instructions "$what"
    done
done
