# Shared memory by messages.
. /bench/bench.sh

measure() # NAME WHAT OPTION...
{
    name=$1 what=$2
    shift 2
    runs share "$@" || return
    faults=$(awk '/faults/ { n += $3 } END { print n }' out)
    row "$name: all" "$(awk '/^seconds/ { printf "%.0f", $2 * 1e9 }' out)" instructions "$what; $faults faults, $(awk '/^pages moved/ { print $3 }' out) pages moved"
    [ "$name" != check ] || row "$name: per fault" "$(awk -v f="$faults" '/^seconds/ { printf "%.0f", $2 * 1e9 / f }' out)" instructions "of all processes, with the messages"
}
rounds=1000
[ -z "$QUICK" ] || rounds=100
[ "$SIDE" = signals ] || measure "solver alone" "one process, 128 x 128, 20 rounds" --processes 1 solver
measure "solver" "four processes" solver
measure "matrix" "four processes, 96 x 96" matrix
measure "check" "four processes that store and load at random" --rounds $rounds check
