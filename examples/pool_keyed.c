/* SPDX-License-Identifier: MIT
 *
 * Messages with keys: what is sent for one account is done one by one and in order, and several accounts at the same time.
 * So an account needs no lock, although four workers serve all of them. */
#include <haft/haft.h>

#include <stdio.h>

enum { ACCOUNTS = 3 };

struct bank {
    struct account {
        long cents;
        unsigned refused;
    } accounts[ACCOUNTS];
};
typedef HAFT_POOL(struct bank) bank;
typedef HAFT_CLIENT(struct bank) bank_client;

struct booking {
    unsigned account;
    long cents;
};

static int book(struct bank *b, const struct booking *booking)
{
    struct account *a = &b->accounts[booking->account];
    if (a->cents + booking->cents < 0) {
        a->refused++;
        return HAFT_EAGAIN;
    }
    haft_yield(); /* whoever came between would now be wrong */
    a->cents += booking->cents;
    return 0;
}

static int balance(struct bank *b, struct booking *answer)
{
    answer->cents = b->accounts[answer->account].cents;
    return 0;
}

int main(void)
{
    struct bank empty = { 0 };
    bank b;
    bank_client c;
    if (haft_pool_start(&b, &empty, .workers = 4, .name = "bank") != 0 || haft_pool_client_of(&b, &c) != 0)
        return 1;
    for (int i = 0; i < 100; i++)
        for (unsigned account = 0; account < ACCOUNTS; account++) {
            /* In and out again: in any other order the second would be refused. */
            haft_pool_cast_keyed(&c, account, book, (&(struct booking){ account, 500 }));
            haft_pool_cast_keyed(&c, account, book, (&(struct booking){ account, -400 }));
        }
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        struct booking answer = { .account = account };
        int rc = haft_pool_call_keyed(&c, account, balance, &answer); /* after all that was sent before */
        printf("%s: account %u has %ld\n", haft_strerror(rc), account, answer.cents);
    }
    haft_client_drop(&c);
    haft_pool_join(&b, &empty);
    printf("refused: %u\n", empty.accounts[0].refused + empty.accounts[1].refused + empty.accounts[2].refused);
    return 0;
}
