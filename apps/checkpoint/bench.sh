# A computation without checkpoints, with ours, and with those that a forked child writes.
# machine: --mem 1G
# count: yes
. /bench/bench.sh

size=${QUICK:+2048}
for method in none checkpoint fork; do
    [ "$SIDE-$method" != signals-none ] && [ "$SIDE-$method" != signals-fork ] || continue
    rm -f w
    runs checkpoint --method $method --size "${size:-16384}" --generations 40 --every 10 w || continue
    row "$method: all" "$(counted 1 "$(value nanoseconds)")" instructions "Life on ${size:-16384} x ${size:-16384} cells, 40 generations"
    [ $method != none ] || continue
    row "$method: longest stop" "$(value stop_longest)" instructions "of 4 checkpoints"
    row "$method: all stops" "$(value stop_total)" instructions ""
    [ $method != checkpoint ] || row "$method: pages saved" "$(value pages_saved)" "" "of which a store trapped $(value traps)"
done
