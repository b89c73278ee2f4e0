/*
 * Marks for counter.c in programs other than vmbench: what is executed between mark_begin and mark_end is counted, the
 * time in which a hart waits for a disk is not. They cost an instruction each, and do nothing where nobody counts.
 */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

#ifdef __riscv
#define MARK(number) __asm__ volatile("slti zero, zero, %0" ::"i"(number) : "memory")
#else
#define MARK(number) ((void)(number))
#endif

static inline void mark_begin(void) { MARK(1); }
static inline void mark_end(void) { MARK(2); }

#endif
