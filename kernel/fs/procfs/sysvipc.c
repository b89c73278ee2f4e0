/* /proc/sysvipc (sysvipc(7)): tables of what System V's calls have made. The lines come from sys/. */
#include "fs/procfs/internal.h"

#define LONGEST_LINE 256

static bool (*show_object[SYSVIPC_KINDS])(unsigned *index, char *line, size_t size);

void procfs_set_sysvipc(enum sysvipc kind, bool (*show)(unsigned *index, char *line, size_t size))
{
    show_object[kind] = show;
}

static int show_table(struct seq *s, enum sysvipc kind, const char *head)
{
    char line[LONGEST_LINE];
    unsigned index = 0;

    seq_puts(s, head);
    while (show_object[kind] != NULL && show_object[kind](&index, line, sizeof(line)))
        seq_puts(s, line);
    return 0;
}

static int show_msg(struct seq *s, const struct proc_target *t)
{
    return show_table(s, SYSVIPC_MSG,
                      "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      "
                      "stime      rtime      ctime\n");
}

static int show_sem(struct seq *s, const struct proc_target *t)
{
    return show_table(s, SYSVIPC_SEM,
                      "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
}

static int show_shm(struct seq *s, const struct proc_target *t)
{
    return show_table(
        s, SYSVIPC_SHM,
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      "
        "atime      dtime      ctime                   rss                  swap\n");
}

const struct proc_entry sysvipc_entries[] = {
    PROC_FILE("msg", 0444, show_msg),
    PROC_FILE("sem", 0444, show_sem),
    PROC_FILE("shm", 0444, show_shm),
    {0},
};
