;; Several mutators: each builds and checks trees of its own, adds to a vector that all share, and sorts lists. An argument is
;; how many (4).

(define arguments (cdr (command-line)))
(define workers (if (pair? arguments) (string->number (car arguments)) 4))
(define rounds 20)

(define (make depth) (if (= depth 0) (cons #f #f) (cons (make (- depth 1)) (make (- depth 1)))))
(define (check tree) (if (car tree) (+ 1 (check (car tree)) (check (cdr tree))) 1))

(define lock (make-mutex))
(define shared (make-vector 5000 '()))
(define total 0)

(define (random-list n seed)
  (let loop ((i 0) (x seed) (result '()))
    (if (= i n) result (loop (+ i 1) (modulo (+ (* x 1103515245) 12345) 2147483648) (cons x result)))))
(define (sorted? list) (or (null? list) (null? (cdr list)) (and (<= (car list) (cadr list)) (sorted? (cdr list)))))

(define (work number)
  (do ((round 0 (+ round 1))) ((= round rounds))
    (if (not (= (check (make 9)) 1023)) (error "a tree is damaged"))
    (if (not (sorted? (list-sort < (random-list 500 (+ number round))))) (error "a list is damaged"))
    (do ((i number (+ i workers))) ((>= i (vector-length shared)))
      (vector-set! shared i (cons round (vector-ref shared i))))
    (mutex-lock! lock)
    (set! total (+ total 1))
    (mutex-unlock! lock))
  number)

(define threads (map (lambda (i) (thread-start! (make-thread (lambda () (work i))))) (iota workers)))
(define numbers (map thread-join! threads))
(if (not (equal? numbers (iota workers))) (error "results" numbers))
(if (not (= total (* workers rounds))) (error "total" total))
(define expected (reverse (iota rounds)))
(vector-for-each (lambda (list) (if (not (equal? list expected)) (error "an element is damaged" list))) shared)
(display "done")
(newline)
