# Guile: the Boehm collector, which stops threads by signals, and code mapped from compiled files.
. /programs/tap.sh
export GUILE_AUTO_COMPILE=0

cat >collect.scm <<'END'
(define old (make-vector 20000 '()))
(define (fill round)
  (let loop ((i 0))
    (when (< i 20000)
      (vector-set! old i (list round i (number->string i)))
      (loop (+ i 1)))))
(let loop ((round 1))
  (when (<= round 10)
    (fill round)
    (gc)
    (let check ((i 0))
      (when (< i 20000)
        (unless (equal? (vector-ref old i) (list round i (number->string i)))
          (error "lost" i round))
        (check (+ i 1))))
    (loop (+ round 1))))
(display "10 collections")
(newline)
END
is "$(guile -s collect.scm 2>&1)" "10 collections" "ten collections, nothing lost"

cat >threads.scm <<'END'
(use-modules (ice-9 threads) (srfi srfi-1))
(define (work n) (let loop ((i 0) (l '())) (if (= i 20000) (length l) (loop (+ i 1) (cons (make-string 10) l)))))
(display (apply + (par-map work (iota 8))))
(newline)
END
is "$(guile -s threads.scm 2>&1)" 160000 "eight threads that allocate"
is "$(ulimit -v 700000; guile -c '(define (deep n) (+ 1 (deep n))) (catch #t (lambda () (deep 0)) (lambda (key . rest) (display key)))' 2>/dev/null)" \
    stack-overflow "a stack grows until it may not"
ok "a file is compiled" guile -c '((@ (system base compile) compile-file) "collect.scm" #:output-file "collect.go")'
is "$(guile -c '(load-compiled "./collect.go")')" "10 collections" "and mapped"
is "$(guile -c '(let* ((p (pipe)) (pid (primitive-fork))) (if (zero? pid) (begin (display "child" (cdr p)) (close-port (cdr p)) (primitive-exit 3)) (begin (close-port (cdr p)) (display ((@ (ice-9 rdelim) read-line) (car p))) (display (status:exit-val (cdr (waitpid pid)))))))' 2>/dev/null)" \
    child3 "fork and a pipe"
finish
