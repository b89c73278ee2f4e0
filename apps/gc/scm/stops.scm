;; Some MiB that live, and much that does not, for the longest stop of the collector: ./quire test front:bench.
(define keep (let loop ((i 0) (l '())) (if (= i 400000) l (loop (+ i 1) (cons i l)))))
(do ((i 0 (+ i 1))) ((= i 130000)) (make-vector 200 i))
(display (length keep)) (newline)
