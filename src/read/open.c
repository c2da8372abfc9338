/* open.c: from a path to a model. What a file is, its first bytes say, never its name: Ollama's
 * have no ending to go by. Here files that belong together are brought together: the parts of a
 * split GGUF, the shards of an index, the config.json beside a checkpoint. */
#include "read.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* To the longest path that is taken a name in that folder can be added. */
enum { MOST_PARTS = 4096, QUOTED = 128, PATH_BYTES = 4096,
       LONGEST_PATH = PATH_BYTES - READ_NAME_BYTES - 1 };

static void join(char path[PATH_BYTES], const char *folder, const char *name)
{
    char *end = stpcpy(path, folder);

    if (end[-1] != '/')
        *end++ = '/';
    memcpy(end, name, strlen(name) + 1);
}

/* "model-00002-of-00005.gguf": how many parts, 1 when it is no such name. *at: where the number
 * of the part stands. */
static unsigned parts_of(const char *path, size_t *at)
{
    size_t len = strlen(path), tail = strlen("-00001-of-00005.gguf");
    const char *s = path + (len - tail);

    if (len < tail || strcmp(path + len - 5, ".gguf") != 0 || s[0] != '-' ||
        strspn(s + 1, "0123456789") != 5 || memcmp(s + 6, "-of-", 4) != 0 ||
        strspn(s + 10, "0123456789") != 5)
        return 1;
    *at = (size_t)(s + 1 - path);
    return (unsigned)strtoul(s + 10, NULL, 10);
}

/* ---- several files as one model ---- */

typedef struct {
    oom_arena *work;
    read_bytes *file;
    read_part *part;
    size_t n;
} bundle;

static oom_status bundle_new(bundle *b, oom_model *m, oom_error *err)
{
    *b = (bundle){ .work = oom_arena_new(oom_arena_alloc(m->arena), err) };
    return b->work ? OOM_OK : OOM_NOMEM;
}

/* Room for so many files; once. */
static oom_status bundle_room(bundle *b, size_t most, oom_error *err)
{
    b->file = oom_arena_get(b->work, most * sizeof *b->file, err);
    b->part = oom_arena_get(b->work, most * sizeof *b->part, err);
    return b->file && b->part ? OOM_OK : OOM_NOMEM;
}

static void bundle_free(bundle *b)
{
    for (size_t i = 0; i < b->n; i++)
        read_release(&b->file[i]);
    oom_arena_free(b->work);
}

static oom_status bundle_add(bundle *b, const char *path, oom_error *err)
{
    char quoted[QUOTED];
    const char *name;
    oom_status status;

    read_quote_path(path, quoted, sizeof quoted);
    name = oom_arena_text(b->work, quoted, strlen(quoted), err);
    if (!name)
        return OOM_NOMEM;
    if ((status = read_file(path, &b->file[b->n], err)) != OOM_OK)
        return status;
    b->part[b->n] = (read_part){ name, b->file[b->n].bytes, b->file[b->n].n };
    b->n++;
    return OOM_OK;
}

/* ---- GGUF ---- */

static oom_status read_gguf_path(oom_model *m, const char *path, oom_error *err)
{
    char sibling[PATH_BYTES], number[16];
    size_t at = 0;
    unsigned n_parts = parts_of(path, &at);
    oom_status status;
    bundle b;

    if (n_parts < 1 || n_parts > MOST_PARTS)
        return oom_fail(err, OOM_BADFILE, "a model in %u files, expected 1 to %d", n_parts,
                        MOST_PARTS);
    snprintf(sibling, sizeof sibling, "%s", path);
    status = bundle_new(&b, m, err);
    if (status == OOM_OK)
        status = bundle_room(&b, n_parts, err);
    for (unsigned i = 0; i < n_parts && status == OOM_OK; i++) {
        if (n_parts > 1) {
            snprintf(number, sizeof number, "%05u", i + 1);
            memcpy(sibling + at, number, 5);
        }
        status = bundle_add(&b, sibling, err);
    }
    if (status == OOM_OK)
        status = read_gguf_parts(m, b.part, b.n, err);
    bundle_free(&b);
    return status;
}

/* ---- safetensors ---- */

/* A name in the folder that a file is in: "a/b.json" -> "a/name", "b.json" -> "name". */
static void beside(char path[PATH_BYTES], const char *file, const char *name)
{
    const char *slash = strrchr(file, '/');

    snprintf(path, PATH_BYTES, "%.*s%s", slash ? (int)(slash + 1 - file) : 0, file, name);
}

/* The config.json beside a checkpoint, into the model's arena; *config NULL: there is none. */
static oom_status config_beside(oom_model *m, const char *path, const oom_value **config,
                                oom_error *err)
{
    char name[PATH_BYTES];
    read_bytes file;
    oom_status status;

    *config = NULL;
    beside(name, path, "config.json");
    if (read_path_kind(name) != READ_FILE)
        return OOM_OK;
    if ((status = read_file(name, &file, err)) != OOM_OK)
        return status;
    status = read_json(m->arena, name, (const char *)file.bytes, file.n, config, err);
    read_release(&file);
    return status;
}

static oom_status read_shards(oom_model *m, const char *path, bundle *b, const oom_value *map,
                              oom_error *err)
{
    const oom_value *config;
    oom_status status = config_beside(m, path, &config, err);

    return status == OOM_OK ? read_checkpoint(m, b->part, b->n, map, config, err) : status;
}

static oom_status read_safetensors_path(oom_model *m, const char *path, oom_error *err)
{
    bundle b;
    oom_status status = bundle_new(&b, m, err);

    if (status == OOM_OK)
        status = bundle_room(&b, 1, err);
    if (status == OOM_OK)
        status = bundle_add(&b, path, err);
    if (status == OOM_OK)
        status = read_shards(m, path, &b, NULL, err);
    bundle_free(&b);
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The files that an index names, each once. They lie beside it: a name with a folder in it is
 * refused, so that an index cannot send the reader elsewhere. */
static oom_status add_shards(bundle *b, const char *path, const char *quoted, const oom_value *map,
                             oom_error *err)
{
    size_t n = map->u.map.n;
    const char **names = oom_arena_get(b->work, n * sizeof *names, err);
    char shard[PATH_BYTES], text[QUOTED];

    if (!names || bundle_room(b, n, err) != OOM_OK)
        return OOM_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const oom_value *v = map->u.map.members[i].value;

        names[i] = v->kind == OOM_STRING ? v->u.text : "";
        if (!*names[i] || strchr(names[i], '/') || names[i][0] == '.'
            || strlen(names[i]) >= READ_NAME_BYTES)
            return oom_fail(err, OOM_BADFILE, "%s: weight_map: \"%s\" is no file beside it", quoted,
                            oom_text_quote(names[i], strlen(names[i]), text, sizeof text));
    }
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        oom_status status;

        if (i > 0 && strcmp(names[i - 1], names[i]) == 0)
            continue;
        beside(shard, path, names[i]);
        if ((status = bundle_add(b, shard, err)) != OOM_OK)
            return status;
    }
    return OOM_OK;
}

static oom_status read_index(oom_model *m, const char *path, const read_bytes *file, oom_error *err)
{
    const oom_value *root = NULL, *map;
    char quoted[QUOTED];
    bundle b;
    oom_status status = bundle_new(&b, m, err);

    if (status == OOM_OK)
        status = read_json(b.work, path, (const char *)file->bytes, file->n, &root, err);
    if (status == OOM_OK) {
        read_quote_path(path, quoted, sizeof quoted);
        map = oom_value_get(root, "weight_map");
        if (!map || map->kind != OOM_MAP || map->u.map.n == 0)
            status = oom_fail(err, OOM_BADFILE,
                              "%s: \"weight_map\": expected names and their files", quoted);
        else
            status = add_shards(&b, path, quoted, map, err);
        if (status == OOM_OK)
            status = read_shards(m, path, &b, map, err);
    }
    bundle_free(&b);
    return status;
}

/* ---- one path ---- */

/* Eight bytes of length, of which the last is 0, and an object: no text has a byte of 0. */
static bool is_safetensors(const read_bytes *file)
{
    return file->n >= 10 && file->bytes[7] == '\0' && file->bytes[8] == '{';
}

static bool is_json(const read_bytes *file)
{
    size_t i = 0;

    while (i < file->n && i < 16 && memchr(" \t\r\n\xef\xbb\xbf", file->bytes[i], 7))
        i++;
    return i < file->n && (file->bytes[i] == '{' || file->bytes[i] == '[');
}

static oom_status read_one_file(oom_model *m, const char *path, oom_error *err)
{
    char quoted[QUOTED];
    read_bytes file;
    oom_status status = read_file(path, &file, err);

    if (status != OOM_OK)
        return status;
    if (file.n >= 4 && memcmp(file.bytes, "GGUF", 4) == 0)
        status = read_gguf_path(m, path, err);
    else if (is_safetensors(&file))
        status = read_safetensors_path(m, path, err);
    else if (!is_json(&file))
        status = oom_fail(err, OOM_BADFILE, "%s: neither GGUF nor safetensors nor JSON",
                          read_quote_path(path, quoted, sizeof quoted));
    else if (file.n <= (64u << 20) && memmem(file.bytes, file.n, "\"weight_map\"", 12))
        status = read_index(m, path, &file, err);
    else
        status = read_config(m, path, file.bytes, file.n, err);
    read_release(&file);
    return status;
}

/* In a folder, the weights say more than their configuration. */
static oom_status read_folder(oom_model *m, const char *folder, oom_error *err)
{
    static const char *const first[] = { "model.safetensors.index.json", "model.safetensors" };
    static const char *const endings[] = { ".safetensors", ".gguf" };
    char inner[PATH_BYTES], quoted[QUOTED], name[READ_NAME_BYTES];

    read_quote_path(folder, quoted, sizeof quoted);
    for (size_t i = 0; i < 2; i++) {
        join(inner, folder, first[i]);
        if (read_path_kind(inner) == READ_FILE)
            return read_one_file(m, inner, err);
    }
    join(inner, folder, "adapter_config.json");
    if (read_path_kind(inner) == READ_FILE)
        return oom_fail(err, OOM_BADFILE, "%s: an adapter (LoRA), expected a model", quoted);
    for (size_t i = 0; i < 2; i++) {
        size_t at = 0, n;
        oom_status status = read_folder_find(folder, endings[i], name, &n, err);

        if (status != OOM_OK)
            return status;
        if (n == 0)
            continue;
        join(inner, folder, name);
        if (n == 1 || parts_of(inner, &at) == n)
            return read_one_file(m, inner, err);
        return oom_fail(err, OOM_BADVALUE, "%s: %zu files end in %s, name one of them", quoted, n,
                        endings[i]);
    }
    join(inner, folder, "config.json");
    if (read_path_kind(inner) == READ_FILE)
        return read_one_file(m, inner, err);
    return oom_fail(err, OOM_NOTFOUND,
                    "%s: a folder without config.json, safetensors or GGUF files", quoted);
}

static oom_status read_path(oom_model *m, const char *path, oom_error *err)
{
    return read_path_kind(path) == READ_FOLDER ? read_folder(m, path, err)
                                               : read_one_file(m, path, err);
}

/* Ollama's blobs are called by their digest: the name within says more. */
static bool is_digest(const char *name) { return strncmp(name, "sha256-", 7) == 0; }

/* The file's own name, or its folder's where every model's file is called the same, or the
 * repository's in Hugging Face's cache ("models--ORG--NAME/snapshots/…"); what cannot be shown
 * becomes "?". */
static const char *id_of(oom_model *m, const char *path, oom_error *err)
{
    const char *cached = strstr(path, "models--");
    size_t end = strlen(path), start;
    char *id;

    for (int i = 0; i < 2; i++) {
        while (end > 1 && path[end - 1] == '/')
            end--;
        for (start = end; start > 0 && path[start - 1] != '/'; start--)
            ;
        if (i || start < 2 || (strcmp(path + start, "config.json") != 0 &&
                               strncmp(path + start, "model.safetensors", 17) != 0))
            break;
        end = start - 1;
    }
    if (is_digest(path + start) && *m->id)
        return m->id;
    if (cached && strstr(cached + 8, "--") && strstr(cached, "/snapshots/")) {
        start = (size_t)(strstr(cached + 8, "--") + 2 - path);
        end = (size_t)(strstr(cached, "/snapshots/") - path);
    }
    id = oom_arena_get(m->arena, end > start ? end - start + 1 : 1, err);
    for (size_t i = start; id && i < end; i++)
        id[i - start] = iscntrl((unsigned char)path[i]) ? '?' : path[i];
    return id;
}

oom_status read_paths(oom_model *m, const char *spec, oom_error *err)
{
    char path[PATH_BYTES];
    const char *home = getenv("HOME");
    oom_status status = OOM_OK;

    for (const char *s = spec, *plus; s && status == OOM_OK; s = plus ? plus + 3 : NULL) {
        bool under_home = home && strncmp(s, "~/", 2) == 0;
        size_t len;

        plus = strstr(s, " + ");
        len = plus ? (size_t)(plus - s) : strlen(s);
        if (len == 0)
            return oom_fail(err, OOM_BADVALUE, "expected a path on both sides of +");
        if (len + (under_home ? strlen(home) : 0) > LONGEST_PATH)
            return oom_fail(err, OOM_BADVALUE, "path too long");
        snprintf(path, sizeof path, "%s%.*s", under_home ? home : "", (int)len - under_home,
                 s + under_home);
        if (s != spec && !m->is_gguf)
            return oom_fail(err, OOM_BADVALUE,
                            "only a projector (mmproj) joins a model, and only a GGUF one");
        status = read_path(m, path, err);
        if (status == OOM_OK && s == spec && !(m->id = id_of(m, path, err)))
            status = OOM_NOMEM;
    }
    return status;
}
