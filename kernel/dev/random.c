/*
 * Random numbers. ChaCha20 (RFC 8439, 2.3) fills a stock of bytes of which the first replace its key ("fast key
 * erasure"); a request takes bytes out of the stock and leaves zeros. So a later look into memory does not tell earlier
 * numbers, and small requests, of which every new program makes a few, do not cost a block each.
 *
 *   device tree's rng-seed, clocks, event times --> pool --(every 64 stocks, or when asked to)--> key --> stock -->
 * bytes random_add                                      ChaCha20
 *
 * The pool is a ChaCha20 state that absorbs 32 bytes at a time, by exclusive or into its key and a run of the block
 * function.
 *
 * Lock: `lock` (spin, irqsave), a leaf.
 */
#include "lib/random.h"
#include "lib/print.h"
#include "lib/string.h"
#include "sched/spinlock.h"

#define KEY_WORDS 8
#define BLOCK_WORDS 16
#define STOCK_BLOCKS 4
#define STOCK_SIZE (STOCK_BLOCKS * BLOCK_WORDS * sizeof(u32))
#define RESEED_INTERVAL 64 /* stocks */
#define LONG_REQUEST 64    /* bytes: more than these have a key of their own */

static struct {
    struct spinlock lock;
    union {
        u32 key[KEY_WORDS]; /* the stock's first bytes are taken before anybody asks */
        u8 stock[STOCK_SIZE];
    };
    unsigned taken; /* of the stock; 0: there was none yet */
    u32 pool[KEY_WORDS];
    unsigned pool_position; /* next word that random_add changes */
    unsigned until_reseed;
    u64 nonce;
} generator;

static u32 rotate_left(u32 x, unsigned n) { return x << n | x >> (32 - n); }

#define QUARTER_ROUND(a, b, c, d) \
    a += b;                       \
    d = rotate_left(d ^ a, 16);   \
    c += d;                       \
    b = rotate_left(b ^ c, 12);   \
    a += b;                       \
    d = rotate_left(d ^ a, 8);    \
    c += d;                       \
    b = rotate_left(b ^ c, 7)

/* RFC 8439, 2.3.1, with a 64-bit counter and nonce as in the original cipher. The state is in variables of its own, so
 * that it stays in registers. */
static void chacha20_block(const u32 key[KEY_WORDS], u64 counter, u64 nonce, u32 out[BLOCK_WORDS])
{
    const u32 start[BLOCK_WORDS] = {0x61707865,   0x3320646e,
                                    0x79622d32,   0x6b206574,
                                    key[0],       key[1],
                                    key[2],       key[3],
                                    key[4],       key[5],
                                    key[6],       key[7],
                                    (u32)counter, (u32)(counter >> 32),
                                    (u32)nonce,   (u32)(nonce >> 32)};
    u32 a0 = start[0], a1 = start[1], a2 = start[2], a3 = start[3], b0 = start[4], b1 = start[5], b2 = start[6],
        b3 = start[7], c0 = start[8], c1 = start[9], c2 = start[10], c3 = start[11], d0 = start[12], d1 = start[13],
        d2 = start[14], d3 = start[15];

    for (unsigned round = 0; round < 10; round++) {
        QUARTER_ROUND(a0, b0, c0, d0);
        QUARTER_ROUND(a1, b1, c1, d1);
        QUARTER_ROUND(a2, b2, c2, d2);
        QUARTER_ROUND(a3, b3, c3, d3);
        QUARTER_ROUND(a0, b1, c2, d3);
        QUARTER_ROUND(a1, b2, c3, d0);
        QUARTER_ROUND(a2, b3, c0, d1);
        QUARTER_ROUND(a3, b0, c1, d2);
    }
    const u32 end[BLOCK_WORDS] = {a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3};
    for (unsigned i = 0; i < BLOCK_WORDS; i++)
        out[i] = end[i] + start[i];
}

static u64 cycles(void)
{
    u64 value;

    __asm__ volatile("rdtime %0" : "=r"(value));
    return value;
}

/* => lock held, as for the next four */
static void stir_pool(void)
{
    u32 block[BLOCK_WORDS];

    chacha20_block(generator.pool, cycles(), ++generator.nonce, block);
    memcpy(generator.pool, block, sizeof(generator.pool));
    generator.pool_position = 0;
}

static void add_word(u32 word)
{
    generator.pool[generator.pool_position++] ^= word;
    if (generator.pool_position == KEY_WORDS)
        stir_pool();
}

static void reseed(void)
{
    u32 block[BLOCK_WORDS];

    add_word((u32)cycles());
    stir_pool();
    chacha20_block(generator.pool, time_ns(), ++generator.nonce, block);
    for (unsigned i = 0; i < KEY_WORDS; i++)
        generator.key[i] ^= block[i];
    generator.until_reseed = RESEED_INTERVAL;
}

static void restock(void)
{
    u32 key[KEY_WORDS];

    if (generator.until_reseed == 0)
        reseed();
    generator.until_reseed--;
    generator.nonce++;
    memcpy(key, generator.key, sizeof(key));
    for (unsigned i = 0; i < STOCK_BLOCKS; i++)
        chacha20_block(key, i, generator.nonce, (u32 *)(generator.stock + i * BLOCK_WORDS * sizeof(u32)));
    memset(key, 0, sizeof(key));
    __asm__ volatile("" ::"r"(key) : "memory"); /* so that it is done */
    generator.taken = sizeof(generator.key);
}

static void take(void *buffer, size_t n)
{
    u64 flags = spin_lock_irqsave(&generator.lock);
    u8 *from;

    if (generator.taken == 0 || generator.until_reseed == 0 || n > STOCK_SIZE - generator.taken)
        restock();
    from = generator.stock + generator.taken;
    memcpy(buffer, from, n);
    memset(from, 0, n);
    generator.taken += n;
    spin_unlock_irqrestore(&generator.lock, flags);
}

void random_add(const void *bytes, size_t n)
{
    const u8 *p = bytes;
    u64 flags = spin_lock_irqsave(&generator.lock);

    for (u32 word; n > 0; p += sizeof(word), n -= MIN(n, sizeof(word))) {
        word = 0;
        memcpy(&word, p, MIN(n, sizeof(word)));
        add_word(word);
    }
    generator.until_reseed = 0;
    spin_unlock_irqrestore(&generator.lock, flags);
}

void random_add_event(u64 what)
{
    u64 flags;

    /* Another hart that is at it right now adds the same kind of thing. */
    if (spin_is_locked(&generator.lock))
        return;
    flags = spin_lock_irqsave(&generator.lock);
    add_word((u32)cycles() ^ (u32)what);
    spin_unlock_irqrestore(&generator.lock, flags);
}

void random_bytes(void *buffer, size_t n)
{
    u32 key[KEY_WORDS], block[BLOCK_WORDS];
    u8 *p = buffer;

    if (n <= LONG_REQUEST) {
        take(p, n);
        return;
    }
    take(key, sizeof(key));
    for (u64 counter = 0; n > 0; counter++) {
        size_t part = MIN(n, sizeof(block));

        chacha20_block(key, counter, 0, block);
        memcpy(p, block, part);
        p += part;
        n -= part;
    }
}

void random_init(void)
{
    u64 seed[] = {cycles(), time_ns(), time_realtime_offset(), machine.timebase_hz};

    unsigned length;
    const void *firmware_seed = arch_random_seed(&length);

    random_add(seed, sizeof(seed));
    if (firmware_seed != NULL)
        random_add(firmware_seed, length);
    random_add(machine.command_line, strlen(machine.command_line));
}
