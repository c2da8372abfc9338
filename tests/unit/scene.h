/* scene.h: models, devices and plans in one line, for tests of the counting. */
#ifndef SCENE_H
#define SCENE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "read.h"

typedef struct {
    folder files;
    read_catalogue *catalogue;
} scene;

static inline scene *scene_new(void)
{
    scene *s = calloc(1, sizeof *s);
    read_source source = { folder_file, NULL };

    if (!s)
        abort();
    source.ctx = &s->files;
    s->catalogue = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    return s;
}

static inline void scene_free(scene *s)
{
    read_catalogue_free(s->catalogue);
    free(s->files.text);
    free(s);
}

/* A preset, or a configuration written out when `spec` starts with a brace. */
static inline oom_model *scene_model(scene *s, const char *spec)
{
    oom_model *m = NULL;
    oom_error err = { OOM_OK, "" };
    oom_status st;

    if (*spec == '{') {
        m = oom_model_new(&oom_libc_alloc, &err);
        st = read_config(m, "test", spec, strlen(spec), &err);
    } else {
        st = read_model(s->catalogue, spec, &oom_libc_alloc, &m, &err);
    }
    if (st != OOM_OK)
        fail_msg("%s: %s", spec, err.msg);
    return m;
}

/* A plan on `device` (NULL: none). Freed with free(). */
static inline oom_plan *scene_plan(scene *s, oom_model *m, const char *precision,
                                   const char *device, const char *engine, const oom_options *o)
{
    oom_plan *p = malloc(oom_plan_bytes());
    oom_options none = { .gpu_layers = -1 };
    oom_deployment where = { 0 };
    oom_precision format;
    oom_error err = { OOM_OK, "" };
    oom_status st = oom_precision_parse(precision, &format, &err);

    if (st == OOM_OK && device)
        st = read_deployment(s->catalogue, device, &where, &err);
    if (st == OOM_OK)
        st = oom_plan_make(p, m, &format, device ? &where : NULL, oom_engine_find(engine),
                           o ? o : &none, &err);
    if (st != OOM_OK)
        fail_msg("%s %s %s: %s", m->id, precision, device ? device : "no device", err.msg);
    return p;
}

#endif
