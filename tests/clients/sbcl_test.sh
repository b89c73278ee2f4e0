# SBCL: its collector's write barrier is mprotect and SIGSEGV, its heap a reservation of gigabytes.
. /programs/tap.sh

cat >collect.lisp <<'END'
;; Old objects that point to young ones: each collection depends on the barrier having seen the writes.
(defparameter *old* (make-array 50000 :initial-element nil))
(gc :full t)
(defun check (round)
  (loop for i from 0 below 50000 by 7
        unless (equal (svref *old* i) (list round i (format nil "~a" i)))
          do (format t "lost ~a in round ~a: ~a~%" i round (svref *old* i)) (sb-ext:exit :code 1)))
(loop for round from 1 to 20
      do (loop for i from 0 below 50000 by 7 do (setf (svref *old* i) (list round i (format nil "~a" i))))
         (gc :full t)
         (check round))
(format t "~a collections~%" 20)
END
is "$(sbcl --script collect.lisp 2>&1)" "20 collections" "twenty full collections, nothing lost"

cat >threads.lisp <<'END'
(defparameter *results* (make-array 4 :initial-element nil))
(defun work (n)
  (let ((keep nil))
    (dotimes (i 20000) (push (make-string 50) keep) (when (zerop (mod i 2000)) (setf keep nil)))
    (setf (svref *results* n) (* n n))))
(let ((threads (loop for n below 4 collect (let ((n n)) (sb-thread:make-thread (lambda () (work n)))))))
  (mapc #'sb-thread:join-thread threads)
  (gc :full t)
  (format t "~a~%" *results*))
END
is "$(sbcl --script threads.lisp 2>&1)" "#(0 1 4 9)" "threads that are stopped for collections"

cat >stray.lisp <<'END'
(handler-case (sb-sys:sap-ref-8 (sb-sys:int-sap 16) 0)
  (sb-sys:memory-fault-error () (format t "fault~%")))
(handler-case (sb-sys:sap-ref-8 (sb-sys:int-sap 4096) 0)
  (sb-sys:memory-fault-error () (format t "again~%")))
END
is "$(sbcl --noinform --no-sysinit --no-userinit --disable-debugger --load stray.lisp --quit 2>/dev/null)" "fault
again" "a stray pointer is a condition"

cat >image.lisp <<'END'
(defun hello () (format t "from the image~%") (sb-ext:exit))
(sb-ext:save-lisp-and-die "image" :executable t :toplevel #'hello)
END
sbcl --non-interactive --no-sysinit --no-userinit --load image.lisp >log 2>&1
is "$(./image)" "from the image" "a saved image starts"
is "$(echo '(compile (quote f) (quote (lambda (x) x))) (print (let ((s 0)) (dotimes (i 1000000 s) (incf s i))))' >c.lisp; sbcl --script c.lisp | tail -n1 | tr -d ' ')" \
    499999500000 "compiled code runs"
finish
