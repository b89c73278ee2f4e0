# store, LMDB and SQLite at the same work (bench/compare.c).
# machine: --mem 1G --packages libsqlite3-0,liblmdb0,bash,coreutils
# needs: store-bench
# files: build/apps-bench/compare:/apps/compare
# count: yes
. /bench/bench.sh

n=20000
[ -z "$QUICK" ] || n=1000
for engine in store lmdb sqlite; do
    [ "$SIDE-$engine" = signals-store ] || [ "$SIDE" != signals ] || continue
    mkdir -p $engine
    runs compare $engine $engine $n || continue
    while read -r name work count nanoseconds; do
        case $work in
        load) what="1000 in a transaction, without syncs" ;;
        get) what="random keys, one transaction" ;;
        scan) what="all keys in order" ;;
        put) what="a transaction each, without syncs" ;;
        durable) what="a transaction each, synced" ;;
        esac
        row "$work: $name" "$(counted "$count" "$nanoseconds")" instructions "$what"
    done <out
done
