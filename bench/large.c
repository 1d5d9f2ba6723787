/* SPDX-License-Identifier: MIT
 *
 * LARGE: what it costs that a channel copies its elements under its lock, however large they are. Beside the channel by
 * value stands what a copy outside of the lock would be: buffers that go round, from a channel of empty ones to one of
 * full ones. The best of many short runs each, taken in turns, in nanoseconds an element. Prints a table for
 * docs/decisions.md. */
#include <haft/haft.h>

#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 16, RUNS = 25, BYTES_EACH_RUN = 8 << 20, MOST_EACH_RUN = 8000 };

typedef HAFT_SENDER(void *) buffer_sender;
typedef HAFT_RECEIVER(void *) buffer_receiver;

struct side {
    buffer_sender tx; /* by value: an end for elements of that size, of which the calls below check no type */
    buffer_receiver rx;
    size_t size, n;
    unsigned char *own;
};

static int send_values(struct side *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->own[0] = (unsigned char)i;
        sample_check(haft_send_raw(&s->tx, s->own, false) == 0);
    }
    haft_sender_drop(&s->tx);
    return 0;
}

static int receive_values(struct side *s)
{
    while (haft_recv_raw(&s->rx, s->own) == 0)
        ;
    haft_receiver_drop(&s->rx);
    return 0;
}

static int send_buffers(struct side *s)
{
    for (size_t i = 0; i < s->n; i++) {
        void *buffer;
        s->own[0] = (unsigned char)i;
        sample_check(haft_recv(&s->rx, &buffer) == 0);
        memcpy(buffer, s->own, s->size);
        sample_check(haft_send(&s->tx, &buffer) == 0);
    }
    haft_sender_drop(&s->tx);
    haft_receiver_drop(&s->rx);
    return 0;
}

static int receive_buffers(struct side *s)
{
    void *buffer;
    while (haft_recv(&s->rx, &buffer) == 0) {
        memcpy(s->own, buffer, s->size);
        (void)haft_try_send(&s->tx, &buffer);
    }
    haft_sender_drop(&s->tx);
    haft_receiver_drop(&s->rx);
    return 0;
}

struct setting {
    haft_kind kind;
    size_t pairs, size;
};

/* A sender and a receiver of each pair, over full and, by buffer, back over empty. */
static double measure(const struct setting *w, bool by_value)
{
    size_t n = BYTES_EACH_RUN / w->size < MOST_EACH_RUN ? BYTES_EACH_RUN / w->size : MOST_EACH_RUN;
    unsigned char *memory = calloc(2 * w->pairs + PLACES, w->size);
    struct side full = { .size = w->size, .n = n / w->pairs }, empty = full;
    const haft_channel_options none = { .size_ = sizeof none };
    sample_check(memory != NULL);
    sample_check(by_value ? haft_channel_raw(&full.tx, &full.rx, PLACES, w->size, 1, &none) == 0
                          : haft_channel(&full.tx, &full.rx, PLACES) == 0);
    sample_check(by_value || haft_channel(&empty.tx, &empty.rx, PLACES) == 0);
    for (size_t i = 0; i < PLACES && !by_value; i++) {
        void *buffer = memory + (2 * w->pairs + i) * w->size;
        sample_check(haft_send(&empty.tx, &buffer) == 0);
    }
    haft_handle h[8];
    size_t k = 0;
    int64_t begin = haft_now();
    for (size_t i = 0; i < w->pairs; i++)
        for (int receives = 0; receives < 2; receives++) {
            struct side s = { .size = w->size, .n = full.n, .own = memory + k * w->size };
            if (receives)
                haft_receiver_clone(&full.rx, &s.rx);
            else
                haft_sender_clone(&full.tx, &s.tx);
            if (!by_value && receives)
                haft_sender_clone(&empty.tx, &s.tx);
            else if (!by_value)
                haft_receiver_clone(&empty.rx, &s.rx);
            h[k++] = by_value ? haft_spawn(receives ? receive_values : send_values, &s, .kind = w->kind)
                              : haft_spawn(receives ? receive_buffers : send_buffers, &s, .kind = w->kind);
        }
    haft_sender_drop(&full.tx);
    haft_receiver_drop(&full.rx);
    haft_sender_drop(&empty.tx);
    haft_receiver_drop(&empty.rx);
    sample_check(haft_join_all(h, k, NULL) == 0);
    int64_t taken = haft_now() - begin;
    free(memory);
    return (double)taken / (double)(full.n * w->pairs);
}

static int print_rows(const char *const *who)
{
    haft_kind kind = strcmp(*who, "threads") == 0 ? HAFT_THREAD : HAFT_TASK;
    for (size_t pairs = 1; pairs <= 2; pairs++)
        for (size_t size = 256; size <= 65536; size *= 4) {
            const struct setting w = { kind, pairs, size };
            double value = 1e18, buffer = 1e18;
            for (int i = 0; i < RUNS; i++) {
                double each = measure(&w, true);
                value = each < value ? each : value;
                each = measure(&w, false);
                buffer = each < buffer ? each : buffer;
            }
            printf("| %s, %zu to %zu | %zu | %.0f | %.0f |\n", *who, pairs, pairs, size, value, buffer);
        }
    return 0;
}

int main(void)
{
    const char *who = "1 worker";
    printf("| who | bytes | by value | by buffer |\n|---|---|---|---|\n");
    sample_check(haft_run(print_rows, &who, .workers = 1) == 0);
    who = "2 workers";
    sample_check(haft_run(print_rows, &who, .workers = 2) == 0);
    who = "threads";
    return print_rows(&who);
}
