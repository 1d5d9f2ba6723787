/* SPDX-License-Identifier: MIT
 *
 * A table that many read and few change. Readers are in together, a writer alone; whoever waits is not overtaken, so
 * neither starves. A writer that fails half way poisons the table, and the next to come knows. */
#include <haft/haft.h>

#include <stdio.h>

enum { PLACES = 4 };

static struct {
    haft_rwlock lock;
    int sum, place[PLACES]; /* sum is that of the places, but for a writer half way */
} table = { .lock = HAFT_RWLOCK_INIT, .sum = 40, .place = { 10, 10, 10, 10 } };

struct reader {
    int reads, wrong;
};

static int read_often(struct reader *r)
{
    for (int i = 0; i < 1000; i++) {
        haft_rwlock_read(&table.lock);
        int sum = 0;
        for (int j = 0; j < PLACES; j++)
            sum += table.place[j];
        r->reads++;
        r->wrong += sum != table.sum;
        haft_rwlock_read_unlock(&table.lock);
    }
    return 0;
}

static int write_sometimes(void)
{
    for (int i = 0; i < 50; i++) {
        haft_rwlock_write(&table.lock);
        table.place[i % PLACES]++;
        haft_yield(); /* may take its time: nobody sees it half done */
        table.sum++;
        haft_rwlock_write_unlock(&table.lock);
        haft_yield();
    }
    return 0;
}

static int fail_half_way(void)
{
    haft_rwlock_write(&table.lock);
    table.place[0]++;
    haft_panic("between place and sum");
}

static void say_nothing(const haft_panic_info *panic)
{
    (void)panic;
}

int main(void)
{
    haft_on_panic(say_nothing);
    struct reader readers[3] = { { 0, 0 } };
    haft_all(NULL, HAFT_ARM(read_often, &readers[0]), HAFT_ARM(read_often, &readers[1]),
             HAFT_ARM(read_often, &readers[2]), HAFT_ARM(write_sometimes));
    for (int i = 0; i < 3; i++)
        printf("reader %d: %d reads, %d wrong\n", i, readers[i].reads, readers[i].wrong);
    printf("sum: %d\n", table.sum);

    haft_handle failing = haft_spawn(fail_half_way);
    haft_join(&failing);
    int rc = haft_rwlock_write(&table.lock); /* held, and told */
    printf("then: %s\n", haft_errname(rc));
    if (rc == HAFT_EPOISONED) {
        table.place[0]--;
        haft_rwlock_heal(&table.lock);
    }
    haft_rwlock_write_unlock(&table.lock);
    return 0;
}
