# ECL: a Lisp on the Boehm collector that compiles through gcc and loads what comes out.
. /programs/tap.sh

cat >collect.lisp <<'END'
(defparameter *old* (make-array 10000 :initial-element nil))
(dotimes (round 10)
  (dotimes (i 10000) (setf (svref *old* i) (list round i)))
  (ext:gc t)
  (dotimes (i 10000)
    (unless (equal (svref *old* i) (list round i)) (format t "lost ~a~%" i) (ext:quit 1))))
(format t "10 collections~%")
END
is "$(ecl --norc --shell collect.lisp 2>&1 | tail -n1)" "10 collections" "ten collections, nothing lost"
is "$(ecl --norc --eval '(progn (handler-case (labels ((deep (n) (1+ (deep (1+ n))))) (deep 0)) (ext:stack-overflow () (format t "too deep~%"))) (ext:quit 0))' 2>&1 | tail -n1)" \
    "too deep" "a full stack is a condition"
is "$(ecl --norc --eval '(progn (print (mp:process-join (mp:process-run-function (quote w) (lambda () (reduce (function +) (make-list 1000 :initial-element 2)))))) (terpri) (ext:quit 0))' 2>&1 | tail -n1 | tr -d ' ')" \
    2000 "a thread"
if [ -n "$LONG" ]; then
    echo '(defun twice (x) (* 2 x)) (format t "~a~%" (twice 21))' >compiled.lisp
    is "$(ecl --norc --eval '(progn (compile-file "compiled.lisp") (load "compiled.fas") (ext:quit 0))' 2>&1 | tail -n1)" 42 "code compiled by gcc is loaded"
fi
finish
