/* learned.c: bytes that an engine took on a device beyond its rules, as logs showed. They are kept
 * as presets are, in the user's "presets/learned", and added to the overhead of that pair. */
#include "learned.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const oom_value *map, const char *key)
{
    const oom_value *v = oom_value_get(map, key);

    return v && v->kind == OOM_STRING ? v->u.text : NULL;
}

/* Names are of devices and models, made safe: nothing in them needs more than this in JSON. */
static void make_plain(char *s)
{
    for (; *s; s++)
        if (*s == '"' || *s == '\\' || (unsigned char)*s < ' ')
            *s = ' ';
}

static oom_status put(learned_list *list, const char *device, const char *engine, uint64_t bytes,
                      const char *from, bool replace, oom_error *err)
{
    size_t i = 0;

    if (bytes > OOM_MAX_BYTES || strlen(device) >= sizeof list->at[0].device
        || strlen(engine) >= sizeof list->at[0].engine)
        return oom_fail(err, OOM_TOOLARGE, "learned: a name or size too large");
    while (i < list->n && (strcmp(list->at[i].device, device) != 0
                           || strcmp(list->at[i].engine, engine) != 0))
        i++;
    if (i < list->n && !replace)
        return OOM_OK;
    if (i == MOST_LEARNED)
        return oom_fail(err, OOM_TOOLARGE, "learned: more than %d devices and engines",
                        MOST_LEARNED);
    list->n += i == list->n;
    list->at[i].bytes = bytes;
    snprintf(list->at[i].device, sizeof list->at[i].device, "%s", device);
    snprintf(list->at[i].engine, sizeof list->at[i].engine, "%s", engine);
    snprintf(list->at[i].from, sizeof list->at[i].from, "%.63s", from);
    make_plain(list->at[i].device);
    make_plain(list->at[i].engine);
    make_plain(list->at[i].from);
    return OOM_OK;
}

static oom_status load_file(learned_list *list, const char *name, const oom_value *root,
                            oom_error *err)
{
    const oom_value *records = oom_value_get(root, "learned");

    if (!records || records->kind != OOM_LIST)
        return oom_fail(err, OOM_BADFILE, "%s: expected {\"learned\": […]}", name);
    for (size_t i = 0; i < records->u.list.n; i++) {
        const oom_value *r = &records->u.list.items[i], *bytes = oom_value_get(r, "overhead_bytes");
        const char *device = text_of(r, "device"), *engine = text_of(r, "engine");
        const char *from = text_of(r, "from");
        oom_status status;

        if (!device || !engine || !bytes || bytes->kind != OOM_INT || bytes->u.i < 0)
            return oom_fail(err, OOM_BADFILE, "%s: record %zu, expected {\"device\":, \"engine\":, "
                            "\"overhead_bytes\":}", name, i + 1);
        status = put(list, device, engine, (uint64_t)bytes->u.i, from ? from : "", false, err);
        if (status != OOM_OK)
            return status;
    }
    return OOM_OK;
}

/* The list, read on first need. NULL: err says why. */
static learned_list *list_of(read_catalogue *c, oom_error *err)
{
    const read_source *source;
    learned_list *list = read_catalogue_learned(c, &source, err);
    const char *name, *text;
    oom_status status = OOM_OK;
    size_t n;

    if (!list || list->loaded)
        return list;
    list->n = 0;
    for (size_t i = 0; status == OOM_OK
                       && source->file(source->ctx, "presets/learned", i, &name, &text, &n); i++) {
        oom_arena *arena = oom_arena_new(&oom_libc_alloc, err);
        const oom_value *root = NULL;

        status = arena ? read_json(arena, name, text, n, &root, err) : OOM_NOMEM;
        if (status == OOM_OK)
            status = load_file(list, name, root, err);
        oom_arena_free(arena);
    }
    list->loaded = status == OOM_OK;
    return list->loaded ? list : NULL;
}

oom_status read_learned(read_catalogue *c, oom_device *d, oom_error *err)
{
    oom_error why = { 0 };
    const learned_list *list = c ? list_of(c, &why) : NULL;

    if (!c)                             /* no catalogue: nothing was learned */
        return OOM_OK;
    if (!list)
        return oom_fail(err, why.status, "%s", why.msg);
    for (size_t i = 0; i < list->n; i++)
        for (size_t e = 0; oom_engine_at(e); e++)
            if (strcmp(list->at[i].device, d->id) == 0
                && strcmp(list->at[i].engine, oom_engine_name(oom_engine_at(e))) == 0)
                d->learned_bytes[e] = list->at[i].bytes;
    return OOM_OK;
}

oom_status read_learn(read_catalogue *c, const char *device, const char *engine, uint64_t bytes,
                      const char *from, oom_error *err)
{
    oom_error why = { 0 };
    learned_list *list = list_of(c, &why);

    if (!list)
        return oom_fail(err, why.status, "%s", why.msg);
    return put(list, device, engine, bytes, from, true, err);
}

oom_status read_learned_text(read_catalogue *c, char *text, size_t text_bytes, oom_error *err)
{
    oom_error why = { 0 };
    const learned_list *list = list_of(c, &why);
    size_t used;

    if (!list)
        return oom_fail(err, why.status, "%s", why.msg);
    used = (size_t)snprintf(text, text_bytes, "{\"learned\": [\n");
    for (size_t i = 0; i < list->n && used < text_bytes; i++)
        used += (size_t)snprintf(text + used, text_bytes - used,
                                 " {\"device\": \"%s\", \"engine\": \"%s\", "
                                 "\"overhead_bytes\": %llu, \"from\": \"%s\"}%s\n",
                                 list->at[i].device, list->at[i].engine,
                                 (unsigned long long)list->at[i].bytes, list->at[i].from,
                                 i + 1 < list->n ? "," : "");
    if (used + 4 >= text_bytes)
        return oom_fail(err, OOM_TOOLARGE, "learned: more than fits a file");
    memcpy(text + used, "]}\n", sizeof "]}\n");
    return OOM_OK;
}
