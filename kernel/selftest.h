/* Tests of the scheduler and the machine layer from within, run by `selftest` on the command line instead of the
 * first program. */
#ifndef SELFTEST_H
#define SELFTEST_H

/* On a thread of its own, with all harts running. WHAT is the option's value: "" for all tests, or one that ends in
 * a panic on purpose: "overflow", "write-text", "execute-data", "panic". Ends the machine: status 0 when all passed,
 * else 1. */
void selftest_run(const char *what);

#endif
