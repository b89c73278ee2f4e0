;; GCBench: trees that are built top down and bottom up and soon forgotten, beside a tree and an array that stay.
;; After the benchmark of John Ellis and Pete Kovac. An argument is the depth of the largest tree (16).

(define-record-type node (make-node left right i j) node?
  (left node-left set-node-left!) (right node-right set-node-right!) (i node-i) (j node-j))

(define (populate depth node)           ; top down, by assignment
  (when (> depth 0)
    (set-node-left! node (make-node #f #f 0 0))
    (set-node-right! node (make-node #f #f 0 0))
    (populate (- depth 1) (node-left node))
    (populate (- depth 1) (node-right node))))

(define (make-tree depth)               ; bottom up
  (if (= depth 0)
      (make-node #f #f 0 0)
      (make-node (make-tree (- depth 1)) (make-tree (- depth 1)) 0 0)))

(define (tree-size depth) (- (expt 2 (+ depth 1)) 1))
(define (nodes tree) (if (node? tree) (+ 1 (nodes (node-left tree)) (nodes (node-right tree))) 0))

(define arguments (cdr (command-line)))
(define largest (if (pair? arguments) (string->number (car arguments)) 16))
(define array-size (quotient 500000 (expt 2 (max 0 (- 16 largest)))))

(define (time-construction depth)
  (let ((iterations (quotient (* 2 (tree-size largest)) (tree-size depth))))
    (do ((i 0 (+ i 1))) ((= i iterations))
      (populate depth (make-node #f #f 0 0)))
    (do ((i 0 (+ i 1))) ((= i iterations))
      (make-tree depth))
    (display iterations) (display " trees of depth ") (display depth) (newline)))

(define long-lived (make-node #f #f 0 0))
(populate (- largest 2) long-lived)
(define array (make-vector array-size 0.0))
(do ((i 0 (+ i 1))) ((= i (quotient array-size 2)))
  (vector-set! array i (/ 1.0 (+ i 1))))
(do ((depth 4 (+ depth 2))) ((> depth largest))
  (time-construction depth))
(if (or (not (= (nodes long-lived) (tree-size (- largest 2)))) (not (= (vector-ref array 1000) (/ 1.0 1001))))
    (begin (display "wrong: what should have stayed is damaged") (newline) (exit 1)))
(display "done") (newline)
