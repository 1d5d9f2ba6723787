/* SPDX-License-Identifier: MIT
 *
 * haft_all runs a few different bodies at once and waits for all of them. Each works on the caller's own object, lent for
 * that long. haft_all_or_abort stops the others at the first failure. */
#include <haft/haft.h>

#include <stdio.h>

struct user {
    int id;
    char name[16];
};

struct orders {
    int user;
    unsigned count;
};

static int load_user(struct user *u)
{
    snprintf(u->name, sizeof u->name, "user %d", u->id);
    return haft_sleep(2 * HAFT_MS);
}

static int count_orders(struct orders *o)
{
    o->count = 3;
    return haft_sleep(1 * HAFT_MS);
}

static int load_prices(void)
{
    return -ENOENT;
}

static int wait_for_news(bool *told)
{
    int rc = haft_sleep(3600 * HAFT_S);
    *told = rc == HAFT_ECANCELED;
    return rc;
}

int main(void)
{
    struct user user = { .id = 17 };
    struct orders orders = { .user = 17 };
    int rcs[3];
    int rc = haft_all(rcs, HAFT_ARM(load_user, &user), HAFT_ARM(count_orders, &orders, .kind = HAFT_THREAD),
                      HAFT_ARM(load_prices));
    printf("all have ended: %s\n", haft_errname(rc));
    printf("  user: %s, \"%s\"\n", haft_errname(rcs[0]), user.name);
    printf("  orders: %s, %u\n", haft_errname(rcs[1]), orders.count);
    printf("  prices: %s\n", haft_errname(rcs[2]));

    bool told = true; /* as it stays if the news are stopped before they begin */
    rc = haft_all_or_abort(rcs, HAFT_ARM(wait_for_news, &told), HAFT_ARM(load_prices));
    printf("one failed: %s, the other: %s, told: %d\n", haft_errname(rc), haft_errname(rcs[0]), told);

    {
        HAFT_TIMEOUT(5 * HAFT_MS);
        rc = haft_all(NULL, HAFT_ARM(load_user, &user), HAFT_ARM(wait_for_news, &told));
    }
    printf("late: %s\n", haft_errname(rc));
    return 0;
}
