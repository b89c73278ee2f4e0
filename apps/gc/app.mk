gc_CFLAGS := -DPRELUDE='"apps/gc/prelude.scm"'
$(O)/apps/gc: apps/gc/prelude.scm
