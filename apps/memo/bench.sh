# Queries to a table of 4 GiB of which 16 MiB are in memory.
. /bench/bench.sh

n=${QUICK:+5000}
measure() # NAME WHAT OPTION...
{
    name=$1 what=$2
    shift 2
    runs memo --queries "${n:-100000}" "$@" || return
    row "$name" "$(awk '/^time per query/ { print $4 }' out)" instructions "$what; $(awk '/^pages computed/ { print $3 + 0 }' out) pages computed"
}
measure "90 % hot" "a query of the square root"
measure "none hot" "nearly each query misses: a trap and 512 roots" --hot 0 --queries $((${n:-100000} / 5))
[ "$SIDE" = signals ] || {
    runs memo --queries 2000 --function harmonic --direct
    row "harmonic, direct" "$(awk '/^time per query/ { print $4 }' out)" instructions "a query that is computed each time"
}
measure "harmonic, 99 % hot" "a table of it, asked near where it was asked" --function harmonic --hot 99 --budget 64
