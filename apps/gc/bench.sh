# Stops and instructions of the collectors, of a plain one, and of Debian's libgc under the same interpreter.
# machine: --mem 1G
# needs: build/gc-boehm
# files: build/gc-boehm:/apps/gc-boehm apps/gc/scm:/apps/scm
. /bench/bench.sh

# measure NAME WHAT COMMAND...: total in millions, longest and median stop
measure()
{
    local name=$1 what=$2
    shift 2
    runs "$@" || { row "$name" - instructions "$what"; return; }
    total=$(awk '/ s in all/ { sub(/ s in all.*/, ""); sub(/.*; /, ""); printf "%.0f", $0 * 1e9 }' err)
    row "$name: all" "$total" instructions "$what"
    stop=$(awk '$2 == "any:" || $2 == "any" { print $NF }' err)
    row "$name: longest stop" "${stop:-0}" instructions "$([ -n "$stop" ] && echo "of a mutator" || echo "no collection")"
    row "$name: collections" "$(awk '/ collections,/ { print $2 }' err)" "" ""
}

# each NAME WHAT SCRIPT...: with all collectors
each()
{
    local name=$1 what=$2
    shift 2
    measure "$name, concurrent" "$what" gc --stats "$@"
    measure "$name, generational" "$what" gc --stats --collector=generational "$@"
    [ "$SIDE" != signals ] || return 0
    measure "$name, stop" "$what" gc --stats --collector=stop "$@"
    measure "$name, libgc" "$what" gc-boehm --stats "$@"
}

cd /apps/scm || exit 2
churn=${QUICK:+8 500} deep=${QUICK:+10} sets=${QUICK:+6 8}
each churn "64 MiB live, replaced bit by bit" churn.scm $churn
for barrier in log protect; do
    measure "churn, generational by $barrier" "as generational, which finds stores by dirty bits" \
        gc --stats --collector=generational --barrier=$barrier churn.scm $churn
done
each GCBench "trees up to 2^16 nodes" gcbench.scm $deep
each perm "12 times the permutations of 8" perm.scm $sets
measure "churn by 4 threads, concurrent" "the same by four mutators" gc --stats churn.scm ${churn:-64 10000} 4
