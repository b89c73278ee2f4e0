/* What /proc/sysvipc shows: a line for the first object at
 * *INDEX or after, which is then behind it; false: there is none. */
#ifndef SYS_SYSVIPC_H
#define SYS_SYSVIPC_H

#include "lib/types.h"

bool msg_show(unsigned *index, char *line, size_t size);
bool sem_show(unsigned *index, char *line, size_t size);
bool shm_show(unsigned *index, char *line, size_t size);
void sysvipc_init(void); /* boot: hands them down to procfs */

#endif
