;; All permutations of some elements, as lists, made over and over; the last six sets are kept. A
;; collector has much of it to copy each time, in small objects of one kind. In the spirit of the "perm" benchmarks of
;; the Scheme world. Arguments: how many elements (8), how many sets (12).

(define arguments (cdr (command-line)))
(define (argument n otherwise) (if (> (length arguments) n) (string->number (list-ref arguments n)) otherwise))
(define size (argument 0 8))
(define rounds (argument 1 12))

(define (without x list) (if (eqv? x (car list)) (cdr list) (cons (car list) (without x (cdr list)))))

;; The permutations of ELEMENTS before those in REST.
(define (permutations elements rest)
  (if (null? elements)
      (cons '() rest)
      (let loop ((firsts elements) (rest rest))
        (if (null? firsts)
            rest
            (let prepend ((tails (permutations (without (car firsts) elements) '())) (rest rest))
              (if (null? tails)
                  (loop (cdr firsts) rest)
                  (prepend (cdr tails) (cons (cons (car firsts) (car tails)) rest))))))))

(define (factorial n) (if (= n 0) 1 (* n (factorial (- n 1)))))
(define (sum list) (let loop ((list list) (total 0)) (if (null? list) total (loop (cdr list) (+ total (car list))))))
(define (sum-of-all lists)
  (let loop ((lists lists) (total 0)) (if (null? lists) total (loop (cdr lists) (+ total (sum (car lists)))))))

(define kept (make-vector (min rounds 6) '()))
(do ((round 0 (+ round 1))) ((= round rounds))
  (vector-set! kept (modulo round (vector-length kept)) (permutations (iota size) '())))
(vector-for-each
 (lambda (set)
   (if (not (and (= (length set) (factorial size))
                 (= (sum-of-all set) (* (factorial size) (quotient (* size (- size 1)) 2)))))
       (error "a set of permutations is damaged" (length set))))
 kept)
(display "done")
(newline)
