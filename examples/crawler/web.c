/* SPDX-License-Identifier: MIT */
#include "web.h"

#include <haft/haft.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *page, *links[LINKS];
} web[] = {
    { "/", { "/news", "/people", "/about" } },
    { "/about", { "/", "/people" } },
    { "/news", { "/news/1", "/news/2", "/news/3", "/" } },
    { "/news/1", { "/people/ann" } },
    { "/news/2", { "/news/1", "/cursed" } },
    { "/news/3", { "/gone" } },
    { "/people", { "/people/ann", "/people/bob" } },
    { "/people/ann", { "/people/bob" } },
    { "/people/bob", { "/people/ann" } },
};

int web_fetch(const url *page, url links[LINKS])
{
    haft_sleep(HAFT_MS); /* it is far away */
    if (strcmp(page->text, "/cursed") == 0)
        haft_panic("cannot parse %s", page->text);
    for (size_t i = 0; i < sizeof web / sizeof *web; i++) {
        int n = 0;
        if (strcmp(page->text, web[i].page) != 0)
            continue;
        for (; n < LINKS && web[i].links[n] != NULL; n++)
            snprintf(links[n].text, URL, "%s", web[i].links[n]);
        return n;
    }
    return -ENOENT;
}
