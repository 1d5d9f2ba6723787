/* SPDX-License-Identifier: MIT
 *
 * A web that is made up. */
#ifndef WEB_H
#define WEB_H

enum { URL = 32, LINKS = 4 };

typedef struct url {
    char text[URL];
} url;

/* The number of links on the page, or -ENOENT. There is a page that the parser does not survive. */
int web_fetch(const url *page, url links[LINKS]);

#endif
