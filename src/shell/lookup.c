/* lookup.c: where a Lua module or a preset file comes from. First hit wins:
 *   1. $OOMPH_PATH, a source tree (an edit shows without a rebuild)
 *   2. the configuration folder (lua/, presets/)
 *   3. the table in the binary
 * A file of the user's with the name of one of ours stands in its place. */
#include "shell.h"

#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embed.h"

/* ---- folders --------------------------------------------------------------------------------- */

/* $VARIABLE/oomph, or $HOME/FALLBACK/oomph. XDG: a path that is not absolute is to be ignored. */
static const char *xdg(char *buf, size_t buf_bytes, const char *variable, const char *fallback)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int n;

    if (base && *base == '/')
        n = snprintf(buf, buf_bytes, "%s/oomph", base);
    else if (home && *home)
        n = snprintf(buf, buf_bytes, "%s/%s/oomph", home, fallback);
    else
        return NULL;
    return n > 0 && (size_t)n < buf_bytes ? buf : NULL;
}

const char *lookup_config_dir(void)
{
    static char dir[1024];

    return xdg(dir, sizeof dir, "XDG_CONFIG_HOME", ".config");
}

const char *lookup_state_dir(void)
{
    static char dir[1024];

    return xdg(dir, sizeof dir, "XDG_STATE_HOME", ".local/state");
}

/* The folders before the binary's table, first wins; NULL where one is not set. */
static const char *own_folder(int i)
{
    const char *tree = getenv("OOMPH_PATH");

    return i == 0 ? (tree && *tree ? tree : NULL) : lookup_config_dir();
}
#define OWN_FOLDERS 2

/* ---- embedded files -------------------------------------------------------------------------- */

static int by_name(const void *key, const void *file)
{
    return strcmp(key, ((const embed_file *)file)->name);
}

static const embed_file *embedded(const char *name)
{
    return bsearch(name, embed_files, embed_count, sizeof *embed_files, by_name);
}

int lookup_load(lua_State *L, const char *module)
{
    char name[256], path[2048];
    const embed_file *f;
    int n = snprintf(name, sizeof name, "lua/%s.lua", module);

    if (n < 0 || (size_t)n >= sizeof name || strstr(module, ".."))
        return -1;
    for (char *dot = name + 4; dot < name + n - 4; dot++)
        if (*dot == '.')
            *dot = '/';
    for (int i = 0; i < OWN_FOLDERS; i++) {
        if (!own_folder(i))
            continue;
        n = snprintf(path, sizeof path, "%s/%s", own_folder(i), name);
        if (n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0)
            return luaL_loadfilex(L, path, "t");
    }
    f = embedded(name);
    if (!f)
        return -1;
    snprintf(path, sizeof path, "=%s", name);
    return luaL_loadbufferx(L, f->text, f->bytes, path, "t");
}

/* ---- names of modules ------------------------------------------------------------------------ */

typedef struct { lookup_offer *offer; void *ctx; const char *head; size_t head_bytes; } listing;

/* The files of a folder that one place of package.path leads to: `before`?`after`, where the name
 * begins with the listing's head, "a.b." of "a.b.c". */
static void list_place(const listing *l, const char *before, size_t n, const char *after)
{
    char folder[2048], path[4096], name[512];
    size_t stem = strcspn(after, "/;"), rest = strcspn(after, ";") - stem;
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof folder, "%.*s%.*s", (int)n, before, (int)l->head_bytes, l->head);
    for (char *dot = folder + n; n < sizeof folder && *dot; dot++)
        *dot = *dot == '.' ? '/' : *dot;
    dir = opendir(*folder ? folder : ".");
    while (dir && (entry = readdir(dir)) != NULL) {
        size_t all = strlen(entry->d_name);
        const char *end = entry->d_name + all - stem;

        if (all <= stem || strncmp(end, after, stem) != 0 ||
            memchr(entry->d_name, '.', all - stem))     /* a dot means a folder */
            continue;
        snprintf(path, sizeof path, "%s/%s%.*s", folder, entry->d_name, (int)rest, after + stem);
        snprintf(name, sizeof name, "%.*s%.*s", (int)l->head_bytes, l->head, (int)(all - stem),
                 entry->d_name);
        if (rest == 0 || access(path, R_OK) == 0)
            l->offer(l->ctx, name);
    }
    if (dir)
        closedir(dir);
}

void lookup_modules(const char *path, const char *word, lookup_offer *offer, void *ctx)
{
    const char *dot = strrchr(word, '.');
    listing l = { offer, ctx, word, dot ? (size_t)(dot - word) + 1 : 0 };
    bool ours = *word && strncmp(word, "oomph.", strnlen(word, 6)) == 0;
    char name[256];

    for (const char *end; *path; path = *end ? end + 1 : end) {
        const char *mark = strchr(path, '?');

        end = path + strcspn(path, ";");
        if (mark && mark < end && (mark == path || mark[-1] == '/'))
            list_place(&l, path, (size_t)(mark - path), mark + 1);
    }
    for (size_t i = 0; ours && i < embed_count; i++)
        if (strncmp(embed_files[i].name, "lua/", 4) == 0) {
            snprintf(name, sizeof name, "oomph.%s", embed_files[i].name + 4);
            name[strlen(name) - 4] = 0;         /* .lua */
            offer(ctx, name);
        }
}

/* ---- presets --------------------------------------------------------------------------------- */

/* The files of one folder, merged over the three places; gathered on first need and kept, since
 * the catalogue refers to them. */
typedef struct { const char *name, *text; size_t bytes; } preset_file;
static struct {
    const char *folder;
    preset_file *files;
    size_t n, cap;
    bool done;
} gathered[] = { { .folder = "presets/models" }, { .folder = "presets/devices" },
                 { .folder = "presets/learned" } };     /* the user's: check(log, {learn=true}) */
#define FOLDERS (sizeof gathered / sizeof *gathered)

static bool append(size_t kind, const char *name, const char *text, size_t bytes)
{
    const char *base = strrchr(name, '/') + 1;

    for (size_t i = 0; i < gathered[kind].n; i++)
        if (!strcmp(strrchr(gathered[kind].files[i].name, '/') + 1, base))
            return false;               /* one before it has this name */
    if (gathered[kind].n == gathered[kind].cap) {
        size_t cap = gathered[kind].cap ? 2 * gathered[kind].cap : 64;
        preset_file *files = realloc(gathered[kind].files, cap * sizeof *files);

        if (!files)
            return false;
        gathered[kind].files = files;
        gathered[kind].cap = cap;
    }
    gathered[kind].files[gathered[kind].n++] = (preset_file){ name, text, bytes };
    return true;
}

static int text_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The *.json of a folder on disk, in order of name. A file that cannot be read is said once. */
static void gather_folder(size_t kind, const char *own)
{
    char path[2048], *names[512];
    size_t n = 0;
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof path, "%s/%s", own, gathered[kind].folder);
    dir = opendir(path);
    if (!dir)
        return;
    while ((entry = readdir(dir)) != NULL && n < sizeof names / sizeof *names) {
        size_t len = strlen(entry->d_name);

        if (len > 5 && entry->d_name[0] != '.' && !strcmp(entry->d_name + len - 5, ".json") &&
            (names[n] = malloc(strlen(path) + len + 2)) != NULL)
            sprintf(names[n++], "%s/%s", path, entry->d_name);
    }
    closedir(dir);
    qsort(names, n, sizeof *names, text_order);
    for (size_t i = 0; i < n; i++) {
        oom_error err;
        read_bytes file;

        if (read_file(names[i], &file, &err) != OOM_OK) {
            fprintf(stderr, "oomph: %s\n", err.msg);
            free(names[i]);
        } else if (!append(kind, names[i], (const char *)file.bytes, file.n)) {
            read_release(&file);
            free(names[i]);
        }
    }
}

static void gather(size_t kind)
{
    size_t len = strlen(gathered[kind].folder);

    for (int i = 0; i < OWN_FOLDERS; i++)
        if (own_folder(i))
            gather_folder(kind, own_folder(i));
    for (size_t i = 0; i < embed_count; i++)
        if (!strncmp(embed_files[i].name, gathered[kind].folder, len) &&
            embed_files[i].name[len] == '/')
            append(kind, embed_files[i].name, embed_files[i].text, embed_files[i].bytes);
}

static bool preset_at(void *ctx, const char *folder, size_t i, const char **name, const char **text,
                      size_t *n)
{
    size_t kind = 0;

    (void)ctx;
    while (kind + 1 < FOLDERS && strcmp(folder, gathered[kind].folder) != 0)
        kind++;
    if (!gathered[kind].done)
        gather(kind);
    gathered[kind].done = true;
    if (i >= gathered[kind].n)
        return false;
    *name = gathered[kind].files[i].name;
    *text = gathered[kind].files[i].text;
    *n = gathered[kind].files[i].bytes;
    return true;
}

const read_source lookup_presets = { preset_at, NULL };

static unsigned count_ids(const char *text, size_t n)
{
    unsigned found = 0;

    for (const char *at = text; (at = memmem(at, n - (size_t)(at - text), "\"id\":", 5)); at++)
        found++;
    return found;
}

unsigned lookup_records(const char *folder)
{
    unsigned records = 0;
    size_t len = strlen(folder);
    char path[2048];
    bool own = false;

    for (int i = 0; i < OWN_FOLDERS; i++)
        if (own_folder(i) && snprintf(path, sizeof path, "%s/%s", own_folder(i), folder) > 0)
            own |= access(path, R_OK) == 0;
    if (!own) {                         /* the usual case: counted when the binary was built */
        for (size_t i = 0; i < embed_count; i++)
            if (!strncmp(embed_files[i].name, folder, len))
                records += embed_files[i].records;
        return records;
    }
    const char *name, *text;
    size_t n;
    for (size_t i = 0; preset_at(NULL, folder, i, &name, &text, &n); i++)
        records += count_ids(text, n);
    return records;
}

/* ---- writing them out ------------------------------------------------------------------------ */

static bool write_file(const char *path, const char *text, size_t bytes)
{
    FILE *out = fopen(path, "wb");
    bool fine = out && fwrite(text, 1, bytes, out) == bytes;

    return (out && fclose(out) == 0) && fine;
}

bool lookup_dump(const char *dir)
{
    char path[2048];

    for (size_t i = 0; i < embed_count; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, embed_files[i].name);
        for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
            *slash = 0;
            if (mkdir(path, 0777) != 0 && errno != EEXIST)
                break;
            *slash = '/';
        }
        if (!write_file(path, embed_files[i].text, embed_files[i].bytes)) {
            fprintf(stderr, "oomph: %s: %s\n", path, strerror(errno));
            return false;
        }
    }
    return true;
}
