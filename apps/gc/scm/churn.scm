;; Much that lives and slowly changes: a vector of trees, of which one after another is replaced. What a collector has to copy
;; each time is about as large as the first argument says, in MiB (64); the second is how many trees are replaced (10000);
;; the third how many threads do it (1), each with a part of the vector.

(define arguments (cdr (command-line)))
(define (argument n otherwise) (if (> (length arguments) n) (string->number (list-ref arguments n)) otherwise))
(define size (argument 0 64))
(define rounds (argument 1 10000))
(define workers (argument 2 1))
(define depth 9)
(define tree-bytes (* 24 (- (expt 2 (+ depth 1)) 1)))
(define count (quotient (quotient (* size 1048576) tree-bytes) workers)) ; trees of one worker

(define (make depth) (if (= depth 0) (cons 1 '()) (cons (make (- depth 1)) (make (- depth 1)))))
(define (leaves tree) (if (null? (cdr tree)) (car tree) (+ (leaves (car tree)) (leaves (cdr tree)))))

(define trees (make-vector (* count workers) #f))

(define (work number)
  (define first (* number count))
  (do ((i 0 (+ i 1))) ((= i count)) (vector-set! trees (+ first i) (make depth)))
  (do ((i 0 (+ i 1)) (at 0 (modulo (+ at 7919) count))) ((= i (quotient rounds workers)))
    (if (not (= (leaves (vector-ref trees (+ first at))) (expt 2 depth)))
        (begin (display "a tree is damaged") (newline) (exit 1)))
    (vector-set! trees (+ first at) (make depth))))

(if (= workers 1)
    (work 0)
    (for-each thread-join! (map (lambda (i) (thread-start! (make-thread (lambda () (work i))))) (iota workers))))
(display "done")
(newline)
