/* preset.c: the catalogue of models and devices. Preset files are parsed on first need, models
 * and devices apart; a record stays the JSON value it is, and only what is asked for is built. */
#include "learned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    const char *folder, *list_key, *noun;
    read_preset *list;
    size_t n, cap;
    bool loaded;
} shelf;

struct read_catalogue {
    oom_arena *arena;
    read_source source;
    shelf models, devices;
    learned_list *learned;
    bool sealed;
};

read_catalogue *read_catalogue_new(const read_source *source, const oom_alloc *a, oom_error *err)
{
    oom_arena *arena = oom_arena_new(a, err);
    read_catalogue *c = arena ? oom_arena_get(arena, sizeof *c, err) : NULL;

    if (!c) {
        oom_arena_free(arena);
        return NULL;
    }
    *c = (read_catalogue){ .arena = arena, .source = *source,
                           .models = { .folder = "presets/models", .list_key = "models",
                                       .noun = "model" },
                           .devices = { .folder = "presets/devices", .list_key = "devices",
                                        .noun = "device" } };
    return c;
}

void read_catalogue_seal(read_catalogue *c)
{
    c->sealed = true;
}

bool read_catalogue_sealed(const read_catalogue *c)
{
    return c && c->sealed;             /* no catalogue: paths alone */
}

void read_catalogue_free(read_catalogue *c)
{
    if (c)
        oom_arena_free(c->arena);
}

learned_list *read_catalogue_learned(read_catalogue *c, const read_source **source, oom_error *err)
{
    if (!c->learned)
        c->learned = oom_arena_get(c->arena, sizeof *c->learned, err);
    *source = &c->source;
    return c->learned;
}

/* ---- loading ---- */

static const char *text_of(const oom_value *map, const char *key)
{
    const oom_value *v = oom_value_get(map, key);

    return v && v->kind == OOM_STRING ? v->u.text : NULL;
}

static oom_status add(read_catalogue *c, shelf *s, const read_preset *p, oom_error *err)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 512;
        read_preset *list = oom_arena_get(c->arena, cap * sizeof *list, err);

        if (!list)
            return OOM_NOMEM;
        if (s->n)
            memcpy(list, s->list, s->n * sizeof *list);
        s->list = list;
        s->cap = cap;
    }
    s->list[s->n++] = *p;
    return OOM_OK;
}

static oom_status load_file(read_catalogue *c, shelf *s, const char *name, const char *text,
                            size_t n, oom_error *err)
{
    const oom_value *root = NULL, *list;
    oom_status status = read_json(c->arena, name, text, n, &root, err);
    const char *vendor;

    if (status != OOM_OK)
        return status;
    list = oom_value_get(root, s->list_key);
    vendor = text_of(root, "vendor");
    if (!vendor || !list || list->kind != OOM_LIST)
        return oom_fail(err, OOM_BADFILE, "%s: expected {\"vendor\": …, \"%s\": […]}", name,
                        s->list_key);
    for (size_t i = 0; i < list->u.list.n; i++) {
        const oom_value *record = &list->u.list.items[i];
        const char *own = text_of(record, "vendor");
        read_preset p = { .id = text_of(record, "id"), .vendor = own ? own : vendor,
                          .hf_id = text_of(record, "hf_id"), .record = record, .order = s->n };

        if (!p.id)
            return oom_fail(err, OOM_BADFILE, "%s: record %zu has no \"id\"", name, i + 1);
        if ((status = add(c, s, &p, err)) != OOM_OK)
            return status;
    }
    return OOM_OK;
}

static int by_id(const void *a, const void *b)
{
    const read_preset *x = a, *y = b;
    int order = strcmp(x->id, y->id);

    /* equal ids: the file that came first wins, and the sort need not be stable */
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static oom_status load(read_catalogue *c, shelf *s, oom_error *err)
{
    const char *name, *text;
    size_t n, kept = 0;

    if (s->loaded)
        return OOM_OK;
    s->n = 0;
    for (size_t i = 0; c->source.file(c->source.ctx, s->folder, i, &name, &text, &n); i++) {
        oom_status status = load_file(c, s, name, text, n, err);

        if (status != OOM_OK)
            return status;
    }
    if (s->n)
        qsort(s->list, s->n, sizeof *s->list, by_id);
    for (size_t i = 0; i < s->n; i++)
        if (kept == 0 || strcmp(s->list[kept - 1].id, s->list[i].id) != 0)
            s->list[kept++] = s->list[i];
    s->n = kept;
    s->loaded = true;
    return OOM_OK;
}

static size_t shelf_list(read_catalogue *c, shelf *s, const read_preset **list, oom_error *err)
{
    if (load(c, s, err) != OOM_OK)
        return 0;
    *list = s->list;
    return s->n;
}

size_t read_models(read_catalogue *c, const read_preset **list, oom_error *err)
{
    return shelf_list(c, &c->models, list, err);
}

size_t read_devices(read_catalogue *c, const read_preset **list, oom_error *err)
{
    return shelf_list(c, &c->devices, list, err);
}

/* ---- looking up ---- */

static const char *base(const char *s)
{
    const char *slash = strrchr(s, '/');

    return slash ? slash + 1 : s;
}

static bool among(const oom_value *record, const char *key, const char *name,
                  const char *(*part)(const char *))
{
    const oom_value *list = oom_value_get(record, key);

    if (!list || list->kind != OOM_LIST)
        return false;
    for (size_t i = 0; i < list->u.list.n; i++) {
        const oom_value *v = &list->u.list.items[i];

        if (v->kind == OOM_STRING && oom_text_same(part ? part(v->u.text) : v->u.text, name))
            return true;
    }
    return false;
}

/* How well a record answers to `name`; NOT_IT: not at all. */
enum { BY_ID, NEARLY_ID, BY_ALIAS, BY_NAME, BY_HF_ID, BY_VARIANT, BY_HF_NAME, NOT_IT };

/* "GeForce RTX 4090", "RTX 4090": a driver's name of it, from any word on but the last one. */
static bool ends_title(const char *title, const char *name)
{
    for (const char *s = title; s; s = strchr(s, ' ') ? strchr(s, ' ') + 1 : NULL)
        if ((s == title || strchr(s, ' ')) && oom_text_same(s, name))
            return true;
    return false;
}

static int answers(const read_preset *p, const char *name)
{
    const char *title = text_of(p->record, "name");

    if (strcasecmp(p->id, name) == 0)
        return BY_ID;
    if (oom_text_same(p->id, name))
        return NEARLY_ID;
    if (among(p->record, "aliases", name, NULL))
        return BY_ALIAS;
    if (title && ends_title(title, name))
        return BY_NAME;
    if (p->hf_id && oom_text_same(p->hf_id, name))
        return BY_HF_ID;
    if (among(p->record, "variants", name, NULL))
        return BY_VARIANT;
    /* the same repository name elsewhere: a copy, or the name without its owner */
    if (p->hf_id && (oom_text_same(base(p->hf_id), base(name)) || oom_text_same(p->id, base(name))))
        return BY_HF_NAME;
    return among(p->record, "variants", base(name), base) ? BY_HF_NAME : NOT_IT;
}

/* `no model "x"; did you mean "a", "b" or "c"?`: ids first, other names when no id is near. */
static void not_found(const shelf *s, const char *name, oom_error *err)
{
    const char *best[3], *one[1], *names[256];
    char quoted[128], list[3 * (sizeof quoted + sizeof ", \"\"")] = "";
    size_t n = 0, used = 0, found = 0;

    if (!err)
        return;
    /* in runs of 256, so that nothing is allocated; the winners of a run go into the next */
    for (size_t i = 0; i < s->n; i++) {
        names[n++] = s->list[i].id;
        if (n == 256 || i + 1 == s->n) {
            found = oom_text_nearest(base(name), names, n, best, 3);
            memcpy(names, best, found * sizeof *best);
            n = found;
        }
    }
    for (size_t i = 0; i < s->n && found < 3; i++) {
        const oom_value *aliases = oom_value_get(s->list[i].record, "aliases");
        bool again = false;

        if (!aliases || aliases->kind != OOM_LIST)
            continue;
        for (size_t j = 0; j < found; j++)
            again |= strcmp(best[j], s->list[i].id) == 0;
        for (size_t j = 0; j < aliases->u.list.n && !again; j++) {
            const oom_value *v = &aliases->u.list.items[j];

            if (v->kind == OOM_STRING && oom_text_nearest(base(name), &v->u.text, 1, one, 1)) {
                best[found++] = s->list[i].id;
                break;
            }
        }
    }
    for (size_t i = 0; i < found; i++) {
        const char *between = i == 0 ? "" : i + 1 == found ? " or " : ", ";

        oom_text_quote(best[i], strlen(best[i]), quoted, sizeof quoted);
        used += (size_t)sprintf(list + used, "%s\"%s\"", between, quoted);
    }
    oom_text_quote(name, strlen(name), quoted, sizeof quoted);
    if (found)
        oom_fail(err, OOM_NOTFOUND, "no %s \"%s\"; did you mean %s?", s->noun, quoted, list);
    else
        oom_fail(err, OOM_NOTFOUND, "no %s \"%s\"; %ss() lists them", s->noun, quoted, s->noun);
}

static const read_preset *find(read_catalogue *c, shelf *s, const char *name, oom_error *err)
{
    const read_preset *best = NULL;
    int best_rank = NOT_IT;
    char trimmed[160];
    size_t len = strlen(name);

    if (load(c, s, err) != OOM_OK)
        return NULL;
    /* "llama3.1:latest" is how Ollama lists what was pulled as "llama3.1" */
    if (len > 7 && len < sizeof trimmed && strcmp(name + len - 7, ":latest") == 0) {
        memcpy(trimmed, name, len - 7);
        trimmed[len - 7] = '\0';
        name = trimmed;
    }
    for (size_t i = 0; i < s->n && *name; i++) {
        size_t maker = strlen(s->list[i].vendor);
        int rank = answers(&s->list[i], name);

        /* "nvidia 4090": its maker before any of its names */
        if (rank == NOT_IT && strncasecmp(name, s->list[i].vendor, maker) == 0 &&
            name[maker] == ' ')
            rank = answers(&s->list[i], name + maker + 1);
        if (rank < best_rank) {
            best = &s->list[i];
            best_rank = rank;
        }
    }
    if (!best)
        not_found(s, name, err);
    return best;
}

const read_preset *read_model_preset(read_catalogue *c, const char *name, oom_error *err)
{
    return find(c, &c->models, name, err);
}

const read_preset *read_device_preset(read_catalogue *c, const char *name, oom_error *err)
{
    return find(c, &c->devices, name, err);
}
