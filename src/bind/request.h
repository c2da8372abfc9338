/* request.h: a call's options as C values, for the files of bind/. */
#ifndef OOM_REQUEST_H
#define OOM_REQUEST_H

#include <lauxlib.h>

#include "bind.h"
#include "oom.h"

#define REQUEST_PRECISIONS 16

/* A model as Lua owns it: a full userdata created before the model; its user value is how the model
 * was written where it was read, a path or a name (nil: a table). */
typedef struct { oom_model *model; } bind_model;
#define BIND_MODEL "oomph.model"
#define BIND_DEPLOYMENT "oomph.deployment"

/* The session's variables with models and devices looked up (BIND_SESSION has them as written). */
#define BIND_RESOLVED "oomph.resolved"

/* What a deployment userdata holds: the devices and how the user wrote them. */
typedef struct { oom_deployment where; char label[128]; } bind_deployment;

typedef struct {
    oom_model *model;           /* NULL: none chosen */
    const bind_deployment *device;
    const oom_engine *engine;
    uint32_t n_precisions;      /* 0: not given */
    oom_precision precisions[REQUEST_PRECISIONS];
    oom_options options;
    oom_load load;              /* zero: not given */
    bool decimal, binary;       /* units of this call's print; neither: the session's */
} request;

/* Reads the options at stack index 1 (a table, nil or nothing) over the session's. Unknown keys,
 * wrong types and values out of range raise. Model and deployment are anchored in the registry. */
void request_read(lua_State *L, const char *call, request *r);
/* The same, starting from `r` as it stands: the table at `index` wins. */
void request_merge(lua_State *L, const char *call, int index, request *r);

int bind_check_option(lua_State *L);

void request_need_model(lua_State *L, const char *call, const request *r);
void request_need_device(lua_State *L, const char *call, const request *r);

/* The precisions asked, or what the model is stored in, or the four rows fp32 … int4. */
void request_default_precisions(request *r);
const char *request_precision_name(const request *r, uint32_t i);  /* "stored" by what it is */
/* seq where one is needed and none was given: 8192, or the model's context if shorter. */
bool request_default_seq(request *r);       /* true: assumed */

/* A plan for precision i, prepared once and kept while recent. */
const oom_plan *request_plan(lua_State *L, const request *r, uint32_t i);

/* The model of a value at index (string, table, userdata):
 * pushes the userdata, returns the model. */
oom_model *bind_to_model(lua_State *L, int index);
bind_deployment *bind_to_deployment(lua_State *L, int index);
void bind_forget_devices(lua_State *L);         /* every name is looked up anew */
void bind_forget(lua_State *L, int index);      /* a path, or "local", is read anew next time */
read_catalogue *bind_catalogue(lua_State *L);

/* Fields of the table at the top: a model's shape and counts; or a new table of a device. */
void bind_push_shape(lua_State *L, const oom_model *m);
void bind_push_counts(lua_State *L, const oom_model *m);
void bind_push_device(lua_State *L, const oom_device *d);

/* The only place that raises an error of the core's. */
_Noreturn int bind_fail(lua_State *L, const oom_error *err);
/* An error for people: one line, without the position luaL_error puts before it. */
_Noreturn int bind_error(lua_State *L, const char *fmt, ...);
/* What a caller named, for such an error: pushed as oom_text_quote shows it. */
const char *bind_quote(lua_State *L, const char *name);

/* A whole number at index, given as integer, integral float or text like "32Ki". */
uint64_t bind_count(lua_State *L, int index, const char *name, uint64_t least);

/* Tells the collector of memory that C holds for a userdata. Lua counts the handle alone, and would
 * let thousands of them pile up. */
void bind_holds(lua_State *L, size_t bytes);

/* Sets the result metatable of `kind` on the table at the top and remembers its request. */
void bind_result(lua_State *L, const char *kind, const request *r, uint32_t precision);
/* Pushes the userdata of a result's model (1) or device (2). */
void bind_result_handle(lua_State *L, int index, int which);
const request *bind_result_request(lua_State *L, int index, uint32_t *precision);

static inline void set_int(lua_State *L, const char *key, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, key);
}

static inline void set_text(lua_State *L, const char *key, const char *v)
{
    if (v) {
        lua_pushstring(L, v);
        lua_setfield(L, -2, key);
    }
}

static inline void set_bool(lua_State *L, const char *key, bool v)
{
    lua_pushboolean(L, v);
    lua_setfield(L, -2, key);
}

#endif
