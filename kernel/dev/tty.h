/*
 * Terminals: what programs see of a line (termios(3), tty_ioctl(4)), above a driver that moves bytes, with the line
 * discipline between.
 *
 *   read(2)  <- [input queue] <- dev/ldisc.c <- tty_receive()  <- driver (interrupts; the master's write)
 *   write(2) -> OPOST in dev/ldisc.c ------------> driver->write()
 *                                     echo  ----->
 *
 * A struct tty lives for ever once it is made (pseudo terminals are made again from used ones), so a process may keep a
 * pointer to its controlling terminal without a reference: the pointer counts only while tty->session is the process's
 * own session.
 *
 * Lock: tty->lock (spin, irqsave) guards the line discipline and all fields below it in the struct. It comes before a
 * driver's lock and before wait queues; signals are sent without it. open_lock (sleeping) orders opens, closes and
 * hang-ups.
 */
#ifndef DEV_TTY_H
#define DEV_TTY_H

#include "dev/ldisc.h"
#include "fs/vfs.h"

struct tty;

/* What a tty asks about processes; proc/ hands it down at boot. Groups and sessions are named by their ids. */
struct tty_process_ops {
    int (*current_pgid)(void);
    int (*current_sid)(void);
    bool (*current_is_session_leader)(void);
    struct tty *(*current_tty)(void);                    /* the controlling terminal of the caller's session, or NULL */
    void (*set_current_tty)(struct tty *tty);            /* of the caller's session */
    void (*clear_session_tty)(int sid, struct tty *tty); /* the session has TTY no more */
    int (*session_of_group)(int pgid);                   /* -ESRCH when there is no such group */
    bool (*group_is_orphaned)(int pgid);
    bool (*current_ignores)(int sig);       /* blocked or ignored by the caller */
    int (*signal_group)(int pgid, int sig); /* from the kernel; callable in interrupts */
    void (*signal_session_leader)(int sid, int sig);
};
void tty_set_process_ops(const struct tty_process_ops *ops);

/* ---- called by proc/ ---- */
/* The leader of session SID, which had TTY as its controlling terminal, ends: the foreground group gets SIGHUP, and
 * unless it is a pseudo terminal the line is hung up. => no spinlock held */
void tty_session_leader_exits(struct tty *tty, int sid);
/* vhangup(2) for the caller's controlling terminal; nothing if it has none. */
void tty_hangup_current(void);
u32 tty_dev(const struct tty *tty);  /* tty_nr of /proc/PID/stat; 0 for NULL */
int tty_foreground(struct tty *tty); /* tpgid: the foreground group, -1 for NULL */
/* Waits, at most a second, until everything written to the console has left the machine: before power-off. */
void console_drain(void);

/* ---- drivers ---- */
struct tty_driver {
    /* Takes bytes of the N, as many as fit; room() says how many that will be at least. => tty->lock held */
    size_t (*write)(struct tty *tty, const u8 *bytes, size_t n);
    size_t (*room)(struct tty *tty);
    size_t (*pending)(struct tty *tty);          /* bytes taken but not yet sent (TIOCOUTQ); NULL: none */
    void (*drop_output)(struct tty *tty);        /* TCOFLUSH; NULL: nothing */
    void (*set_break)(struct tty *tty, bool on); /* TCSBRK; NULL: there is no such thing */
    bool outlives_sessions; /* the end of its session hangs nothing up: the master of a pseudo terminal decides */
    /* The queue that was full has room again; without tty->lock. NULL: nothing */
    void (*room_for_input)(struct tty *tty);
    void (*opened)(struct tty *tty); /* NULL: nothing; => open_lock */
    void (*closed)(struct tty *tty); /* the last file is closed. NULL: nothing; => open_lock */
    /* Before the common ones; -ENOIOCTL: not its own. NULL: none */
    long (*ioctl)(struct tty *tty, unsigned command, u64 argument);
};
#define ENOIOCTL 515 /* never leaves the kernel */
/* Commands of ioctl_tty(2) that several files know. */
#define TCFLSH 0x540b
#define TCIFLUSH 0
#define TCOFLUSH 1
#define TCIOFLUSH 2
#define TIOCGPGRP 0x540f
#define TIOCGSID 0x5429

struct winsize {
    u16 rows, columns, x_pixels, y_pixels;
};

struct tty {
    char name[16]; /* "ttyS0", "pts/3" */
    u32 dev;
    const struct tty_driver *driver;
    void *private;
    struct mutex open_lock;
    unsigned opens; /* under open_lock */
    struct wait_queue readers, writers;
    struct spinlock lock; /* the rest */
    struct ldisc ldisc;
    struct winsize winsize;
    int session, foreground; /* 0: none */
    u32 hangups;             /* files opened before the last hang-up are dead */
    bool stopped;            /* output is held by TCOOFF; by ^S: ldisc.output_held */
    bool exclusive;          /* TIOCEXCL */
    bool sender_stopped;     /* IXOFF: the other side was sent STOP and no START since */
};

/* What file->private is for an open tty. */
struct tty_file {
    struct tty *tty;
    u32 hangups;          /* tty->hangups at open */
    bool survives_hangup; /* opened as /dev/console */
};

/* Initialises TTY, whose memory is zeroed, with an input queue of QUEUE_SIZE (a power of two) bytes. -ENOMEM. */
int tty_setup(struct tty *tty, const char *name, u32 dev, const struct tty_driver *driver, size_t queue_size);
/* Back to what a fresh one is, for ptys that are made again. */
void tty_reset(struct tty *tty);
/* Bytes came in. Those that do not fit are lost: ask tty_input_room first. Callable in interrupts. */
void tty_receive(struct tty *tty, const u8 *bytes, size_t n);
size_t tty_input_room(struct tty *tty);
void tty_receive_break(struct tty *tty);
/* The driver can take output again. Callable in interrupts. */
void tty_output_possible(struct tty *tty);
void tty_hangup(struct tty *tty);
/* Signals to the foreground group; callable anywhere but under tty->lock. */
void tty_signal_foreground(struct tty *tty, int sig);
extern const struct file_ops tty_file_ops; /* for devfs_add: file->private is the struct tty at open */
extern const struct tty_process_ops *tty_process_ops;
/* tty_ioctl.c */
long tty_ioctl(struct file *file, unsigned command, u64 argument);
/* What the master of a pseudo terminal may ask of its slave: attributes, window size, queues. */
long tty_master_ioctl(struct tty *tty, unsigned command, u64 argument);
/* As TIOCSWINSZ. Signals SIGWINCH when it changed. */
void tty_set_winsize(struct tty *tty, const struct winsize *size);
/* tty_jobs.c. May the caller, perhaps a background process, read (SIGTTIN) or change things (SIGTTOU)? 0, -EIO,
 * -ERESTARTSYS. */
int tty_check_background(struct tty *tty, int sig);
long tty_jobs_ioctl(struct file *file, unsigned command, u64 argument); /* sessions and groups; -ENOIOCTL */
/* At open without O_NOCTTY: TTY becomes the caller's if it leads a session that has none. */
void tty_claim_as_controlling(struct tty *tty);

/* Boot: /dev/console, /dev/tty, /dev/ttyS0, /dev/ptmx. After vfs_init. */
void tty_init(void);
/* dev/uart.c: finds the machine's console and takes it over from polling; NULL when there is none it knows. */
struct tty *uart_init(void);
void uart_flush(void);
/* dev/pty.c */
void pty_init(void);

#endif
