# share: right results with 2 to 8 processes, sequential consistency under random loads and stores, and a checker that finds what is broken.
count=0
check() # NAME COMMAND...
{
    count=$((count + 1))
    name=$1
    shift
    if "$@" >/tmp/share.out 2>&1; then echo "ok $count - $name"; else echo "not ok $count - $name"; sed 's/^/# /' /tmp/share.out; fi
}
refuses() { status=0; "$@" || status=$?; [ "$status" = 1 ] || [ "$status" = 2 ]; }
for n in 1 2 8; do
    check "matrix, $n processes" share --processes $n --size 48 matrix
    check "solver, $n processes" share --processes $n --size 64 --rounds 6 solver
done
for seed in 1 2 3; do
    check "consistency, 4 processes, seed $seed" share --seed $seed --rounds 600 check
done
check "consistency, 8 processes on one page" share --processes 8 --size 1 --rounds 300 check
check "consistency by signals" env VM_BACKEND=signals share --rounds 500 check
check "the checker finds missing invalidations" refuses share --break --rounds 2000 check
check "--help" share --help
check "... that cannot be written" sh -c 'share --help >/dev/full; [ $? = 2 ]'
check "a bad option is refused" refuses share --processes 9 matrix
echo "1..$count"
