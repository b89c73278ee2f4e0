;; How long can a program be kept from running, by the collector's stops or because the collector has the processor? Like
;; churn.scm, but the clock is read at every object, and the longest time between two readings is told, in nanoseconds.

(define arguments (cdr (command-line)))
(define (argument n otherwise) (if (> (length arguments) n) (string->number (list-ref arguments n)) otherwise))
(define size (argument 0 64))
(define rounds (argument 1 5000))
(define depth 9)
(define count (quotient (* size 1048576) (* 24 (- (expt 2 (+ depth 1)) 1))))

(define (make depth) (if (= depth 0) (cons 1 '()) (cons (make (- depth 1)) (make (- depth 1)))))
(define trees (make-vector count #f))
(do ((i 0 (+ i 1))) ((= i count)) (vector-set! trees i (make depth)))

(define last (current-jiffy))
(define longest 0)
(define over (make-vector 5 0))         ; gaps of more than 100,000, 200,000, 500,000, 1,000,000, 2,000,000
(define limits '#(100000 200000 500000 1000000 2000000))
(define (note)
  (let* ((now (current-jiffy)) (gap (- now last)))
    (set! last now)
    (if (> gap 100000)
        (begin
          (if (> gap longest) (set! longest gap))
          (do ((i 0 (+ i 1))) ((= i 5))
            (if (> gap (vector-ref limits i)) (vector-set! over i (+ 1 (vector-ref over i)))))))))
(define (make-noting depth)
  (note)
  (if (= depth 0) (cons 1 '()) (cons (make-noting (- depth 1)) (make-noting (- depth 1)))))

(do ((i 0 (+ i 1)) (at 0 (modulo (+ at 7919) count))) ((= i rounds))
  (vector-set! trees at (make-noting depth)))
(display "longest gap: ") (display longest) (newline)
(display "gaps over 0.1, 0.2, 0.5, 1, 2 ms: ") (display over) (newline)
