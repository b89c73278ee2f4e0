/* Hands what /proc/sysvipc shows down to procfs. */
#include "sys/sysvipc.h"
#include "fs/procfs/procfs.h"

void sysvipc_init(void)
{
    procfs_set_sysvipc(SYSVIPC_MSG, msg_show);
    procfs_set_sysvipc(SYSVIPC_SEM, sem_show);
    procfs_set_sysvipc(SYSVIPC_SHM, shm_show);
}
