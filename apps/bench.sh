# What the benchmarks of the programs share: apps/NAME/bench.sh begins with ". /bench/bench.sh", runs in a guest as root, and
# prints rows: name, value, unit, what it is, with tabs between. tools/bench_apps.sh runs each three times, SIDE says which:
# "quire" (by user traps), "signals" (Quire, by signals), "linux" (by signals).
#
# The first lines of a benchmark may have "# machine: OPTIONS" or "# machine SIDE: OPTIONS" for ./quire run (% for a blank in one), "# drive: SIZE" for an empty disk, $DRIVE,
# "# count: yes" when a plugin shall count instructions between marks (bench/mark.h), without the wait for disks, and
# "# needs: TARGET..." for make; "# sides: ..." where not all three make sense.

PATH=/apps:$PATH
mkdir -p /root/bench
cd /root/bench || exit 2

# row NAME VALUE UNIT WHAT
row()
{
    printf '%s\t%s\t%s\t%s\n' "$1" "${2:--}" "$3" "$4"
}

# value NAME [FILE]: what a program said as "NAME VALUE"
value()
{
    awk -v name="$1" '$1 == name { print $2 }' "${2:-out}"
}

# counted DIVISOR NANOSECONDS: the value of a row that is counted between the next two marks; by the clock where nobody counts
counted()
{
    echo "@$1:$2"
}

# per A B
per()
{
    awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.0f", a / b }'
}

# runs COMMAND...: its output to the file out; when it fails, the benchmark goes on, with a line on standard error
runs()
{
    "$@" >out 2>err || { echo "$*: status $?: $(tail -n1 err)" >&2; return 1; }
}
