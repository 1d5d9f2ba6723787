/* SPDX-License-Identifier: MIT
 *
 * How many processors this process may really use: those it may be scheduled on, and no more than the quota of its
 * control group pays for. Quotas nest: each group from ours up to the root of the hierarchy may have one, and the
 * smallest counts, so all are read, in version 2 (cpu.max) and version 1 (cpu.cfs_quota_us) alike.
 *
 * /proc/self/cgroup names our group in each hierarchy; /proc/self/mountinfo tells which part of which hierarchy is
 * visible where. In a container the visible part may begin below the hierarchy's root, and then the group's name begins
 * with what lies above. When no mount shows our group, the mount's own top is taken for it: that is how a container
 * sees its own group when it does not have a cgroup namespace. See cgroups(7), proc_pid_mountinfo(5). */
#include "os/linux.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- text ------------------------------------------------------------------------------------------------------- */

/* Cuts the next piece off *text at a separator, which is overwritten. Null at the end. */
static char *cut(char **text, char separator)
{
    char *piece = *text;
    char *end;

    if (piece == NULL)
        return NULL;
    end = strchr(piece, separator);
    if (end != NULL)
        *end++ = '\0';
    *text = end;
    return piece;
}

/* Whether a list, separated by commas, has the item. */
static bool list_has(const char *list, const char *item)
{
    size_t length = strlen(item);

    for (; list != NULL; list = strchr(list, ',')) {
        if (*list == ',')
            list++;
        if (strncmp(list, item, length) == 0 && (list[length] == ',' || list[length] == '\0'))
            return true;
    }
    return false;
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* mountinfo writes blanks and backslashes in a path as a backslash and three octal digits. */
static void unescape(char *text)
{
    char *out = text;

    while (*text != '\0') {
        if (text[0] == '\\' && is_octal(text[1]) && is_octal(text[2]) && is_octal(text[3])) {
            *out++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
            text += 4;
        } else {
            *out++ = *text++;
        }
    }
    *out = '\0';
}

/* --- one group -------------------------------------------------------------------------------------------------- */

/* Both versions of control groups that can limit processor time. */
enum version { VERSION_1, VERSION_2 };

static char *read_in(const char *directory, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);

    return length > 0 && (size_t)length < sizeof path ? haft__linux_read_file(path) : NULL;
}

/* The number that text begins with; 0 when there is none, as in "max", or when it is not positive. */
static unsigned long long number(const char *text)
{
    long long value = text != NULL ? strtoll(text, NULL, 10) : 0;

    return value > 0 ? (unsigned long long)value : 0;
}

/* The smaller of two limits, of which 0 means none. */
static unsigned smaller(unsigned a, unsigned b)
{
    return b == 0 || (a != 0 && a < b) ? a : b;
}

static unsigned processors(unsigned long long quota, unsigned long long period)
{
    unsigned long long count;

    if (quota == 0 || period == 0)
        return 0;
    count = quota / period + (quota % period != 0);
    return count < UINT_MAX ? (unsigned)count : UINT_MAX;
}

static unsigned quota_of_group(const char *directory, enum version version)
{
    char *quota, *period;
    unsigned limit;

    if (version == VERSION_2) {
        char *both = quota = read_in(directory, "cpu.max"); /* "QUOTA PERIOD", QUOTA may be "max" */

        period = both != NULL ? strchr(both, ' ') : NULL;
        limit = processors(number(quota), number(period));
    } else {
        quota = read_in(directory, "cpu.cfs_quota_us"); /* -1: none */
        period = read_in(directory, "cpu.cfs_period_us");
        limit = processors(number(quota), number(period));
        haft__linux_release(period);
    }
    haft__linux_release(quota);
    return limit;
}

/* From the group of the given name up to the top of the mount. */
static unsigned quota_of_groups(const char *root, const char *mount_point, const char *group, enum version version)
{
    char directory[PATH_MAX];
    int top = snprintf(directory, sizeof directory, "%s%s", root, mount_point);
    int length;
    unsigned limit = 0;

    if (top < 0 || (size_t)top >= sizeof directory)
        return 0;
    length = snprintf(directory + top, sizeof directory - (size_t)top, "%s", group);
    if (length < 0 || (size_t)length >= sizeof directory - (size_t)top)
        return 0;
    for (;;) {
        char *last;

        limit = smaller(limit, quota_of_group(directory, version));
        last = strrchr(directory + top, '/');
        if (last == NULL)
            return limit;
        *last = '\0';
    }
}

/* --- mounts ----------------------------------------------------------------------------------------------------- */

struct mount {
    const char *root; /* which group of the hierarchy is the top of the mount */
    const char *point;
};

/* Takes one line of mountinfo apart; false when it does not show the hierarchy that is looked for.
 *
 *   36 35 98:0 /root /mount/point rw,noatime shared:1 - cgroup source rw,cpu,cpuacct */
static bool parse_mount(char *line, enum version version, struct mount *mount)
{
    char *field[6];
    char *separator = strstr(line, " - ");
    char *rest, *type, *options;

    if (separator == NULL)
        return false;
    *separator = '\0';
    rest = separator + 3;
    type = cut(&rest, ' ');
    cut(&rest, ' ');
    options = cut(&rest, ' ');
    if (version == VERSION_2 ? strcmp(type, "cgroup2") != 0 : strcmp(type, "cgroup") != 0 || !list_has(options, "cpu"))
        return false;
    for (int i = 0; i < 6; i++) {
        field[i] = cut(&line, ' ');
        if (field[i] == NULL)
            return false;
    }
    unescape(field[3]);
    unescape(field[4]);
    mount->root = field[3];
    mount->point = field[4];
    return true;
}

/* The group's name below the mount; null when the mount does not show it. */
static const char *name_below(const struct mount *mount, const char *group)
{
    size_t length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);

    if (strncmp(group, "/..", 3) == 0) /* outside of our cgroup namespace */
        return NULL;
    if (strncmp(group, mount->root, length) != 0 || (group[length] != '/' && group[length] != '\0'))
        return NULL;
    return strcmp(group + length, "/") == 0 ? "" : group + length;
}

/* mountinfo is taken apart in place, so the caller gives a copy of its own. */
static unsigned quota_of_hierarchy(const char *root, char *mountinfo, const char *group, enum version version)
{
    struct mount mount, first = { NULL, NULL };
    unsigned limit = 0;
    bool is_shown = false;
    char *line;

    while ((line = cut(&mountinfo, '\n')) != NULL) {
        const char *name;

        if (!parse_mount(line, version, &mount))
            continue;
        if (first.point == NULL)
            first = mount;
        name = name_below(&mount, group);
        if (name != NULL) {
            is_shown = true;
            limit = smaller(limit, quota_of_groups(root, mount.point, name, version));
        }
    }
    if (!is_shown && first.point != NULL)
        limit = quota_of_groups(root, first.point, "", version);
    return limit;
}

/* --- together --------------------------------------------------------------------------------------------------- */

/* One line of /proc/self/cgroup: "ID:CONTROLLERS:GROUP", without controllers in version 2. */
static unsigned quota_of_line(const char *root, char *line, const char *mountinfo)
{
    char *rest = line;
    char *controllers, *copy;
    unsigned limit = 0;

    cut(&rest, ':');
    controllers = cut(&rest, ':');
    if (rest == NULL || (controllers[0] != '\0' && !list_has(controllers, "cpu")))
        return 0;
    copy = strdup(mountinfo);
    if (copy != NULL)
        limit = quota_of_hierarchy(root, copy, rest, controllers[0] == '\0' ? VERSION_2 : VERSION_1);
    free(copy);
    return limit;
}

unsigned haft__linux_cpu_quota(const char *root)
{
    int saved = errno;
    char directory[PATH_MAX];
    int length = snprintf(directory, sizeof directory, "%s/proc/self", root);
    bool fits = length > 0 && (size_t)length < sizeof directory;
    char *groups = fits ? read_in(directory, "cgroup") : NULL;
    char *mountinfo = fits ? read_in(directory, "mountinfo") : NULL;
    unsigned limit = 0;

    if (groups != NULL && mountinfo != NULL) {
        char *rest = groups;
        char *line;

        while ((line = cut(&rest, '\n')) != NULL)
            limit = smaller(limit, quota_of_line(root, line, mountinfo));
    }
    haft__linux_release(groups);
    haft__linux_release(mountinfo);
    errno = saved;
    return limit;
}

/* The kernel refuses a set that is smaller than its own, which is as large as the machine might ever be. */
static unsigned affinity_count(void)
{
    for (int capacity = 1024; capacity <= 1024 * 1024; capacity *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)capacity);
        size_t size = CPU_ALLOC_SIZE((size_t)capacity);
        int count = 0;

        if (set == NULL)
            break;
        if (sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
        if (errno != EINVAL)
            break;
    }
    return 1;
}

unsigned haft__linux_cpu_count(void)
{
    int saved = errno;
    unsigned count = smaller(affinity_count(), haft__linux_cpu_quota(""));

    errno = saved;
    return count;
}
