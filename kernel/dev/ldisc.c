/*
 * The line discipline; dev/ldisc.h has its picture. Sources: termios(3), POSIX.1-2017 chapter 11 (General Terminal
 * Interface).
 *
 * A byte passes these stations; each may keep it:
 *
 *     ISTRIP, IUCLC -> quoted? -> IXON -> ISIG -> IGNCR, ICRNL, INLCR
 *        -> canonical: editing keys, end of line -> echo, queue
 */
#include "dev/ldisc.h"
#include "lib/atomic.h"
#include "lib/string.h"

#define CONTROL(c) ((c)&0x1f)
#define DELETE 0x7f
#define END_OF_FILE 0 /* with a mark: no data */
#define TAB_WIDTH 8

void ldisc_default_termios(struct termios *t)
{
    static const u8 cc[NCCS] = {
        [VINTR] = CONTROL('C'),    [VQUIT] = CONTROL('\\'),   [VERASE] = DELETE,
        [VKILL] = CONTROL('U'),    [VEOF] = CONTROL('D'),     [VMIN] = 1,
        [VSTART] = CONTROL('Q'),   [VSTOP] = CONTROL('S'),    [VSUSP] = CONTROL('Z'),
        [VREPRINT] = CONTROL('R'), [VDISCARD] = CONTROL('O'), [VWERASE] = CONTROL('W'),
        [VLNEXT] = CONTROL('V'),
    };

    *t = (struct termios){
        .iflag = ICRNL | IXON,
        .oflag = OPOST | ONLCR,
        .cflag = B38400 | CS8 | CREAD | HUPCL,
        .lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
        .ispeed = 38400,
        .ospeed = 38400,
    };
    memcpy(t->cc, cc, sizeof(cc));
}

void ldisc_reset(struct ldisc *l)
{
    l->tail = l->line_end = l->head = 0;
    l->column = l->line_column = 0;
    l->quoting = l->output_held = false;
    l->events = 0;
    memset(l->marks, 0, l->size / 8);
    ldisc_default_termios(&l->termios);
}

/* ---- small questions ---- */

static bool has_iflag(const struct ldisc *l, u32 flag) { return (l->termios.iflag & flag) != 0; }
static bool has_oflag(const struct ldisc *l, u32 flag) { return (l->termios.oflag & flag) != 0; }
static bool has_lflag(const struct ldisc *l, u32 flag) { return (l->termios.lflag & flag) != 0; }

/* Is BYTE the key that c_cc[INDEX] names? 0 there names none. */
static bool is_key(const struct ldisc *l, unsigned index, u8 byte) { return byte != 0 && l->termios.cc[index] == byte; }
static bool is_extended_key(const struct ldisc *l, unsigned index, u8 byte)
{
    return has_lflag(l, IEXTEN) && is_key(l, index, byte);
}

static bool is_control(u8 byte) { return byte < 0x20 || byte == DELETE; }
static bool is_utf8_tail(u8 byte) { return (byte & 0xc0) == 0x80; }
static bool continues_character(const struct ldisc *l, u8 byte) { return has_iflag(l, IUTF8) && is_utf8_tail(byte); }
static bool is_word(u8 byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '_' || byte >= 0x80;
}

/* ---- the queue ---- */

static u8 *byte_at(const struct ldisc *l, u64 position) { return &l->queue[position & (l->size - 1)]; }
static bool is_marked(const struct ldisc *l, u64 position)
{
    size_t i = position & (l->size - 1);

    return (l->marks[i / 8] >> i % 8 & 1) != 0;
}
static void set_mark(struct ldisc *l, u64 position, bool mark)
{
    size_t i = position & (l->size - 1);
    u8 bit = (u8)(1u << i % 8);

    l->marks[i / 8] = (u8)(mark ? l->marks[i / 8] | bit : l->marks[i / 8] & ~bit);
}

static size_t queue_free(const struct ldisc *l) { return l->size - (size_t)(l->head - l->tail); }

static void enqueue(struct ldisc *l, u8 byte, bool mark)
{
    *byte_at(l, l->head) = byte;
    set_mark(l, l->head, mark);
    l->head++;
    if (mark || !ldisc_is_canonical(l))
        l->line_end = l->head;
}

/* A byte with PARMRK may become three. */
size_t ldisc_room(const struct ldisc *l)
{
    size_t room = queue_free(l);

    room = room > 4 ? room - 4 : 0;
    return has_iflag(l, PARMRK) ? room / 3 : room;
}

bool ldisc_is_readable(const struct ldisc *l, size_t min)
{
    u64 tail = load_acquire(&l->tail); /* before the end, which is never behind it */
    size_t n = (size_t)(load_relaxed(&l->line_end) - tail);

    return ldisc_is_canonical(l) ? n > 0 : n >= MAX(min, (size_t)1);
}

size_t ldisc_available(const struct ldisc *l)
{
    size_t n = (size_t)(l->line_end - l->tail);

    if (ldisc_is_canonical(l))
        for (u64 p = l->tail; p < l->line_end; p++)
            n -= is_marked(l, p) && *byte_at(l, p) == END_OF_FILE;
    return n;
}

void ldisc_flush_input(struct ldisc *l)
{
    l->tail = l->line_end = l->head;
    l->quoting = false;
    l->line_column = l->column;
}

static size_t read_line(struct ldisc *l, u8 *buffer, size_t n, bool *end)
{
    size_t copied = 0;

    while (l->tail < l->line_end && !*end) {
        bool mark = is_marked(l, l->tail);
        u8 byte = *byte_at(l, l->tail);
        bool is_end_of_file = mark && byte == END_OF_FILE;

        /* An end of file right behind a full buffer goes with it, or the next read would return 0 for it. */
        if (copied == n && !(is_end_of_file && n > 0))
            break;
        l->tail++;
        if (!is_end_of_file)
            buffer[copied++] = byte;
        *end = mark;
    }
    return copied;
}

size_t ldisc_read(struct ldisc *l, u8 *buffer, size_t n, bool *end)
{
    *end = false;
    if (ldisc_is_canonical(l))
        return read_line(l, buffer, n, end);
    n = MIN(n, (size_t)(l->line_end - l->tail));
    for (size_t i = 0; i < n; i++)
        buffer[i] = *byte_at(l, l->tail + i);
    l->tail += n;
    return n;
}

/* ---- output ---- */

static void move_column(struct ldisc *l, u8 byte)
{
    if (byte == '\r')
        l->column = 0;
    else if (byte == '\b')
        l->column -= l->column > 0;
    else if (byte == '\t')
        l->column = ALIGN_DOWN(l->column, TAB_WIDTH) + TAB_WIDTH;
    else if (!is_control(byte) && !continues_character(l, byte))
        l->column++;
}

size_t ldisc_output(struct ldisc *l, u8 byte, u8 *out)
{
    size_t n = 0;

    if (!has_oflag(l, OPOST)) {
        move_column(l, byte);
        out[0] = byte;
        return 1;
    }
    if (byte == '\r' && has_oflag(l, ONOCR) && l->column == 0)
        return 0;
    if (byte == '\r' && has_oflag(l, OCRNL))
        byte = '\n';
    else if (byte == '\n' && has_oflag(l, ONLCR))
        out[n++] = '\r';
    if (byte == '\n' && (n > 0 || has_oflag(l, ONLRET)))
        l->column = 0;
    if (byte == '\t' && (l->termios.oflag & TABDLY) == XTABS) {
        n = TAB_WIDTH - l->column % TAB_WIDTH;
        memset(out, ' ', n);
        l->column += (unsigned)n;
        return n;
    }
    if (has_oflag(l, OLCUC) && byte >= 'a' && byte <= 'z')
        byte = (u8)(byte - 'a' + 'A');
    move_column(l, byte);
    out[n++] = byte;
    return n;
}

/* ---- echo ---- */

static void show(struct ldisc *l, u8 byte)
{
    u8 out[LDISC_EXPANSION];

    l->emit(l, out, ldisc_output(l, byte, out));
}

static void show_string(struct ldisc *l, const char *s)
{
    while (*s != '\0')
        show(l, (u8)*s++);
}

static void show_typed(struct ldisc *l, u8 byte)
{
    if (is_control(byte) && byte != '\t' && byte != '\n' && has_lflag(l, ECHOCTL)) {
        show(l, '^');
        show(l, byte ^ 0x40);
    } else {
        show(l, byte);
    }
}

static void echo(struct ldisc *l, u8 byte)
{
    if (l->head == l->line_end)
        l->line_column = l->column;
    if (has_lflag(l, ECHO))
        show_typed(l, byte);
}

static void beep(struct ldisc *l)
{
    if (has_iflag(l, IMAXBEL))
        l->emit(l, (const u8 *)"\a", 1);
}

/* ---- editing ---- */

/* The column at which the byte at END of the line being edited was shown. */
static unsigned column_of(const struct ldisc *l, u64 end)
{
    unsigned column = l->line_column;

    for (u64 p = l->line_end; p < end; p++) {
        u8 byte = *byte_at(l, p);

        if (byte == '\t')
            column = ALIGN_DOWN(column, TAB_WIDTH) + TAB_WIDTH;
        else if (is_control(byte))
            column += has_lflag(l, ECHOCTL) ? 2 : 0;
        else if (!continues_character(l, byte))
            column++;
    }
    return column;
}

/* Removes the picture of the line's last character, whose first byte is at HEAD now. */
static void rub_out(struct ldisc *l, u8 byte)
{
    unsigned width = 1;

    if (byte == '\t') {
        unsigned start = column_of(l, l->head);

        for (width = l->column > start ? l->column - start : 0; width > 0; width--)
            show(l, '\b');
        return;
    }
    if (is_control(byte))
        width = has_lflag(l, ECHOCTL) ? 2 : 0;
    while (width-- > 0)
        show_string(l, "\b \b");
}

/* Takes the last character off the line, all bytes of it; the first one. */
static u8 remove_character(struct ldisc *l)
{
    u8 byte = *byte_at(l, --l->head);

    while (l->head > l->line_end && continues_character(l, byte))
        byte = *byte_at(l, --l->head);
    return byte;
}

static void erase_character(struct ldisc *l)
{
    u8 byte = remove_character(l);

    if (has_lflag(l, ECHO) && has_lflag(l, ECHOE))
        rub_out(l, byte);
}

static void erase_word(struct ldisc *l)
{
    while (l->head > l->line_end && !is_word(*byte_at(l, l->head - 1)))
        erase_character(l);
    while (l->head > l->line_end && is_word(*byte_at(l, l->head - 1)))
        erase_character(l);
}

static void kill_line(struct ldisc *l)
{
    const u32 wipes = ECHO | ECHOE | ECHOK | ECHOKE;

    if ((l->termios.lflag & wipes) == wipes) {
        while (l->head > l->line_end)
            erase_character(l);
        return;
    }
    l->head = l->line_end;
    if (has_lflag(l, ECHO)) {
        show_typed(l, l->termios.cc[VKILL]);
        if (has_lflag(l, ECHOK))
            show(l, '\n');
    }
}

static void reprint_line(struct ldisc *l)
{
    show_typed(l, l->termios.cc[VREPRINT]);
    show(l, '\n');
    l->line_column = l->column;
    for (u64 p = l->line_end; p < l->head; p++)
        show_typed(l, *byte_at(l, p));
}

/* True if BYTE was an editing key. */
static bool edit_line(struct ldisc *l, u8 byte)
{
    bool is_erase = is_key(l, VERASE, byte), is_word_erase = is_extended_key(l, VWERASE, byte);

    if (is_extended_key(l, VLNEXT, byte)) {
        l->quoting = true;
        if (has_lflag(l, ECHO) && has_lflag(l, ECHOCTL))
            show_string(l, "^\b");
        return true;
    }
    if (is_extended_key(l, VREPRINT, byte) && has_lflag(l, ECHO)) {
        reprint_line(l);
        return true;
    }
    if (!is_erase && !is_word_erase && !is_key(l, VKILL, byte))
        return false;
    if (l->head == l->line_end)
        return true;
    if (is_word_erase)
        erase_word(l);
    else if (is_erase)
        erase_character(l);
    else
        kill_line(l);
    if ((is_erase || is_word_erase) && has_lflag(l, ECHO) && !has_lflag(l, ECHOE))
        show_typed(l, byte);
    return true;
}

/* ---- input ---- */

/* BYTE is data: into the queue, with its echo. */
static void take_data(struct ldisc *l, u8 byte)
{
    bool doubled = byte == 0xff && has_iflag(l, PARMRK) && !has_iflag(l, ISTRIP);
    bool too_long = ldisc_is_canonical(l) && l->head - l->line_end >= LINE_MAX_BYTES;

    /* Two bytes stay free for what ends the line. */
    if (too_long || queue_free(l) < 4) {
        beep(l);
        return;
    }
    echo(l, byte);
    enqueue(l, byte, false);
    if (doubled)
        enqueue(l, byte, false);
}

static void end_line(struct ldisc *l, u8 byte)
{
    if (queue_free(l) == 0) {
        beep(l);
        return;
    }
    enqueue(l, byte, true);
}

/* True if BYTE ended the line. */
static bool take_line_end(struct ldisc *l, u8 byte)
{
    if (byte == '\n') {
        if (has_lflag(l, ECHO) || has_lflag(l, ECHONL))
            show(l, '\n');
        end_line(l, '\n');
        return true;
    }
    if (is_key(l, VEOF, byte)) {
        end_line(l, END_OF_FILE);
        return true;
    }
    if (is_key(l, VEOL, byte) || is_extended_key(l, VEOL2, byte)) {
        echo(l, byte);
        end_line(l, byte);
        return true;
    }
    return false;
}

static void resume_output(struct ldisc *l)
{
    if (l->output_held) {
        l->output_held = false;
        l->events |= LDISC_RESUMED;
    }
}

/* True if BYTE was a flow-control key. */
static bool control_flow(struct ldisc *l, u8 byte)
{
    if (is_key(l, VSTART, byte)) {
        resume_output(l);
        return true;
    }
    if (is_key(l, VSTOP, byte)) {
        l->output_held = true;
        return true;
    }
    if (has_iflag(l, IXANY))
        resume_output(l);
    return false;
}

static u32 signal_of_key(const struct ldisc *l, u8 byte)
{
    if (is_key(l, VINTR, byte))
        return LDISC_INTR;
    if (is_key(l, VQUIT, byte))
        return LDISC_QUIT;
    return is_key(l, VSUSP, byte) ? LDISC_SUSP : 0;
}

static void raise_signal(struct ldisc *l, u32 event)
{
    l->events |= event;
    if (has_lflag(l, NOFLSH))
        return;
    ldisc_flush_input(l);
    if (l->drop_output != NULL)
        l->drop_output(l);
}

/* True if BYTE was a signal key. */
static bool take_signal(struct ldisc *l, u8 byte)
{
    u32 event = signal_of_key(l, byte);

    if (event == 0)
        return false;
    resume_output(l);
    raise_signal(l, event);
    if (has_lflag(l, ECHO))
        show_typed(l, byte);
    return true;
}

void ldisc_receive(struct ldisc *l, u8 byte)
{
    if (has_iflag(l, ISTRIP))
        byte &= 0x7f;
    if (has_iflag(l, IUCLC) && has_lflag(l, IEXTEN) && byte >= 'A' && byte <= 'Z')
        byte = (u8)(byte - 'A' + 'a');
    if (l->quoting) {
        l->quoting = false;
        take_data(l, byte);
        return;
    }
    if (has_iflag(l, IXON) && control_flow(l, byte))
        return;
    if (has_lflag(l, ISIG) && take_signal(l, byte))
        return;
    if (byte == '\r') {
        if (has_iflag(l, IGNCR))
            return;
        if (has_iflag(l, ICRNL))
            byte = '\n';
    } else if (byte == '\n' && has_iflag(l, INLCR)) {
        byte = '\r';
    }
    if (ldisc_is_canonical(l) && (edit_line(l, byte) || take_line_end(l, byte)))
        return;
    take_data(l, byte);
}

void ldisc_receive_break(struct ldisc *l)
{
    if (has_iflag(l, IGNBRK))
        return;
    if (has_iflag(l, BRKINT)) {
        raise_signal(l, LDISC_INTR);
        return;
    }
    if (queue_free(l) < 4)
        return;
    if (has_iflag(l, PARMRK)) {
        enqueue(l, 0xff, false);
        enqueue(l, 0, false);
    }
    enqueue(l, 0, false);
}

void ldisc_set_termios(struct ldisc *l, const struct termios *t)
{
    bool changes_mode = ((l->termios.lflag ^ t->lflag) & ICANON) != 0;

    l->termios = *t;
    if (!has_iflag(l, IXON))
        resume_output(l);
    if (!changes_mode)
        return;
    /* What was typed ahead can be read at once in either mode; as one line when it becomes canonical. */
    memset(l->marks, 0, l->size / 8);
    l->quoting = false;
    l->line_end = l->head;
    if (ldisc_is_canonical(l) && l->head != l->tail && *byte_at(l, l->head - 1) != END_OF_FILE)
        set_mark(l, l->head - 1, true);
}
