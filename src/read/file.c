/* file.c: the only file that opens files. A file is mapped, never copied: a 200 GB model costs an
 * address range, and only the pages of its header are read. Directories, devices, pipes and
 * sockets are refused before anything is read from them. */
#include "read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *read_quote_path(const char *path, char *buf, size_t buf_bytes)
{
    const char *cut = "\xe2\x80\xa6";       /* … */
    size_t len = strlen(path), start = len > 40 ? len - 39 : 0;

    if (start == 0)
        return oom_text_quote(path, len, buf, buf_bytes);
    while (start < len && ((unsigned char)path[start] & 0xc0) == 0x80)
        start++;
    memcpy(buf, cut, strlen(cut));
    oom_text_quote(path + start, len - start, buf + strlen(cut), buf_bytes - strlen(cut));
    return buf;
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : "a device";
}

static oom_status failed(oom_error *err, const char *path, const char *why)
{
    char quoted[128];

    return oom_fail(err, errno == ENOENT || errno == ENOTDIR ? OOM_NOTFOUND : OOM_IO, "%s: %s",
                    read_quote_path(path, quoted, sizeof quoted), why);
}

oom_status read_file(const char *path, read_bytes *out, oom_error *err)
{
    char quoted[128];
    oom_status status = OOM_OK;
    struct stat st;
    /* O_NONBLOCK: opening a pipe that nobody writes to must not wait */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return failed(err, path, strerror(errno));
    read_quote_path(path, quoted, sizeof quoted);
    if (fstat(fd, &st) != 0) {
        status = failed(err, path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        status = oom_fail(err, OOM_IO, "%s: is %s, expected a file", quoted, kind_of(st.st_mode));
        goto out;
    }
    *out = (read_bytes){ .bytes = (const unsigned char *)"", .n = (size_t)st.st_size };
    if (out->n == 0)
        goto out;
    out->map = mmap(NULL, out->n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (out->map == MAP_FAILED) {
        out->map = NULL;
        status = failed(err, path, strerror(errno));
        goto out;
    }
    out->map_bytes = out->n;
    out->bytes = out->map;
out:
    close(fd);
    return status;
}

void read_release(read_bytes *b)
{
    if (b->map)
        munmap(b->map, b->map_bytes);
    *b = (read_bytes){ 0 };
}

read_kind read_path_kind(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return READ_ABSENT;
    return S_ISDIR(st.st_mode) ? READ_FOLDER : READ_FILE;
}

bool read_is_plain(const char *path)
{
    struct stat st;

    return lstat(path, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

oom_status read_folder_find(const char *folder, const char *ending, char name[READ_NAME_BYTES],
                            size_t *found, oom_error *err)
{
    DIR *dir = opendir(folder);
    size_t len = strlen(ending);

    *found = 0;
    if (!dir)
        return failed(err, folder, strerror(errno));
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        size_t n = strlen(d->d_name);

        if (n > len && strcmp(d->d_name + n - len, ending) == 0
            && ((*found)++ == 0 || strcmp(d->d_name, name) < 0))
            memcpy(name, d->d_name, n + 1);
    }
    closedir(dir);
    return OOM_OK;
}

bool read_small(const char *path, char *text, size_t text_bytes)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    size_t used = 0;

    if (fd < 0)
        return false;
    while (used < text_bytes - 1) {
        ssize_t n = read(fd, text + used, text_bytes - 1 - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    close(fd);
    text[used] = '\0';
    return used > 0;
}

/* The folders above a path, which is written in and left as it was. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
}

oom_status read_replace(const char *path, const char *text, size_t n, oom_error *err)
{
    char partial[4096];
    size_t len = (size_t)snprintf(partial, sizeof partial, "%s.%ld.partial", path, (long)getpid());
    oom_status status;
    FILE *file;
    bool fine;

    if (len >= sizeof partial)
        return oom_fail(err, OOM_BADVALUE, "path too long");
    make_folders(partial);
    file = fopen(partial, "wb");
    if (!file)
        return failed(err, path, strerror(errno));
    fine = fwrite(text, 1, n, file) == n && fflush(file) == 0 && fsync(fileno(file)) == 0;
    fine = fclose(file) == 0 && fine;
    if (fine && rename(partial, path) == 0)
        return OOM_OK;
    status = failed(err, path, strerror(errno));
    unlink(partial);
    return status;
}
