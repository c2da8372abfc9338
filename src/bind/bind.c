/* bind.c: the module table, the documentation of every public function, plans kept while recent,
 * and results' metatable. */
#include "request.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PLANS "oomph.plans"
#define LIVE "oomph.live"           /* weak: pointer of a model or deployment -> its userdata */
#define RESULT "oomph.result"
#define KEPT_PLANS 64 /* four precisions for each of a handful of settings, and a sweep */

/* What one plan was made from, compared whole. */
typedef struct {
    const oom_model *model;
    const bind_deployment *device;
    const oom_engine *engine;
    oom_precision precision;
    oom_options options;
} plan_key;

typedef struct { plan_key key; uint64_t used; oom_plan *plan; } plan_slot;

typedef struct {
    uint64_t clock;
    uint32_t last; /* slot of the last hit: the common case is the same plan again */
    oom_notes *notes;   /* shared by all of them; NULL where there was no memory: only slower */
    plan_slot slot[KEPT_PLANS];
} plan_cache;

static char catalogue_key, plans_key, request_key;

/* ---- documentation ---- */

static const bind_entry *const entry_lists[] = { bind_memory_entries, bind_solve_entries,
                                                 bind_model_entries, bind_catalogue_entries,
                                                 bind_sweep_entries, bind_rows_entries,
                                                 bind_tools_entries };

/* Functions written in Lua: the module is required on first use. */
static const bind_doc lua_docs[] = {
    { "explain", "explain(result) -> text",
      "Where every number of a result comes from: formula, the "
      "numbers put in, source, how exact.",
      "explain(memory{model=\"llama-3.1-8b\", device=\"rtx-4090\", precision=\"fp16\"})",
      "oomph.explain" },
    { "check", "check(log [, {model=, device=, …, learn=true}]) -> rows",
      "What an engine's start-up log says against what is predicted for the same run; log is "
      "its text or a file.",
      "check(\"Initializing a V1 LLM engine (v0.19.0) with config: "
      "model='meta-llama/Llama-3.1-8B-Instruct'\\n"
      "Model loading took 14.99 GiB memory\", {device=\"h100-sxm\"})", "oomph.check" },
    { "flags", "flags(result) -> text",
      "The llama-server or vllm serve line that makes the engine do what was asked.",
      "flags(memory{model=\"llama-3.1-8b\", precision=\"q4_k_m\", engine=\"llama.cpp\", seq=8192})",
      "oomph.flags" },
    { "maxlayers", "maxlayers{model=, device=, precision=, seq=, …} -> layers",
      "How many layers llama.cpp can keep on the device (-ngl), and of how many the "
      "experts must stay in main memory.",
      "maxlayers{model=\"llama-3.3-70b\", device=\"rtx-4090\", precision=\"q4_k_m\", seq=8192}",
      "oomph.maxlayers" },
    { "json", "json(x) -> text", "Any value or result as JSON text; integers stay exact.",
      "json(footprint{model=\"llama-3.1-8b\", device=\"rtx-4090\"})", "oomph.json" },
    { "spark", "spark(list [, {min=, max=}]) -> text", "A list of numbers as one line of bars.",
      "spark{1, 2, 4, 8, 16}", "oomph.chart" },
    { "bars", "bars(rows [, {capacity=, title=}]) -> text", "Sizes as bars against a capacity.",
      "bars({{\"fp16\", 16060522496}, {\"int8\", 8030261248}}, {capacity=25757220864})",
      "oomph.chart" },
    { "plot", "plot(series [, {x=, y=, log=}]) -> text", "Curves, one per series, in Braille dots.",
      "plot{{name=\"fp16\", {512, 144}, {1024, 72}, {2048, 36}}}", "oomph.chart" },
    { "heatmap", "heatmap(rows, x, y, v) -> text", "A table of shares as a map of what fits.",
      "heatmap({{seq=1024, batch=1, share=0.3}, {seq=2048, batch=1, share=1.1}}, \"seq\", "
      "\"batch\", "
      "\"share\")", "oomph.chart" },
    { "sweep", "sweep{model=, device=, precision=, seq=, batch=, …, show=, to=} -> rows",
      "Everything against everything: any option a list, a range, a pattern or a function of the "
      "others.",
      "sweep{model={\"llama-3.1-8b\", \"qwen3-8b\"}, device=\"rtx-4090\", precision={\"fp16\", "
      "\"awq\"}, "
      "seq=powers(1024, 8192)}:where{fits=true}", "oomph.sweep" },
    { "range", "range(first, last [, step]) -> list",
      "Whole numbers from first to last, for a sweep.",
      "range(1, 8)", "oomph.sweep" },
    { "powers", "powers(first, last) -> list", "Doubling numbers from first to last, for a sweep.",
      "powers(1024, 131072)", "oomph.sweep" },
    { "compare", "compare{a, b, …} -> table",
      "Configurations side by side, each a table of options, with differences to the first.",
      "compare{{model=\"llama-3.1-8b\", device=\"rtx-4090\", precision=\"fp16\"}, "
      "{model=\"llama-3.1-8b\", device=\"rtx-4090\", precision=\"awq\"}}", "oomph.compare" },
    { "whatif", "whatif{option=, …, base=} -> table",
      "The session (or base) with a change, before and after.",
      "whatif{precision=\"awq\", base={model=\"llama-3.1-8b\", device=\"rtx-4090\"}}",
      "oomph.compare" },
    { "fit", "fit{device=, batch=, seq=, model=, precision=, top=} -> models",
      "What can I run here: models, largest first, each in the widest format that fits.",
      "fit{device=\"rtx-4090\", model=\"qwen*\", top=5}", "oomph.fit" },
    { "gpus", "gpus{model=, precision=, batch=, seq=, device=, count=, price=, top=} -> devices",
      "Which devices, and how many of each, run this model; cheapest first when prices are given.",
      "gpus{model=\"llama-3.1-70b\", precision=\"awq\", top=5, "
      "price={[\"l4\"]=0.7, [\"h100-sxm\"]=2.5}}", "oomph.gpus" },
    { "quant", "quant{model=, device=, batch=, seq=, precision=} -> formats",
      "The widest precision that fits, with those tried.",
      "quant{model=\"qwen2.5-14b\", device=\"rtx-4090\"}", "oomph.fit" },
    { "advise", "advise{model=, device=, precision=, batch=, seq=, …} -> changes",
      "It does not fit: what to change, one option or two, what each frees and what it costs.",
      "advise{model=\"llama-3.1-70b\", device=\"rtx-4090\", precision=\"awq\"}", "oomph.advise" },
    { "save", "save(file)", "Writes the lines that worked as a script that runs.",
      "save(os.tmpname())", "oomph.session" },
    { "edit", "edit()",
      "Opens the last block in $VISUAL or $EDITOR; what comes back stands at the prompt.",
      "edit()", "oomph.session" },
    { "reload", "reload()",
      "Forgets the Lua modules that were read, so that an edit of one is seen.",
      "reload()", "oomph.session" },
    { "help", "help([topic])", "Help on a function, option or topic; help() lists them.",
      "help(\"maxbatch\")", "oomph.help" },
};

#define N_LUA_DOCS (sizeof lua_docs / sizeof *lua_docs)

const bind_doc *bind_doc_at(size_t i)
{
    static bind_doc doc;            /* one at a time; the shell has one thread */

    for (size_t l = 0; l < sizeof entry_lists / sizeof *entry_lists; l++)
        for (const bind_entry *e = entry_lists[l]; e->name; e++) {
            if (!e->signature)      /* for lua/ modules, not for people */
                continue;
            if (i-- == 0) {
                doc = (bind_doc){ e->name, e->signature, e->sentence, e->example, NULL };
                return &doc;
            }
        }
    return i < N_LUA_DOCS ? &lua_docs[i] : NULL;
}

static int bind_docs(lua_State *L)
{
    const bind_doc *d;

    lua_newtable(L);
    for (size_t i = 0; (d = bind_doc_at(i)); i++) {
        lua_newtable(L);
        set_text(L, "name", d->name);
        set_text(L, "signature", d->signature);
        set_text(L, "sentence", d->sentence);
        set_text(L, "example", d->example);
        set_text(L, "module", d->module);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_newtable(L);
    for (size_t i = 0; bind_option_at(i); i++) {
        lua_newtable(L);
        set_text(L, "name", bind_option_at(i)->name);
        set_text(L, "values", bind_option_at(i)->values);
        set_text(L, "sentence", bind_option_at(i)->sentence);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 2;
}

/* ---- errors, catalogue ---- */

int bind_fail(lua_State *L, const oom_error *err)
{
    lua_pushstring(L, err->msg);
    lua_error(L);
    abort();                    /* lua_error does not come back, which lua.h does not say */
}

int bind_error(lua_State *L, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    lua_pushvfstring(L, fmt, args);
    va_end(args);
    lua_error(L);
    abort();
}

const char *bind_quote(lua_State *L, const char *name)
{
    char quoted[96];

    return lua_pushstring(L, oom_text_quote(name, strlen(name), quoted, sizeof quoted));
}

read_catalogue *bind_catalogue(lua_State *L)
{
    read_catalogue *c;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &catalogue_key);
    c = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return c;
}

/* ---- plans ---- */

static int free_plans(lua_State *L)
{
    plan_cache *c = lua_touserdata(L, 1);

    for (uint32_t i = 0; i < KEPT_PLANS; i++) {
        oom_libc_alloc.resize(NULL, c->slot[i].plan, oom_plan_bytes(), 0);
        c->slot[i].plan = NULL;
    }
    free(c->notes);
    c->notes = NULL;
    return 0;
}

static plan_cache *plans(lua_State *L)
{
    plan_cache *c;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &plans_key);
    c = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return c;
}

static void live(lua_State *L, const void *p)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LIVE);
    lua_rawgetp(L, -1, p);
    lua_remove(L, -2);
}

/* Keeps the userdata of a plan's model and device alive as long as the plan. */
static void anchor(lua_State *L, uint32_t slot, const request *r)
{
    lua_getfield(L, LUA_REGISTRYINDEX, PLANS);
    live(L, r->model);
    lua_rawseti(L, -2, (lua_Integer)slot * 2 + 1);
    live(L, r->device);
    lua_rawseti(L, -2, (lua_Integer)slot * 2 + 2);
    lua_pop(L, 1);
}

static bool is_of(const plan_slot *slot, const plan_key *key)
{
    /* keys are cleared first. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
    return slot->used && memcmp(&slot->key, key, sizeof *key) == 0;
}

const oom_plan *request_plan(lua_State *L, const request *r, uint32_t i)
{
    plan_cache *c = plans(L);
    plan_key key;
    uint32_t victim = 0;
    oom_error err;
    oom_status st;

    memset(&key, 0, sizeof key);    /* padding is compared, too */
    key.model = r->model;
    key.device = r->device;
    key.engine = r->engine;
    key.precision = r->precisions[i];
    key.options = r->options;
    if (is_of(&c->slot[c->last], &key))
        return c->slot[c->last].plan;
    for (uint32_t s = 0; s < KEPT_PLANS; s++) {
        if (is_of(&c->slot[s], &key)) {
            c->slot[s].used = ++c->clock;
            c->last = s;
            return c->slot[s].plan;
        }
        if (c->slot[s].used < c->slot[victim].used)
            victim = s;
    }
    c->slot[victim].used = 0;
    if (!c->slot[victim].plan)
        c->slot[victim].plan = oom_libc_alloc.resize(NULL, NULL, 0, oom_plan_bytes());
    if (!c->slot[victim].plan)
        bind_error(L, "not enough memory");
    anchor(L, victim, r);
    if (!c->notes)
        c->notes = calloc(1, oom_notes_bytes());
    st = oom_plan_make_noting(c->slot[victim].plan, c->notes, r->model, &r->precisions[i],
                              r->device ? &r->device->where : NULL, r->engine, &r->options, &err);
    if (st != OOM_OK)
        bind_fail(L, &err);
    c->slot[victim].key = key;
    c->slot[victim].used = ++c->clock;
    c->last = victim;
    return c->slot[victim].plan;
}

/* ---- requests ---- */

void request_need_model(lua_State *L, const char *call, const request *r)
{
    if (!r->model)
        bind_error(L, "%s: no model is set; try model = \"llama-3.1-8b\" or models(\"llama\")",
                   call);
}

void request_need_device(lua_State *L, const char *call, const request *r)
{
    if (!r->device)
        bind_error(L, "%s: no device is set; try device = \"local\", device = \"rtx-4090\" or "
                      "devices(\"rtx\")", call);
}

void request_default_precisions(request *r)
{
    static const char *const four[] = { "fp32", "fp16", "int8", "int4" };
    const char *stored = r->model->stored_precision;
    bool plain = !stored || strcmp(stored, "fp32") == 0 || strcmp(stored, "fp16") == 0
              || strcmp(stored, "bf16") == 0;

    if (r->n_precisions)
        return;
    if (r->model->from_file || !plain) {
        oom_precision_parse("stored", &r->precisions[0], NULL);
        r->n_precisions = 1;
        return;
    }
    for (uint32_t i = 0; i < 4; i++)
        oom_precision_parse(four[i], &r->precisions[i], NULL);
    r->n_precisions = 4;
}

const char *request_precision_name(const request *r, uint32_t i)
{
    if (r->precisions[i].kind == OOM_PRECISION_STORED && r->model->stored_precision)
        return r->model->stored_precision;
    return r->precisions[i].name;
}

bool request_default_seq(request *r)
{
    uint64_t context = r->model->shape.context;

    if (r->load.seq)
        return false;
    r->load.seq = context && context < 8192 ? context : 8192;
    return true;
}

void bind_holds(lua_State *L, size_t bytes)
{
    lua_gc(L, LUA_GCSTEP, 1 + (int)(bytes >> 10 < INT_MAX / 2048 ? bytes >> 10 : INT_MAX / 2048));
}

/* ---- results ---- */

/* A result is a plain table of fields; its request hides under a key that pairs does not show. */
void bind_result(lua_State *L, const char *kind, const request *r, uint32_t precision)
{
    request *copy;

    set_text(L, "kind", kind);
    if (r->decimal || r->binary)
        set_text(L, "units", r->decimal ? "GB" : "GiB");
    copy = lua_newuserdatauv(L, sizeof *copy, 3);
    *copy = *r;
    live(L, r->model);
    lua_setiuservalue(L, -2, 1);
    live(L, r->device);
    lua_setiuservalue(L, -2, 2);
    lua_pushinteger(L, precision);
    lua_setiuservalue(L, -2, 3);
    lua_rawsetp(L, -2, &request_key);
    luaL_setmetatable(L, RESULT);
}

const request *bind_result_request(lua_State *L, int index, uint32_t *precision)
{
    const request *r = NULL;

    index = lua_absindex(L, index);
    if (lua_type(L, index) != LUA_TTABLE)
        return NULL;
    lua_rawgetp(L, index, &request_key);
    r = lua_touserdata(L, -1);
    if (r && precision) {
        lua_getiuservalue(L, -1, 3);
        *precision = (uint32_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return r;
}

void bind_result_handle(lua_State *L, int index, int which)
{
    lua_rawgetp(L, index, &request_key);
    lua_getiuservalue(L, -1, which);
    lua_remove(L, -2);
}

/* Everything text or rarely asked lives in lua/result.lua, loaded when a result is shown. */
static int result_call(lua_State *L, const char *function, int results)
{
    int n = lua_gettop(L);

    lua_getglobal(L, "require");
    lua_pushliteral(L, "oomph.result");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, function);
    lua_insert(L, 1);
    lua_settop(L, n + 1);
    lua_call(L, n, results);
    return results;
}

static int result_tostring(lua_State *L) { return result_call(L, "show", 1); }

static int result_index(lua_State *L)
{
    lua_settop(L, 2);
    return result_call(L, "index", 1);
}

static int result_next(lua_State *L)
{
    lua_settop(L, 2);
    while (lua_next(L, 1)) {
        if (lua_type(L, -2) != LUA_TLIGHTUSERDATA)
            return 2;
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    return 1;
}

static int result_pairs(lua_State *L)
{
    lua_pushcfunction(L, result_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* session(name): a session variable as it was set, for what lua/ prints (units). */
static int bind_session(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, BIND_SESSION);
    lua_getfield(L, -1, luaL_checkstring(L, 1));
    return 1;
}

static int bind_is_result(lua_State *L)
{
    lua_pushboolean(L, bind_result_request(L, 1, NULL) != NULL);
    return 1;
}

/* ---- the module ---- */

static void make_registry(lua_State *L, read_catalogue *catalogue)
{
    plan_cache *c;

    lua_pushlightuserdata(L, catalogue);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &catalogue_key);
    c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    lua_newtable(L);
    lua_pushcfunction(L, free_plans);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &plans_key);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, PLANS);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, BIND_SESSION);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, BIND_RESOLVED);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LIVE);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pop(L, 4);
}

int bind_open(lua_State *L, read_catalogue *catalogue)
{
    static const luaL_Reg result_methods[] = {
        { "__tostring", result_tostring }, { "__index", result_index },
        { "__pairs", result_pairs }, { NULL, NULL }
    };

    make_registry(L, catalogue);
    luaL_newmetatable(L, RESULT);
    luaL_setfuncs(L, result_methods, 0);
    lua_pop(L, 1);
    lua_newtable(L);
    for (size_t l = 0; l < sizeof entry_lists / sizeof *entry_lists; l++)
        for (const bind_entry *e = entry_lists[l]; e->name; e++) {
            lua_pushcfunction(L, e->function);
            lua_setfield(L, -2, e->name);
        }
    lua_pushcfunction(L, bind_docs);
    lua_setfield(L, -2, "docs");
    lua_pushcfunction(L, bind_is_result);
    lua_setfield(L, -2, "is_result");
    lua_pushcfunction(L, bind_session);
    lua_setfield(L, -2, "session");
    lua_pushcfunction(L, bind_check_option);
    lua_setfield(L, -2, "check_option");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);               /* lua/ modules: require "oomph.core" */
    lua_setfield(L, -2, "oomph.core");
    lua_pop(L, 1);
    return 1;
}
