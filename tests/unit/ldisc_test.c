/* The line discipline: editing, echo, signals, flow control, modes, output; then random bytes against its invariants.
 */
#include <stdlib.h>
#include <string.h>

#include "dev/ldisc.c"
#include "tests/unit/tap.h"

#define QUEUE_SIZE 8192

static u8 queue[QUEUE_SIZE], marks[QUEUE_SIZE / 8];
static char screen[65536];
static size_t screen_length;
static unsigned drops;

static void to_screen(struct ldisc *l, const u8 *bytes, size_t n)
{
    if (screen_length + n < sizeof(screen)) {
        memcpy(screen + screen_length, bytes, n);
        screen_length += n;
    }
    screen[screen_length] = '\0';
}

static void count_drop(struct ldisc *l) { drops++; }

static struct ldisc fresh(void)
{
    struct ldisc l = {.queue = queue, .marks = marks, .size = QUEUE_SIZE, .emit = to_screen, .drop_output = count_drop};

    ldisc_reset(&l);
    screen_length = 0;
    screen[0] = '\0';
    drops = 0;
    return l;
}

static void type(struct ldisc *l, const char *keys)
{
    for (; *keys != '\0'; keys++)
        ldisc_receive(l, (u8)*keys);
}

/* The next read as a string; "(none)" when it would sleep. */
static const char *read_some(struct ldisc *l, size_t n)
{
    static char buffer[QUEUE_SIZE + 1];
    bool end;

    if (!ldisc_is_readable(l, 1))
        return "(none)";
    n = ldisc_read(l, (u8 *)buffer, n, &end);
    buffer[n] = '\0';
    return buffer;
}

#define READS(l, text, name) CHECK(strcmp(read_some(l, QUEUE_SIZE), text) == 0, name)
#define SHOWS(text, name) CHECK(strcmp(screen, text) == 0, name)

static void test_lines(void)
{
    struct ldisc l = fresh();

    type(&l, "one");
    READS(&l, "(none)", "an unfinished line is not readable");
    type(&l, "\rtwo\n");
    SHOWS("one\r\ntwo\r\n", "echo; a carriage return becomes a newline");
    CHECK(ldisc_available(&l) == 8, "FIONREAD counts both lines");
    READS(&l, "one\n", "a read returns one line");
    READS(&l, "two\n", "then the next");
    type(&l, "abcdef\n");
    CHECK(strcmp(read_some(&l, 4), "abcd") == 0, "a short read takes part of a line");
    READS(&l, "ef\n", "the rest of it comes next");
}

static void test_end_of_file(void)
{
    struct ldisc l = fresh();
    bool end;
    u8 buffer[8];

    type(&l, "\x04");
    CHECK(ldisc_is_readable(&l, 1) && ldisc_available(&l) == 0, "^D alone is readable and empty");
    CHECK(ldisc_read(&l, buffer, sizeof(buffer), &end) == 0 && end, "it reads as end of file");
    type(&l, "abc\x04");
    READS(&l, "abc", "^D after text sends it without a newline");
    READS(&l, "(none)", "and is gone itself");
    type(&l, "abc\x04");
    CHECK(ldisc_read(&l, buffer, 3, &end) == 3 && end, "a read of the exact length takes the ^D along");
    READS(&l, "(none)", "so that no end of file follows");
    SHOWS("abcabc", "^D shows nothing");
}

static void test_erasing(void)
{
    struct ldisc l = fresh();

    type(&l, "ab\x7f");
    SHOWS("ab\b \b", "erase rubs the character out");
    type(&l, "\x7f\x7f\x7fx\n");
    READS(&l, "x\n", "erasing stops at the start of the line");

    l = fresh();
    type(&l, "\x01\x7f");
    SHOWS("^A\b \b\b \b", "a control character is two columns wide");

    l = fresh();
    type(&l, "a\t\x7f");
    SHOWS("a\t\b\b\b\b\b\b\b", "a tab goes back to where it began");

    l = fresh();
    type(&l, "one two  \x17");
    type(&l, "x\n");
    READS(&l, "one x\n", "^W erases a word and the blanks behind it");

    l = fresh();
    type(&l, "abc\x15");
    SHOWS("abc\b \b\b \b\b \b", "^U wipes the line");
    type(&l, "d\n");
    READS(&l, "d\n", "and forgets it");

    l = fresh();
    l.termios.lflag &= ~(u32)ECHOKE;
    type(&l, "abc\x15");
    SHOWS("abc^U\r\n", "without ECHOKE ^U starts a new line");

    l = fresh();
    l.termios.lflag &= ~(u32)ECHOE;
    type(&l, "ab\x7f");
    SHOWS("ab^?", "without ECHOE the key itself is shown");

    l = fresh();
    l.termios.iflag |= IUTF8;
    type(&l, "a\xc3\xa4\x7f\n");
    READS(&l, "a\n", "IUTF8: erase takes all bytes of a character");
    SHOWS("a\xc3\xa4\b \b\r\n", "and one column");
    l = fresh();
    type(&l, "a\xc3\xa4\x7f\n");
    READS(&l, "a\xc3\n", "without IUTF8 one byte");
}

static void test_quoting(void)
{
    struct ldisc l = fresh();

    type(&l, "a\x16\x03"
             "b\n");
    READS(&l,
          "a\x03"
          "b\n",
          "^V makes ^C data");
    CHECK(l.events == 0, "and no signal");
    SHOWS("a^\b^Cb\r\n", "with the usual picture");
    type(&l, "a\x16\n");
    READS(&l, "(none)", "a quoted newline does not end the line");
    type(&l, "b\n");
    READS(&l, "a\nb\n", "but is part of it");
}

static void test_signals(void)
{
    struct ldisc l = fresh();

    type(&l, "gone\x03");
    CHECK(l.events == LDISC_INTR, "^C asks for SIGINT");
    SHOWS("gone^C", "and is shown");
    CHECK(drops == 1, "output is dropped");
    type(&l, "x\n");
    READS(&l, "x\n", "what was typed before is gone");
    l.events = 0;
    type(&l, "\x1c\x1a");
    CHECK(l.events == (LDISC_QUIT | LDISC_SUSP), "^\\ and ^Z");

    l = fresh();
    l.termios.lflag |= NOFLSH;
    type(&l, "kept\x03\n");
    READS(&l, "kept\n", "NOFLSH keeps input");
    CHECK(drops == 0, "and output");

    l = fresh();
    l.termios.lflag &= ~(u32)ISIG;
    type(&l, "\x03\n");
    READS(&l, "\x03\n", "without ISIG ^C is data");

    l = fresh();
    l.termios.cc[VINTR] = 0;
    ldisc_receive(&l, 0);
    CHECK(l.events == 0, "a disabled key is no key, not even NUL");

    l = fresh();
    l.termios.iflag |= BRKINT;
    ldisc_receive_break(&l);
    CHECK(l.events == LDISC_INTR, "BRKINT: a break is an interrupt");
}

static void test_flow_control(void)
{
    struct ldisc l = fresh();

    type(&l, "\x13");
    CHECK(l.output_held, "^S holds output");
    type(&l, "a");
    CHECK(l.output_held, "other keys do not release it");
    type(&l, "\x11");
    CHECK(!l.output_held && l.events == LDISC_RESUMED, "^Q does");
    l.termios.iflag |= IXANY;
    type(&l, "\x13x");
    CHECK(!l.output_held, "IXANY: any key does");
    type(&l, "\x13\x03");
    CHECK(!l.output_held, "^C does");
    l.termios.iflag &= ~(u32)IXON;
    type(&l, "\x13\n");
    READS(&l, "\x13\n", "without IXON ^S is data");
}

static void make_raw(struct ldisc *l)
{
    struct termios t = l->termios;

    t.iflag = t.oflag = 0;
    t.lflag &= ~(u32)(ICANON | ECHO | ISIG | IEXTEN);
    ldisc_set_termios(l, &t);
}

static void make_canonical(struct ldisc *l)
{
    struct termios t;

    ldisc_default_termios(&t);
    ldisc_set_termios(l, &t);
}

static void test_modes(void)
{
    struct ldisc l = fresh();

    make_raw(&l);
    type(&l, "a\r\x03\x7f\x04");
    CHECK(!ldisc_is_readable(&l, 6) && ldisc_is_readable(&l, 5), "raw: readable from MIN bytes on");
    READS(&l, "a\r\x03\x7f\x04", "raw: every byte as it came");
    SHOWS("", "no echo");

    l = fresh();
    type(&l, "typed ahead");
    make_raw(&l);
    READS(&l, "typed ahead", "what was typed ahead is readable in raw mode");
    type(&l, "more");
    make_canonical(&l);
    READS(&l, "more", "and the other way round");
    type(&l, "x");
    READS(&l, "(none)", "then lines count again");
}

static void test_long_lines(void)
{
    struct ldisc l = fresh();
    bool end;
    static u8 buffer[QUEUE_SIZE];

    l.termios.iflag |= IMAXBEL;
    for (unsigned i = 0; i < 5000; i++)
        ldisc_receive(&l, 'x');
    CHECK(screen[screen_length - 1] == '\a', "a line that is too long beeps");
    type(&l, "\n");
    CHECK(ldisc_read(&l, buffer, sizeof(buffer), &end) == LINE_MAX_BYTES + 1 && end, "it is cut, and its end is kept");
    while (ldisc_room(&l) > 0)
        ldisc_receive(&l, '\n');
    CHECK(ldisc_available(&l) >= QUEUE_SIZE - 8, "the queue takes lines until it is full");
}

static void test_output(void)
{
    struct ldisc l = fresh();
    u8 out[LDISC_EXPANSION];

    CHECK(ldisc_output(&l, '\n', out) == 2 && memcmp(out, "\r\n", 2) == 0, "ONLCR");
    ldisc_output(&l, 'a', out);
    l.termios.oflag |= XTABS;
    CHECK(ldisc_output(&l, '\t', out) == 7 && out[6] == ' ' && l.column == 8, "XTABS");
    l.termios.oflag = OPOST | OCRNL;
    CHECK(ldisc_output(&l, '\r', out) == 1 && out[0] == '\n', "OCRNL");
    l.termios.oflag = OPOST | ONOCR;
    l.column = 0;
    CHECK(ldisc_output(&l, '\r', out) == 0, "ONOCR at column 0");
    l.termios.oflag = OPOST | OLCUC;
    CHECK(ldisc_output(&l, 'a', out) == 1 && out[0] == 'A', "OLCUC");
    l.termios.oflag = 0;
    CHECK(ldisc_output(&l, '\n', out) == 1 && out[0] == '\n', "without OPOST nothing changes");
}

/* Whatever comes in, in whatever mode: positions stay in order, nothing overflows, nothing leaves the buffers (ASan).
 */
static void test_random_input(void)
{
    struct ldisc l = fresh();
    bool in_order = true, end;
    u8 buffer[64];

    srand(1);
    for (unsigned i = 0; i < 2000000 && in_order; i++) {
        int what = rand() % 1000;

        screen_length = 0;
        if (what == 0) {
            struct termios t = l.termios;

            t.lflag = (u32)rand();
            t.iflag = (u32)rand();
            t.oflag = (u32)rand();
            ldisc_set_termios(&l, &t);
        } else if (what < 20) {
            ldisc_read(&l, buffer, (size_t)rand() % sizeof(buffer), &end);
        } else if (what == 20) {
            ldisc_receive_break(&l);
        } else {
            ldisc_receive(&l, (u8)rand());
        }
        in_order = l.tail <= l.line_end && l.line_end <= l.head && l.head - l.tail <= QUEUE_SIZE;
    }
    CHECK(in_order, "random bytes and modes keep the queue in order");
}

int main(void)
{
    test_lines();
    test_end_of_file();
    test_erasing();
    test_quoting();
    test_signals();
    test_flow_control();
    test_modes();
    test_long_lines();
    test_output();
    test_random_input();
    return tap_done();
}
