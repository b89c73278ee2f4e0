/*
 * Random numbers. ChaCha20 (RFC 8439, 2.3) runs on a key that each request replaces before it hands bytes out ("fast
 * key erasure"), so that a later look into memory does not tell earlier numbers.
 *
 *   device tree's rng-seed, clocks, event times --> pool --(every 256 requests, or when asked to)--> key --> bytes
 *                                              random_add                                        ChaCha20
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
#define RESEED_INTERVAL 256 /* requests */
#define LONG_REQUEST 32     /* bytes that come with the new key from one block */

static struct {
    struct spinlock lock;
    u32 key[KEY_WORDS];
    u32 pool[KEY_WORDS];
    unsigned pool_position; /* next word that random_add changes */
    unsigned until_reseed;
    u64 nonce;
} generator;

static u32 rotate_left(u32 x, unsigned n) { return x << n | x >> (32 - n); }

static void quarter_round(u32 *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
    x[a] += x[b];
    x[d] = rotate_left(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate_left(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate_left(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate_left(x[b] ^ x[c], 7);
}

/* RFC 8439, 2.3.1, with a 64-bit counter and nonce as in the original cipher. */
static void chacha20_block(const u32 key[KEY_WORDS], u64 counter, u64 nonce, u32 out[BLOCK_WORDS])
{
    u32 start[BLOCK_WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

    memcpy(start + 4, key, KEY_WORDS * sizeof(u32));
    start[12] = (u32)counter;
    start[13] = (u32)(counter >> 32);
    start[14] = (u32)nonce;
    start[15] = (u32)(nonce >> 32);
    memcpy(out, start, sizeof(start));
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 4; i++)
            quarter_round(out, i, 4 + i, 8 + i, 12 + i);
        for (unsigned i = 0; i < 4; i++)
            quarter_round(out, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    for (unsigned i = 0; i < BLOCK_WORDS; i++)
        out[i] += start[i];
}

static u64 cycles(void)
{
    u64 value;

    __asm__ volatile("rdtime %0" : "=r"(value));
    return value;
}

/* => lock held, as for the next two */
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

/* A key for one request, with the first bytes from the same block; the generator's own key is new then. */
static void start_request(u32 request_key[KEY_WORDS], u8 first[LONG_REQUEST], bool is_long)
{
    u32 block[BLOCK_WORDS];
    u64 flags = spin_lock_irqsave(&generator.lock);

    if (generator.until_reseed == 0)
        reseed();
    generator.until_reseed--;
    chacha20_block(generator.key, 0, ++generator.nonce, block);
    memcpy(generator.key, block, sizeof(generator.key));
    if (is_long)
        memcpy(request_key, block + KEY_WORDS, KEY_WORDS * sizeof(u32));
    else
        memcpy(first, block + KEY_WORDS, LONG_REQUEST);
    spin_unlock_irqrestore(&generator.lock, flags);
    memset(block, 0, sizeof(block));
}

void random_bytes(void *buffer, size_t n)
{
    u32 key[KEY_WORDS], block[BLOCK_WORDS];
    u8 first[LONG_REQUEST], *p = buffer;

    start_request(key, first, n > LONG_REQUEST);
    if (n <= LONG_REQUEST) {
        memcpy(p, first, n);
        return;
    }
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
