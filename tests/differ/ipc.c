/* System V's semaphores, messages and segments. Numbers of objects are told by the places where they are kept. */
#include "differ.h"

#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define KEYS 3
#define KEY_BASE 0x51ce0000
#define SLOTS 4

static long semaphores[SLOTS], queues[SLOTS], segments[SLOTS];

static long key(void)
{
    unsigned drawn = draw(KEYS + 1);

    tell(" key%u", drawn);
    return drawn == KEYS ? IPC_PRIVATE : KEY_BASE + (long)drawn;
}

static long kept(const long *slots)
{
    unsigned drawn = draw(SLOTS + 1);

    tell(" object%u", drawn);
    return drawn == SLOTS ? -1 : slots[drawn];
}
static long semaphore(void) { return kept(semaphores); }
static long message_queue(void) { return kept(queues); }
static long segment(void) { return kept(segments); }

/* Makes or finds an object, and keeps its number. */
static void get(long *slots, long number, int has_size)
{
    long a = key(), size = has_size ? DRAW_OF(2, 1, 0, 4096, 33000) : 0;
    long flags = DRAW_OF(IPC_CREAT | 0600, IPC_CREAT | 0600, 0600, IPC_CREAT | IPC_EXCL | 0600, 0, IPC_CREAT | 0400);
    long result = has_size ? syscall(number, a, size, flags) : syscall(number, a, flags);
    unsigned slot = draw(SLOTS);

    if (result < 0) {
        tell_result(-1);
        return;
    }
    tell(" = at %u", slot);
    slots[slot] = result;
}
static void run_semget(void) { get(semaphores, SYS_semget, 1); }
static void run_msgget(void) { get(queues, SYS_msgget, 0); }
static void run_shmget(void) { get(segments, SYS_shmget, 1); }

static struct sembuf operations[2];
static long two_operations(void)
{
    for (int i = 0; i < 2; i++) {
        operations[i].sem_num = (unsigned short)DRAW_OF(0, 0, 1, 5);
        operations[i].sem_op = (short)DRAW_OF(1, -1, 0, 2, 32767);
        operations[i].sem_flg = (short)(IPC_NOWAIT | DRAW_OF(0, 0, SEM_UNDO));
    }
    return (long)operations;
}

static void run_semctl(void)
{
    unsigned short all[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct semid_ds ds;
    long id = semaphore(), index = DRAW_OF(0, 0, 1, 5, -1);
    long command = DRAW_OF(GETVAL, SETVAL, GETALL, SETALL, GETPID, GETNCNT, GETZCNT, IPC_STAT, IPC_RMID, IPC_SET, 99);
    long value = DRAW_OF(0, 1, 3, 32768, -1), result;

    memset(&ds, 0, sizeof(ds));
    ds.sem_perm.mode = 0600;
    if (command == GETALL || command == SETALL)
        value = (long)all;
    if (command == IPC_STAT || command == IPC_SET)
        value = (long)&ds;
    result = syscall(SYS_semctl, id, index, command, value);
    tell_result(command == GETPID && result > 0 ? 1 : result);
    if (result == 0 && command == IPC_STAT)
        tell(" %lu mode %o", (unsigned long)ds.sem_nsems, ds.sem_perm.mode);
    if (result == 0 && command == GETALL)
        tell(" %u %u", all[0], all[1]);
}

static struct {
    long type;
    char text[200];
} message;

static long new_message(void)
{
    message.type = DRAW_OF(1, 2, 3, 0, -1);
    memset(message.text, 'm', sizeof(message.text));
    return chance(30) ? 8 : (long)&message;
}
ROOM(message_room, message)
static void show_message(long result, const long *arguments)
{
    (void)arguments;
    if (result >= 0)
        tell(" type %ld", message.type);
}

static void run_msgctl(void)
{
    struct msqid_ds ds;
    long id = message_queue(), command = DRAW_OF(IPC_STAT, IPC_STAT, IPC_SET, IPC_RMID, 99), result;

    memset(&ds, 0, sizeof(ds));
    ds.msg_perm.mode = 0600;
    ds.msg_qbytes = (msglen_t)DRAW_OF(16384, 100, 1 << 30);
    result = syscall(SYS_msgctl, id, command, &ds);
    tell_result(result);
    if (result == 0 && command == IPC_STAT)
        tell(" %lu messages, %lu bytes of %lu, mode %o", (unsigned long)ds.msg_qnum, (unsigned long)ds.__msg_cbytes,
             (unsigned long)ds.msg_qbytes, ds.msg_perm.mode);
}

static void run_shmat(void)
{
    long id = segment(), flags = DRAW_OF(0, SHM_RDONLY, SHM_EXEC, SHM_REMAP);
    long result = syscall(SYS_shmat, id, 0, flags);

    if (result == -1) {
        tell_result(-1);
        return;
    }
    tell(" = attached %d", *(char *)result);
    if (!(flags & SHM_RDONLY))
        *(char *)result = (char)(*(char *)result + 1);
    shmdt((void *)result);
}

static void run_shmctl(void)
{
    struct shmid_ds ds;
    long id = segment(), command = DRAW_OF(IPC_STAT, IPC_STAT, IPC_SET, IPC_RMID, SHM_LOCK, SHM_UNLOCK, 99), result;

    memset(&ds, 0, sizeof(ds));
    ds.shm_perm.mode = 0600;
    result = syscall(SYS_shmctl, id, command, &ds);
    tell_result(result);
    if (result == 0 && command == IPC_STAT)
        tell(" %zu attached %lu mode %o", ds.shm_segsz, (unsigned long)ds.shm_nattch, ds.shm_perm.mode);
}

static struct timespec at_once;
static long no_time(void) { return chance(3) ? 0 : (long)&at_once; }

static const struct call calls[] = {
    RUN(semget, 3),
    CALL(semop, 2, FROM(semaphore), FROM(two_operations), ONE_OF(1, 2, 0, 501)),
    CALL(semtimedop, 2, FROM(semaphore), FROM(two_operations), ONE_OF(1, 2), FROM(no_time)),
    RUN(semctl, 4),
    RUN(msgget, 2),
    CALL(msgsnd, 4, FROM(message_queue), FROM(new_message), ONE_OF(0, 10, 100, 9000, -1), ONE_OF(IPC_NOWAIT)),
    TOLD(msgrcv, 4, show_message, FROM(message_queue), FROM(message_room), ONE_OF(200, 10, -1), ONE_OF(0, 1, 2, -2, -3),
         ONE_OF(IPC_NOWAIT, IPC_NOWAIT | MSG_NOERROR, IPC_NOWAIT | MSG_EXCEPT, IPC_NOWAIT | 040000)),
    RUN(msgctl, 2),
    RUN(shmget, 2),
    RUN(shmat, 2),
    RUN(shmctl, 3),
};

static void remove_all(void)
{
    for (int i = 0; i < KEYS; i++) {
        syscall(SYS_semctl, semget(KEY_BASE + i, 0, 0), 0, IPC_RMID, 0);
        msgctl(msgget(KEY_BASE + i, 0), IPC_RMID, NULL);
        shmctl(shmget(KEY_BASE + i, 0, 0), IPC_RMID, NULL);
    }
    for (int i = 0; i < SLOTS; i++) {
        syscall(SYS_semctl, semaphores[i], 0, IPC_RMID, 0);
        msgctl((int)queues[i], IPC_RMID, NULL);
        shmctl((int)segments[i], IPC_RMID, NULL);
    }
}

static void prepare(void)
{
    memset(semaphores, -1, sizeof(semaphores));
    memset(queues, -1, sizeof(queues));
    memset(segments, -1, sizeof(segments));
    remove_all();
}

const struct set ipc_set = {"ipc", calls, COUNT(calls), prepare, NULL, remove_all, NULL};
