# What `./quire` says to a wrong call: one line, status 2; and to a right one that runs nothing.
. tests/front/tap.sh

# refused PATTERN ARG...
refused()
{
    pattern=$1
    shift
    status=0
    out=$(./quire "$@" 2>&1 </dev/null) || status=$?
    is "$status $(echo "$out" | wc -l)" "2 1" "quire $*: status 2, one line"
    like "$out" "quire: $pattern" "quire $*: the line says why"
}

refused "*no command 'frobnicate'*" frobnicate
refused "*no option '--frob'*" run --frob
refused "*no option 'ls'*" run ls
refused "*--smp 0: a number from 1 to 8*" run --smp 0
refused "*--smp 9: a number from 1 to 8*" run --smp 9
refused "*--smp two: a number from 1 to 8*" run --smp two
refused "*--mem 10: a size*" run --mem 10
refused "*--mem 8M: 64M to 16G*" run --mem 8M
refused "*--mem 17G: 64M to 16G*" run --mem 17G
refused "*--timeout soon: seconds*" run --timeout soon -- true
refused "*--timeout: a value is missing*" run --timeout
refused "*--add nocolon: HOST:GUEST*" run --add nocolon -- true
refused "*no file or folder /no/such/file*" run --add /no/such/file:/x -- true
refused "*--drive /no/such/image: no image*" run --drive /no/such/image -- true
refused "*--disk /no/such/image: no such image*" run --disk /no/such/image -- true
refused "*--packages: names of packages*" run --packages bash/sid -- true
refused "*--packages and --disk: one or the other*" run --packages bash --disk README.md -- true
refused "*no package 'no-such-package' for riscv64*" run --packages bash,no-such-package -- true
refused "*no package 'bash-' for riscv64*" run --packages bash- -- true
refused "*--: a command is missing*" run --
refused "*--kernel-log /no/such/folder/log: cannot be written*" run --kernel-log /no/such/folder/log -- true
refused "*no group of tests 'nonsense'*" test nonsense
refused "*bench: no option '--frob'*" bench --frob
refused "*bench: --vs: a value is missing*" bench --vs
refused "*bench: --vs nothing: linux, isolation or a file*" bench --vs nothing
refused "*bench: 'UPPER': names have*" bench UPPER
refused "*bench: --blocks 512: 1024, 2048 or 4096*" bench --blocks 512
refused "*cannot write to /no/such/folder/x.tsv*" bench --tsv /no/such/folder/x.tsv
refused "*clean takes no arguments*" clean everything

status=0
out=$(./quire --help) || status=$?
is "$status" 0 "--help: status 0"
for word in run linux test bench gdb clean --smp --mem --icount --timeout --keep --add --drive --append --kernel-log; do
    like "$out" "*$word*" "--help names $word"
done
for command in run linux gdb clean test bench crash differ xv6; do
    status=0
    out=$(./quire $command --help 2>&1) || status=$?
    is "$status" 0 "$command --help: status 0"
    like "$out" "*./quire $command*" "$command --help shows how it is called"
done
status=0
./quire >"$tmp/output" 2>&1 || status=$?
is "$status" 2 "without a command: status 2"
finish
