# memo: right answers within the budget, from a table larger than memory, by one thread and by several.
count=0
check() # NAME COMMAND...
{
    count=$((count + 1))
    name=$1
    shift
    if "$@" >/tmp/memo.out 2>&1; then [ "$1" = says ] || cp /tmp/memo.out /tmp/memo.said; echo "ok $count - $name"; else echo "not ok $count - $name"; sed 's/^/# /' /tmp/memo.out; fi
}
says() { grep -q "$1" /tmp/memo.said; }
check "4 GiB of square roots in 2 MiB" memo --size 4096 --budget 512 --queries 40000
check "... 512 pages in memory" says 'in memory  *512, at most 512 of 512'
check "... some were rescued" says 'rescued  *[1-9]'
check "four threads" memo --size 1024 --budget 64 --queries 20000 --threads 4 --hot 50
check "the smallest budget" memo --size 16 --budget 4 --queries 2000
check "by signals" env VM_BACKEND=signals memo --size 1024 --budget 64 --queries 5000 --threads 2
check "another function" memo --function harmonic --size 64 --budget 256 --queries 20000
check "without a table" memo --direct --queries 1000
check "a table that fits" memo --size 1 --budget 300 --queries 10000
check "... is computed once" says 'dropped  *0$'
check "--help" memo --help
check "... that cannot be written" sh -c 'memo --help >/dev/full; [ $? = 2 ]'
if memo --budget 3 2>/dev/null; then r=1; else r=0; fi
check "a bad option is refused" test "$r" = 0
echo "1..$count"
