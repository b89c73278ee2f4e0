/* Data races, caught in the act (race.c): nothing, but in the kernel that DEBUG=races builds. */
#ifndef SCHED_RACE_H
#define SCHED_RACE_H

#ifdef RACES
void race_init(void); /* begins to watch. May be called once, by a thread */
#else
static inline void race_init(void) {}
#endif

#endif
