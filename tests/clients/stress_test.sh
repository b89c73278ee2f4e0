# stress-ng's memory stressors, each checking what it does (--verify).
. /programs/tap.sh

# Not among them: what Linux in the same machine does not finish either.
operations=10
[ -z "$LONG" ] || operations=
seconds=10

for stressor in $(stress-ng --class vm? 2>&1 | sed 's/.*: //'); do
    set -- --verify --temp-path "$dir" --timeout "$seconds" --"$stressor" 1
    if [ -n "$operations" ]; then
        set -- "$@" --"$stressor"-ops "$operations"
    else
        set -- "$@" --timeout 5
    fi
    status=0
    timeout -s KILL 120 stress-ng "$@" >report 2>&1 || status=$?
    if grep -q 'skipped: 1' report || [ "$status" = 3 ]; then
        count=$((count + 1))
        echo "ok $count - $stressor # SKIP $(sed -n 's/^stress-ng: info: *\[[0-9]*\] \(.*skip.*\)/\1/p' report | head -n1)"
    else
        grep 'fail:' report | head -n3 >complaints
        [ ! -s complaints ] || status=1
        result "$status" "$stressor"
        [ "$status" = 0 ] || sed 's/^/# /' complaints
    fi
done
finish
