# Smaller run-times, each with a collector, a compiler or a stack of its own: Lua, LuaJIT, Chez Scheme, PyPy, CLISP,
# SWI-Prolog, PHP; and programs in Rust and Haskell.
. /programs/tap.sh

cat >fill.lua <<'END'
local t = {}
for round = 1, 10 do
    for i = 1, 20000 do t[i] = {i, tostring(i)} end
    collectgarbage()
end
print(#t, t[20000][2])
END
is "$(lua5.4 fill.lua)" "20000	20000" "Lua: ten collections"
is "$(luajit fill.lua)" "20000	20000" "LuaJIT: the same"
is "$(luajit -e 'local c = coroutine.wrap(function() for i = 1, 1e5 do coroutine.yield(i) end end) local s = 0 for i = 1, 1e5 do s = s + c() end print(s)')" \
    5000050000 "LuaJIT: a coroutine"

cat >deep.ss <<'END'
(define (deep n) (if (= n 0) 0 (+ 1 (deep (- n 1)))))
(define (fill round)
  (let ((v (make-vector 20000)))
    (do ((i 0 (+ i 1))) ((= i 20000)) (vector-set! v i (list i (number->string i))))
    (collect)
    (if (< round 10) (fill (+ round 1)) (vector-ref v 19999))))
(write (fill 1)) (write (deep 1000000)) (newline)
END
is "$(chezscheme --script deep.ss 2>&1)" '(19999 "19999")1000000' "Chez Scheme: ten collections and a deep recursion"

cat >fill.py <<'END'
import gc
for r in range(10):
    l = [(i, str(i)) for i in range(20000)]
    gc.collect()
def deep(n): return deep(n + 1) + 1
try: deep(0)
except RecursionError: print(l[-1], sum(i * i % 7 for i in range(300000)))
END
is "$(pypy3 fill.py 2>&1)" "(19999, '19999') 599998" "PyPy: ten collections, a full stack, compiled loops"
is "$(clisp -q -x '(progn (dotimes (r 10) (let ((l nil)) (dotimes (i 20000) (push (cons i (princ-to-string i)) l)) (gc))) (princ "filled"))' 2>&1 | head -n1)" \
    filled "CLISP: ten collections"
is "$(clisp -q -x '(progn (defun d (n) (+ 1 (d n))) (d 1))' 2>&1 | grep -c 'stack overflow')" 1 "CLISP: a full stack (libsigsegv)"
is "$(swipl -g 'numlist(1, 200000, L), sum_list(L, S), write(S), garbage_collect, halt')" 20000100000 "SWI-Prolog: a long list"
is "$(swipl -g 'catch(length(L, L), _, true), write(ok), halt' 2>&1 | tail -n1)" ok "SWI-Prolog: a full stack"
is "$(php -n -r '$a = []; for ($r = 0; $r < 10; $r++) for ($i = 0; $i < 20000; $i++) $a[$i] = [$i, "s$i"]; gc_collect_cycles(); echo count($a), $a[19999][1];')" \
    20000s19999 "PHP: arrays"
seq 1 200000 >lines
is "$(rg --mmap -c 99 lines)" "$(grep -c 99 lines)" "ripgrep: a mapped file"
is "$(rg -j4 -l END /runtimes | wc -l)" "$(grep -rl END /runtimes | wc -l)" "ripgrep: four threads"
is "$(fdfind -e sh . /runtimes | wc -l)" "$(ls /runtimes | grep -c '\.sh$')" "fd: a folder"
printf '#!/bin/sh\necho $x\n' >a.sh
is "$(shellcheck -f gcc a.sh | grep -c 'SC2154\|SC2086')" 2 "ShellCheck: two warnings"
finish
