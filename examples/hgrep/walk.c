/* SPDX-License-Identifier: MIT
 *
 * One job holds one descriptor at a time (two while it opens a path too long for one call), so that the number of
 * jobs bounds the number of open files, however deep and wide the tree. A directory is read to its end at once; what
 * it holds is work for whoever comes first. */
#define _GNU_SOURCE 1 /* O_PATH, memrchr */
#include "hgrep.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUDGET = 1 << 20,    /* bytes read before a job ends, so that the others get their share of what is left */
    PER_PATH = 8 * 1024, /* what opening one costs, in bytes read */
    PATIENCE = 100,      /* attempts to get a descriptor while others hold them all */
};

void path_add(struct text *paths, enum found found, const char *directory, const char *name)
{
    size_t n = directory != NULL ? strlen(directory) : 0;
    while (n > 0 && directory[n - 1] == '/')
        n--;
    const char kind = (char)found;
    if (text_reserve(paths, n + strlen(name) + 3) == NULL)
        return;
    text_add(paths, &kind, 1);
    text_add(paths, directory, n);
    text_add(paths, "/", directory != NULL);
    text_add(paths, name, strlen(name) + 1);
}

static void complain(struct piece *p, const char *path, int code)
{
    const char *parts[] = { "hgrep: ", path, ": ", haft_strerror(code), "\n" };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        text_add(&p->errors, parts[i], strlen(parts[i]));
}

static int open_at(int from, const char *path, int flags)
{
    int fd = openat(from, path, flags);
    return fd < 0 ? -errno : fd;
}

/* open() for a path of any length: the kernel takes less than PATH_MAX bytes at once, so directories on the way are
 * opened first. Returns the descriptor or a negative errno. */
static int open_path(const char *path, int flags)
{
    int from = AT_FDCWD;
    const char *slash;
    while (strlen(path) >= PATH_MAX && (slash = memrchr(path + 1, '/', PATH_MAX - 2)) != NULL) {
        char step[PATH_MAX] = "";
        memcpy(step, path, (size_t)(slash - path));
        int next = open_at(from, step, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (from != AT_FDCWD)
            close(from);
        if (next < 0)
            return next;
        from = next;
        path = slash + strspn(slash, "/");
    }
    int fd = open_at(from, path, flags);
    if (from != AT_FDCWD)
        close(from);
    return fd;
}

/* Where descriptors are short, waits for other jobs to close theirs. */
static int open_patiently(const char *path, int flags)
{
    int fd = open_path(path, flags);
    for (int i = 1; (fd == -EMFILE || fd == -ENFILE) && i <= PATIENCE; i++) {
        haft_sleep(i * HAFT_MS);
        fd = open_path(path, flags);
    }
    return fd;
}

/* True for what grep -r searches: files and directories, neither links nor devices. */
static bool is_wanted(int directory, const struct dirent *entry)
{
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return false;
    struct stat st;
    if (entry->d_type == DT_UNKNOWN && fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
    return entry->d_type == DT_REG || entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
}

/* Adds the entries of a directory to the paths that are left. Takes the descriptor over. */
static int list_directory(struct piece *p, int fd, const char *path)
{
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    const struct dirent *entry;
    while ((void)(errno = 0), (entry = readdir(directory)) != NULL)
        if (is_wanted(fd, entry))
            path_add(&p->left, FOUND_ENTRY, path, entry->d_name);
    int rc = -errno;
    closedir(directory);
    return rc;
}

/* Does one path; *size is how long the file was. */
static int visit(struct piece *p, enum found found, const char *path, size_t *size)
{
    int flags = O_RDONLY | O_NOCTTY | O_CLOEXEC;
    if (found == FOUND_ENTRY)
        flags |= O_NOFOLLOW | O_NONBLOCK;
    int fd = found == FOUND_INPUT ? dup(STDIN_FILENO) : open_patiently(path, flags);
    if (fd < 0)
        return fd == -ELOOP && found == FOUND_ENTRY ? 0 : fd; /* it has become a link since */
    struct stat st;
    int rc = fstat(fd, &st) != 0 ? -errno : 0;
    if (rc == 0 && S_ISDIR(st.st_mode))
        return list_directory(p, fd, found == FOUND_HERE ? NULL : path);
    if (rc == 0 && (found != FOUND_ENTRY || S_ISREG(st.st_mode))) {
        bool named = found == FOUND_ENTRY || p->name_arguments;
        rc = search_file(p->search, fd, named ? path : NULL, &p->matches);
        p->files++;
        *size = (size_t)st.st_size;
    }
    close(fd);
    return rc;
}

int walk(struct piece *p)
{
    size_t next = 0;
    for (size_t spent = 0; next < p->todo.len && spent < BUDGET && !haft_is_aborted(); spent += PER_PATH) {
        const char *record = p->todo.at + next;
        size_t size = 0;
        int rc = visit(p, (enum found)record[0], record + 1, &size);
        if (rc != 0)
            complain(p, record + 1, rc);
        next += strlen(record) + 1;
        spent += size;
    }
    text_add(&p->left, p->todo.at + next, p->todo.len - next);
    text_drop(&p->todo);
    return 0;
}
