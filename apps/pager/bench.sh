# Computations on ten times their budget, beside the same with all in memory.
# machine: --mem 1G
# count: yes
. /bench/bench.sh

measure() # NAME WHAT WORK OPTION...
{
    name=$1 what=$2
    shift 2
    runs pager "$@" || return
    faults=$(value faults)
    row "$name: all" "$(counted 1 "$(value nanoseconds)")" instructions "$what"
    [ -n "$faults" ] || return
    row "$name: faults" "$faults" "" "$(value fetches) pages brought in, $(value dirty_evictions) compressed"
    row "$name: per fault" "$(awk -v t="$(value nanoseconds)" -v p="$plain" -v f="$faults" 'BEGIN { printf "%.0f", (t - p) / f }')" \
        instructions "with its share of compressing"
}

sort=${QUICK:+4M} matrix=${QUICK:+1M}
runs pager --method plain --size "${sort:-16M}" sort
plain=$(value nanoseconds)
row "sort in memory: all" "$(counted 1 "$plain")" instructions "${sort:-16M}, without the pager"
measure sort "${sort:-16M}, a tenth in memory" --size "${sort:-16M}" --compressed 24M sort
runs pager --method plain --size "${matrix:-4M}" matrix
plain=$(value nanoseconds)
row "matrix in memory: all" "$(counted 1 "$plain")" instructions "${matrix:-4M}, without the pager"
measure matrix "${matrix:-4M}, a tenth in memory" --size "${matrix:-4M}" matrix
runs pager --size "${matrix:-4M}" --compressed 64K --threads 4 matrix
row "matrix with a file: all" "$(counted 1 "$(value nanoseconds)")" instructions "64K compressed, 4 threads; $(value from_file) pages from the file"
