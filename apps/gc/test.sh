#!/bin/sh
# The Scheme and its collectors: the conformance test, also with many collections, and programs whose results are known, for
# each collector. TAP. SCM is the folder of the programs, GC the interpreter, PARANOID how many allocations there are
# between collections where there are to be many.

SCM=${SCM:-$(dirname "$0")/gc-scm}
GC=${GC:-gc}
out=${TMPDIR:-/tmp}/gc-test.$$
count=0

point()
{
    count=$((count + 1))
    if [ "$1" = 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        tail -n 20 "$out" | sed 's/^/# /'
    fi
}

# conforms NAME OPTION...
conforms()
{
    what=$1
    shift
    "$GC" "$@" "$SCM/conformance.scm" >"$out" 2>&1
    status=$?
    grep -v '^ok ' "$out" >"$out.bad"
    [ $status = 0 ] && grep -q '^1\.\.' "$out" && ! grep -q '^not ok' "$out"
    point $? "conformance, $what"
}

# prints NAME WANT OPTION...: the last line is WANT
prints()
{
    what=$1 want=$2
    shift 2
    "$GC" "$@" >"$out" 2>&1
    status=$?
    [ $status = 0 ] && [ "$(grep -v '^gc: ' "$out" | tail -n 1)" = "$want" ]
    point $? "$what"
}

for collector in ${COLLECTORS:-stop concurrent generational}; do
    for barrier in $(case $collector in generational) echo dirty log protect ;; *) echo dirty ;; esac); do
        kind="--collector=$collector --barrier=$barrier"
        name=$(case $collector in generational) echo "$collector by $barrier" ;; *) echo "$collector" ;; esac)
        conforms "$name" $kind --heap=16M --nursery=1M
        conforms "$name, collecting often" $kind --heap=16M --nursery=1M --paranoid=${PARANOID:-2000}
        prints "GCBench, $name" done $kind --heap=32M --nursery=1M "$SCM/gcbench.scm" 12
        prints "binary-trees, $name" "long lived tree of depth 12	 check: 8191" \
            $kind --heap=16M --nursery=1M "$SCM/binary-trees.scm" 12
        prints "threads, $name" done $kind --heap=32M --nursery=1M "$SCM/threads.scm"
        prints "much that lives, four mutators, $name" done --stats $kind --heap=16M --nursery=1M "$SCM/churn.scm" 3 1000 4
        [ $collector = stop ] || grep -q '^gc: flip' "$out"
        point $? "and full collections begin beside them, $name"
    done
done

"$GC" --eval='(car 5)' >"$out" 2>&1
[ $? = 1 ] && grep -q 'a pair is expected' "$out"
point $? "an error that nobody handles ends the program with status 1"

"$GC" --heap=4M --collector=stop --eval="(let loop ((l '())) (loop (cons l l)))" >"$out" 2>&1
[ $? = 70 ] && grep -q 'is full' "$out"
point $? "a heap that is full is told of"

printf '(define (f x) (* x 2))\n(f 21)\n(car 1)\n(f 4)\n' | "$GC" --collector=stop >"$out" 2>&1
grep -q '^> > 42' "$out" && grep -q '^> 8' "$out"
point $? "expressions from standard input are answered, and errors survived"

"$GC" --eval='(display 1)' >/dev/full 2>"$out"
[ $? = 2 ] && [ "$(wc -l <"$out")" = 1 ]
point $? "output that cannot be written is told of"

"$GC" --eval='(call-with-output-file "/dev/full" (lambda (port) (write 1 port)))' >"$out" 2>&1
[ $? = 1 ] && grep -q 'No space left' "$out"
point $? "also when a port is closed"

echo 1 | timeout 20 "$GC" >/dev/full 2>"$out"
[ $? -le 2 ] && [ "$(wc -l <"$out")" -le 2 ]
point $? "nor are expressions answered for ever"

"$GC" --help >/dev/full 2>"$out"
[ $? = 2 ] && [ "$(wc -l <"$out")" = 1 ]
point $? "and the help, too"

"$GC" --heap=bad >"$out" 2>&1
[ $? = 2 ]
point $? "a bad option is refused"

echo "1..$count"
rm -f "$out" "$out.bad"
