/*
 * The line discipline: canonical line editing, echo, signals from keys, and output processing, as termios(3) defines
 * them.
 *
 * A pure machine without locks or sleep (the tty's lock serialises calls), so that the host can test it: bytes in by
 * ldisc_receive, out by ldisc_read; echo and output leave through `emit`.
 *
 *   queue of input bytes, a ring; positions only grow:
 *
 *        tail ............... line_end ............ head
 *         | complete lines    |  the line being edited |
 *   canonical: reads see [tail, line_end); otherwise line_end follows head.
 *
 * Each byte of the queue has a mark: a marked byte ends a line ("\n", EOL), a marked 0 is an end of file that is not
 * part of the data.
 */
#ifndef DEV_LDISC_H
#define DEV_LDISC_H

#include "lib/types.h"

/* c_cc indices */
/* clang-format off */
enum {
    VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL, VREPRINT, VDISCARD, VWERASE,
    VLNEXT, VEOL2
};
/* clang-format on */
#define NCCS 19

/* c_iflag */
#define IGNBRK 0000001
#define BRKINT 0000002
#define PARMRK 0000010
#define ISTRIP 0000040
#define INLCR 0000100
#define IGNCR 0000200
#define ICRNL 0000400
#define IUCLC 0001000
#define IXON 0002000
#define IXANY 0004000
#define IXOFF 0010000
#define IMAXBEL 0020000
#define IUTF8 0040000
/* c_oflag */
#define OPOST 0000001
#define OLCUC 0000002
#define ONLCR 0000004
#define OCRNL 0000010
#define ONOCR 0000020
#define ONLRET 0000040
#define TABDLY 0014000
#define XTABS 0014000
/* c_cflag */
#define CS8 0000060
#define CREAD 0000200
#define HUPCL 0002000
#define CLOCAL 0004000
#define CBAUD 0010017
#define B38400 0000017
#define B115200 0010002
/* c_lflag */
#define ISIG 0000001
#define ICANON 0000002
#define XCASE 0000004
#define ECHO 0000010
#define ECHOE 0000020
#define ECHOK 0000040
#define ECHONL 0000100
#define NOFLSH 0000200
#define TOSTOP 0000400
#define ECHOCTL 0001000
#define ECHOPRT 0002000
#define ECHOKE 0004000
#define FLUSHO 0010000
#define PENDIN 0040000
#define IEXTEN 0100000
#define EXTPROC 0200000

struct termios { /* the ABI's struct termios2; struct termios is its first 36 bytes */
    u32 iflag, oflag, cflag, lflag;
    u8 line;
    u8 cc[NCCS];
    u32 ispeed, ospeed;
};
static_assert(sizeof(struct termios) == 44, "the ABI's size");
#define TERMIOS1_SIZE 36

#define LINE_MAX_BYTES 4095 /* of a canonical line, without its end */

/* What ldisc_receive wants done; bits of ldisc.events, which the caller clears. */
#define LDISC_INTR BIT(0)
#define LDISC_QUIT BIT(1)
#define LDISC_SUSP BIT(2)
#define LDISC_RESUMED BIT(3) /* output_held has ended */

struct ldisc {
    struct termios termios;
    u8 *queue;
    u8 *marks;   /* a bit per byte of the queue */
    size_t size; /* a power of two */
    u64 tail, line_end, head;
    unsigned column;      /* of the cursor, as far as known */
    unsigned line_column; /* where the line being edited begins on the screen */
    bool quoting;         /* after VLNEXT */
    bool output_held;     /* by ^S */
    u32 events;
    /* Sends bytes to the screen: echo, which may not fail; the driver keeps room for it. */
    void (*emit)(struct ldisc *l, const u8 *bytes, size_t n);
    /* Forgets output that has not left yet: a signal key came. */
    void (*drop_output)(struct ldisc *l);
};

void ldisc_default_termios(struct termios *t);
/* Fresh, with default termios. The caller has set queue, marks (size / 8 bytes), size, emit and drop_output. */
void ldisc_reset(struct ldisc *l);
void ldisc_receive(struct ldisc *l, u8 byte);
void ldisc_receive_break(struct ldisc *l);
/* How many bytes ldisc_receive will surely keep, or drop for reasons of its own, not for lack of room. */
size_t ldisc_room(const struct ldisc *l);
/* Canonical: at most one line; *END is set when the line's end (or an end of file) was consumed. Else: what is there.
 * Bytes. */
size_t ldisc_read(struct ldisc *l, u8 *buffer, size_t n, bool *end);
/* Is there something that a read would return at once (MIN bytes in raw mode)? */
bool ldisc_is_readable(const struct ldisc *l, size_t min);
size_t ldisc_available(const struct ldisc *l); /* FIONREAD */
void ldisc_flush_input(struct ldisc *l);
/* A changed termios comes into use. */
void ldisc_set_termios(struct ldisc *l, const struct termios *t);
/* OPOST: what BYTE becomes, in OUT (at most LDISC_EXPANSION bytes): their number. Moves the column. */
#define LDISC_EXPANSION 8
size_t ldisc_output(struct ldisc *l, u8 byte, u8 *out);

static inline bool ldisc_is_canonical(const struct ldisc *l) { return (l->termios.lflag & ICANON) != 0; }

#endif
