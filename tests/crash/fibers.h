/* Threads of which one runs at a time, and which give way only where they say so: by a seed, every run is the same. */
int fiber_start(void (*fn)(void *), void *arg); /* its number */
int fiber_self(void);                           /* 0: the main program */
void fiber_yield(void);                         /* lets a random other one run */
int fiber_alive(void);                          /* how many there are besides the main program */
void fiber_seed(unsigned seed);
unsigned fiber_random(void);
