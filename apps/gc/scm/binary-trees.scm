;; binary-trees of the Computer Language Benchmarks Game. An argument is the depth (14).

(define (make depth) (if (= depth 0) (cons #f #f) (cons (make (- depth 1)) (make (- depth 1)))))
(define (check tree) (if (car tree) (+ 1 (check (car tree)) (check (cdr tree))) 1))

(define arguments (cdr (command-line)))
(define n (if (pair? arguments) (string->number (car arguments)) 14))
(define min-depth 4)
(define max-depth (max (+ min-depth 2) n))

(define (say . parts) (for-each display parts) (newline))

(let ((depth (+ max-depth 1)))
  (say "stretch tree of depth " depth "\t check: " (check (make depth))))
(define long-lived (make max-depth))
(do ((depth min-depth (+ depth 2))) ((> depth max-depth))
  (let ((iterations (expt 2 (+ (- max-depth depth) min-depth))))
    (say iterations "\t trees of depth " depth "\t check: "
         (let loop ((i 0) (sum 0)) (if (= i iterations) sum (loop (+ i 1) (+ sum (check (make depth)))))))))
(say "long lived tree of depth " max-depth "\t check: " (check long-lived))
