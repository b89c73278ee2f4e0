/*
 * The 16550A serial port, the machine's console. Source: National Semiconductor PC16550D data sheet. Registers are one
 * byte apart.
 *
 *   tty output, echo, kernel messages -> [ring] -> transmit FIFO -> line        in the order in which they came
 *   line -> receive FIFO -> tty_receive()
 *
 * Nothing is lost either way. Out: writers wait for room (echo and kernel messages have a reserve beyond that), and a
 * kernel message that finds the ring full sends it by polling. In: while the tty's queue is full the receive interrupt
 * is off and bytes stay in the FIFO, and behind it with the sender if it knows flow control, as QEMU does.
 *
 * Lock: uart.lock (irqsave), behind tty->lock. Only the interrupt handler receives, so bytes keep their order.
 */
#include "dev/tty.h"
#include "lib/kmsg.h"
#include "lib/random.h"
#include "lib/string.h"

enum uart_register { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };

#define IER_RECEIVED 0x01
#define IER_TRANSMIT_EMPTY 0x02
#define FCR_ENABLE 0x01 /* and keep what was typed while booting */
#define LCR_8_BITS 0x03
#define LCR_BREAK 0x40
#define MCR_DTR_RTS_OUT2 0x0b
#define LSR_DATA_READY 0x01
#define LSR_BREAK 0x10
#define LSR_TRANSMIT_EMPTY 0x20

#define RING_SIZE 16384u /* a power of two */
#define RESERVE 2048u    /* of the ring: not for writers */
#define FIFO_SIZE 16
#define RECEIVE_BATCH 64
#define SEND_BATCH 256 /* bytes sent in one go with interrupts off */
#define INPUT_QUEUE_SIZE (64 * KIB)
#define FLUSH_TIMEOUT_NS NSEC_PER_SEC

static struct {
    struct spinlock lock;
    volatile u8 *registers; /* NULL: there is none */
    u8 interrupts;          /* what IER holds */
    u64 head, tail;         /* of the ring; they only grow */
    u64 kernel_end;         /* bytes below it may not be dropped: there are kernel messages among them */
    u8 ring[RING_SIZE];
    struct tty tty;
} uart;

static u8 get(enum uart_register r) { return uart.registers[r]; }
static void set(enum uart_register r, u8 value) { uart.registers[r] = value; }

/* => lock held, as for all static functions below that do not take it */
static void set_interrupts(u8 interrupts)
{
    if (interrupts != uart.interrupts) {
        uart.interrupts = interrupts;
        set(IER, interrupts);
    }
}

static size_t ring_used(void) { return (size_t)(load_relaxed(&uart.head) - load_relaxed(&uart.tail)); }
static size_t ring_room(void) { return RING_SIZE - ring_used(); }

/* Fills the FIFO each time it is empty, until SEND_BATCH bytes have gone or the line needs time; then an interrupt
 * tells when to go on. */
static void send(void)
{
    for (unsigned sent = 0; sent < SEND_BATCH && uart.tail != uart.head && (get(LSR) & LSR_TRANSMIT_EMPTY);
         sent += FIFO_SIZE)
        for (unsigned i = 0; i < FIFO_SIZE && uart.tail != uart.head; i++)
            set(THR, uart.ring[uart.tail++ % RING_SIZE]);
    set_interrupts(uart.tail != uart.head ? uart.interrupts | IER_TRANSMIT_EMPTY
                                          : uart.interrupts & (u8)~IER_TRANSMIT_EMPTY);
}

static void send_polled(void)
{
    u64 deadline = time_ns() + FLUSH_TIMEOUT_NS;

    while (uart.tail != uart.head && time_ns() < deadline)
        send();
}

static void put(const u8 *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        uart.ring[uart.head++ % RING_SIZE] = bytes[i];
}

/* ---- the tty's driver ---- */

static size_t uart_write(struct tty *tty, const u8 *bytes, size_t n)
{
    u64 flags = spin_lock_irqsave(&uart.lock);

    n = MIN(n, ring_room());
    put(bytes, n);
    send();
    spin_unlock_irqrestore(&uart.lock, flags);
    return n;
}

static size_t uart_room(struct tty *tty)
{
    size_t room = ring_room();

    return room > RESERVE ? room - RESERVE : 0;
}

static size_t uart_pending(struct tty *tty) { return ring_used(); }

static void uart_drop_output(struct tty *tty)
{
    u64 flags = spin_lock_irqsave(&uart.lock);

    uart.head = MAX(uart.tail, uart.kernel_end);
    spin_unlock_irqrestore(&uart.lock, flags);
}

static void uart_room_for_input(struct tty *tty)
{
    /* An interrupt that found no room just before has the lock until it has turned itself off. */
    u64 flags = spin_lock_irqsave(&uart.lock);

    set_interrupts(uart.interrupts | IER_RECEIVED);
    spin_unlock_irqrestore(&uart.lock, flags);
}

static void uart_set_break(struct tty *tty, bool on)
{
    u64 flags = spin_lock_irqsave(&uart.lock);

    set(LCR, on ? LCR_8_BITS | LCR_BREAK : LCR_8_BITS);
    spin_unlock_irqrestore(&uart.lock, flags);
}

static const struct tty_driver uart_driver = {
    .write = uart_write,
    .room = uart_room,
    .pending = uart_pending,
    .drop_output = uart_drop_output,
    .room_for_input = uart_room_for_input,
    .set_break = uart_set_break,
};

/* ---- interrupts ---- */

/* Takes what has arrived, as far as the tty has room: bytes. *BREAK_SEEN: a break followed them. */
static size_t receive(u8 *bytes, size_t max, bool *break_seen)
{
    size_t n = 0, room = MIN(max, tty_input_room(&uart.tty));

    *break_seen = false;
    while (n < room && !*break_seen) {
        u8 status = get(LSR);

        if (!(status & LSR_DATA_READY))
            return n;
        bytes[n] = get(RBR);
        if (status & LSR_BREAK)
            *break_seen = true;
        else
            n++;
    }
    if (room == 0)
        set_interrupts(uart.interrupts & (u8)~IER_RECEIVED);
    return n;
}

static void uart_interrupt(void *unused)
{
    u8 bytes[RECEIVE_BATCH];
    bool break_seen, room_wanted;
    size_t n;

    do {
        u64 flags = spin_lock_irqsave(&uart.lock);

        (void)get(IIR);
        n = receive(bytes, sizeof(bytes), &break_seen);
        send();
        room_wanted = ring_used() < RING_SIZE / 2 && !wait_queue_is_idle(&uart.tty.writers);
        spin_unlock_irqrestore(&uart.lock, flags);
        if (n > 0)
            tty_receive(&uart.tty, bytes, n);
        if (break_seen)
            tty_receive_break(&uart.tty);
        if (room_wanted)
            tty_output_possible(&uart.tty);
    } while (n > 0 || break_seen);
    random_add_event(n);
}

/* ---- the console of kernel messages ---- */

static void put_line_byte(u8 byte)
{
    if (byte == '\n')
        put((const u8 *)"\r", 1);
    put(&byte, 1);
}

static void console_write(const char *text, size_t length)
{
    u64 flags = spin_lock_irqsave(&uart.lock);

    for (size_t i = 0; i < length; i++) {
        if (ring_room() < 2)
            send_polled();
        if (ring_room() >= 2)
            put_line_byte((u8)text[i]);
    }
    uart.kernel_end = uart.head;
    send();
    spin_unlock_irqrestore(&uart.lock, flags);
}

void uart_flush(void)
{
    u64 flags;

    if (uart.registers == NULL)
        return;
    flags = spin_lock_irqsave(&uart.lock);
    send_polled();
    spin_unlock_irqrestore(&uart.lock, flags);
}

/* In a panic: whoever held the lock has been stopped. */
static void flush_in_panic(void) { send_polled(); }

struct tty *uart_init(void)
{
    u64 reg, size;
    unsigned irq;

    if (!fdt_device("ns16550a", 0, &reg, &size, &irq))
        return NULL;
    if (tty_setup(&uart.tty, "ttyS0", makedev(4, 64), &uart_driver, INPUT_QUEUE_SIZE) != 0)
        return NULL;
    uart.registers = phys_to_virt(reg);
    set(IER, 0);
    set(LCR, LCR_8_BITS);
    set(FCR, FCR_ENABLE);
    set(MCR, MCR_DTR_RTS_OUT2);
    if (irq_register(irq, uart_interrupt, NULL) != 0) {
        kprintf("uart: no interrupt %u", irq);
        return NULL;
    }
    console_register(console_write, flush_in_panic);
    set_interrupts(IER_RECEIVED);
    return &uart.tty;
}
