# disk: packages
# guard: each error of guard-errors is caught and told; correct programs, bash and Python among them, run as without it.
count=0
ok() # TRUTH NAME
{
    count=$((count + 1))
    if [ "$1" = 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; sed 's/^/# /' /tmp/guard.err | head -n 12; fi
}
caught() # ERROR STATUS TEXT [OPTION...]
{
    error=$1 want=$2 text=$3
    shift 3
    status=0
    guard "$@" /apps/guard-errors "$error" >/tmp/guard.out 2>/tmp/guard.err || status=$?
    [ "$status" = "$want" ] && grep -q "guard: $text" /tmp/guard.err && grep -q 'allocated at' /tmp/guard.err
    ok $? "$error $*: status $status, '$text'"
}
same() # NAME COMMAND...
{
    name=$1
    shift
    status=0 expected=0
    "$@" >/tmp/guard.want 2>/dev/null || expected=$?
    guard "$@" >/tmp/guard.out 2>/tmp/guard.err || status=$?
    [ "$status" = "$expected" ] && cmp -s /tmp/guard.want /tmp/guard.out && ! grep -q guard: /tmp/guard.err
    ok $? "$name"
}
caught overflow 139 'store 0 bytes past the end of a block'
grep -q 'the block has 96 bytes' /tmp/guard.err
ok $? "with the block's size"
caught overflow-read 139 'load 4 bytes past the end of a block'
caught slack 134 'a store just past the end of a block'
caught underflow 139 'store 1 bytes before a block' --below
caught use-after-free 139 'store to a freed block, 10 bytes from its begin'
grep -q 'freed at' /tmp/guard.err
ok $? "with the place of the free"
caught read-after-realloc 139 'load to a freed block'
caught double-free 134 'free of a freed block'
caught bad-free 134 'free of what is not'
status=0
guard /apps/guard-errors stack-free >/tmp/guard.out 2>/tmp/guard.err || status=$?
[ "$status" = 134 ] && grep -q 'free of what malloc never gave' /tmp/guard.err
ok $? "stack-free: status $status"
caught thread 139 'store 0 bytes past the end of a block'
caught use-after-free 0 'store to a freed block' --continue
grep -q survived /tmp/guard.out
ok $? "and the program goes on"
caught slack 139 'store 1 bytes past the end of a block' --align 1
same "a correct program" /apps/guard-errors correct
same "bash: a loop with arrays, strings, a pipe" bash -c 'for i in {1..200}; do a[$i]=$((i*i)); done; echo "${a[@]}" | tr " " "\n" | sort -n | tail -n 3; x=$(printf "%05d" 42); echo "${x//0/z}"'
same "ls, sort" bash -c 'ls -l /usr/bin | sort | head -n 20'
same "Python: dictionaries, strings, exceptions" python3 -c 'd = {str(i): list(range(i)) for i in range(300)}
print(sum(len(v) for v in d.values()), "".join(sorted(d))[:40])
try: d["x"]
except KeyError as e: print(e)'
PYTHONMALLOC=malloc same "Python without its own allocator" python3 -S -c 'print(sum(len(str(i)) for i in range(2000)))'
status=0
guard --align 3 true 2>/tmp/guard.err || status=$?
[ "$status" = 2 ] && [ "$(wc -l </tmp/guard.err)" = 1 ]
ok $? "a bad value of an option is refused in one line"
guard /tmp 2>/tmp/guard.err
[ $? = 126 ] && [ "$(wc -l </tmp/guard.err)" = 1 ]
ok $? "what cannot be run: status 126"
guard /no/such 2>/tmp/guard.err
[ $? = 127 ] && [ "$(wc -l </tmp/guard.err)" = 1 ]
ok $? "what is not there: status 127"
guard --help | grep -q usage
ok $? "guard --help"
guard --help >/dev/full 2>/tmp/guard.err
[ $? = 2 ] && [ "$(wc -l </tmp/guard.err)" = 1 ]
ok $? "... that cannot be written"
echo "1..$count"
