/* options.c: named options. One table says what there is; assigning a session variable and reading
 * a call's options both go through it, so a key is checked in one place. */
#include "request.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    T_MODEL, T_DEVICE, T_PRECISION, T_KV, T_ENGINE, T_COUNT, T_DEGREE, T_BYTES, T_SHARE, T_LAYERS,
    T_CHOICE, T_OUTPUTS, T_ATTENTION, T_FLASH, T_CPU_MOE, T_SPLIT, T_UNITS, T_CHARSET
} type;

typedef struct { bind_option option; type type; size_t offset; } row;

#define AT(field) offsetof(request, field)

static const row rows[] = {
    { { "model", "a name, path or table",
        "The model: preset, alias, Hugging Face id, path, or a table "
        "of configuration keys.", "model" }, T_MODEL, 0 },
    { { "device", "a name, size or table",
        "The hardware: \"rtx-4090\", \"2x h100-sxm\", \"24GiB\", "
        "\"local\", \"cpu\", \"h100-sxm mig 1g.10gb\", \"rtx-4090 windows\", or {memory=, count=}.",
        "device" }, T_DEVICE, 0 },
    { { "precision", "a format or a list",
        "Weight format: fp16, int4, q4_k_m, awq …; formats() lists "
        "them.", "precision" }, T_PRECISION, 0 },
    { { "kv", "a format or {k=, v=}", "Format of the KV cache; \"auto\" is 2 bytes.", "kv" }, T_KV,
      0 },
    { { "batch", "a whole number", "Concurrent sequences.", NULL }, T_COUNT, AT(load.batch) },
    { { "seq", "tokens, \"32Ki\" too", "Tokens per sequence, prompt and answer together.", NULL },
      T_COUNT, AT(load.seq) },
    { { "prompt", "tokens", "Tokens of the prompt within seq: decides the prefill.", NULL },
      T_COUNT, AT(load.prompt) },
    { { "engine", "a name", "Whose rules: generic, ideal, transformers, vllm, llama.cpp; a version "
        "after @.", "engine" }, T_ENGINE, 0 },
    { { "tp", "a whole number", "Tensor parallel degree.", NULL }, T_DEGREE, AT(options.tp) },
    { { "pp", "a whole number", "Pipeline parallel degree.", NULL }, T_DEGREE, AT(options.pp) },
    { { "ep", "a whole number", "Expert parallel degree.", NULL }, T_DEGREE, AT(options.ep) },
    { { "dp", "a whole number", "Data parallel degree.", NULL }, T_DEGREE, AT(options.dp) },
    { { "chunk", "tokens", "Tokens of all sequences in one forward step.", NULL }, T_COUNT,
      AT(options.chunk) },
    { { "utilization", "0 to 1", "Share of the device the engine may use.", NULL }, T_SHARE,
      AT(options.utilization) },
    { { "gpu_layers", "a whole number or \"all\"", "Layers on the device, as -ngl counts them.",
        NULL },
      T_LAYERS, AT(options.gpu_layers) },
    { { "outputs", "\"last\" or \"all\"", "Rows of logits: one a sequence, or one a token.",
        "outputs" },
      T_OUTPUTS, AT(options.outputs) },
    { { "attention", "\"flash\", \"sdpa\" or \"eager\"", "Attention kernels.", "attention" },
      T_ATTENTION, AT(options.attention) },
    { { "flash", "true or false", "flash=false is short for attention=\"eager\".", NULL }, T_FLASH,
      AT(options.attention) },
    { { "reserve", "bytes, \"1GiB\" too", "Kept free on each device for others.", NULL }, T_BYTES,
      AT(options.reserve) },
    { { "n_batch", "tokens", "llama.cpp: tokens of one logical batch.", NULL }, T_COUNT,
      AT(options.n_batch) },
    { { "unified", "true or false", "llama.cpp: one cache for all sequences.", NULL }, T_CHOICE,
      AT(options.unified) },
    { { "swa_full", "true or false", "llama.cpp: full-length caches for window layers.", NULL },
      T_CHOICE, AT(options.swa_full) },
    { { "kv_offload", "true or false", "llama.cpp: the cache on the device.", NULL }, T_CHOICE,
      AT(options.kv_offload) },
    { { "op_offload", "true or false", "llama.cpp: large steps over host weights on the device.",
        NULL },
      T_CHOICE, AT(options.op_offload) },
    { { "cpu_moe", "true or layers", "llama.cpp: experts (of that many layers) in main memory.",
        NULL },
      T_CPU_MOE, 0 },
    { { "tensor_split", "shares, \"3,1\"", "llama.cpp: layers to devices in this proportion.",
        NULL },
      T_SPLIT, 0 },
    { { "max_seqs", "a whole number", "vLLM: sequences in one step.", NULL }, T_COUNT,
      AT(options.max_seqs) },
    { { "eager", "true or false", "vLLM: no CUDA graphs.", NULL }, T_CHOICE, AT(options.eager) },
    { { "block_size", "tokens", "vLLM: tokens of a cache block.", NULL }, T_COUNT,
      AT(options.block_size) },
    { { "prefix_caching", "true or false", "vLLM: keep blocks of common prefixes.", NULL },
      T_CHOICE, AT(options.prefix_caching) },
    { { "units", "\"GiB\" or \"GB\"", "Binary or decimal sizes in what is printed.", "units" },
      T_UNITS, 0 },
    { { "charset", "\"unicode\" or \"ascii\"", "Characters of charts.", "charset" }, T_CHARSET, 0 },
};

#define N_ROWS (sizeof rows / sizeof *rows)

const bind_option *bind_option_at(size_t i) { return i < N_ROWS ? &rows[i].option : NULL; }

static _Noreturn int bad(lua_State *L, int index, const char *name, const char *expected)
{
    char shown[96], quoted[93];
    const char *text;

    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        text = lua_tostring(L, index);
        snprintf(shown, sizeof shown, "\"%s\"",
                 oom_text_quote(text, strlen(text), quoted, sizeof quoted));
        break;
    case LUA_TNUMBER: case LUA_TBOOLEAN:
        if (lua_type(L, index) == LUA_TNUMBER && isnan(lua_tonumber(L, index))) {
            snprintf(shown, sizeof shown, "nan");   /* printf would give it a sign */
            break;
        }
        luaL_tolstring(L, index, NULL);
        snprintf(shown, sizeof shown, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
        break;
    default:
        snprintf(shown, sizeof shown, "a %s", luaL_typename(L, index));
    }
    bind_error(L, "%s is %s, expected %s", name, shown, expected);
}

uint64_t bind_count(lua_State *L, int index, const char *name, uint64_t least)
{
    const char *expected = least ? "a whole number, 1 or more" : "a whole number, 0 or more";
    uint64_t n = 0;
    oom_error err;

    if (lua_type(L, index) == LUA_TSTRING) {
        if (oom_text_count(lua_tostring(L, index), &n, &err) != OOM_OK)
            bad(L, index, name, expected);
    } else if (lua_type(L, index) == LUA_TNUMBER) {
        int exact;
        lua_Integer i = lua_tointegerx(L, index, &exact);

        if (!exact || i < 0)
            bad(L, index, name, expected);
        n = (uint64_t)i;
    } else {
        bad(L, index, name, expected);
    }
    if (n < least)
        bad(L, index, name, expected);
    return n;
}

static int one_of(lua_State *L, int index, const char *name, const char *const *words,
                  const char *expected)
{
    if (lua_type(L, index) == LUA_TSTRING)
        for (int i = 0; words[i]; i++)
            if (strcmp(lua_tostring(L, index), words[i]) == 0)
                return i;
    return bad(L, index, name, expected);
}

static const oom_format *kv_format(lua_State *L, int index)
{
    static const char *const names[] = { "fp32", "fp16", "bf16", "fp8", "int8", "q8_0", "q5_1",
                                         "q5_0", "q4_1", "q4_0", "iq4_nl", NULL };
    const char *s = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
    const oom_format *f;

    if (s && strcmp(s, "auto") == 0)
        return NULL;
    f = s ? oom_format_find(s) : NULL;
    for (int i = 0; f && names[i]; i++)
        if (strcmp(f->name, names[i]) == 0)
            return f;
    bad(L, index, "kv",
        "auto, fp32, fp16, bf16, fp8, int8, q8_0, q5_1, q5_0, q4_1, q4_0 or iq4_nl");
    return NULL;
}

static void read_kv(lua_State *L, int index, request *r)
{
    if (lua_type(L, index) != LUA_TTABLE) {
        r->options.kv_k = r->options.kv_v = kv_format(L, index);
        return;
    }
    lua_getfield(L, index, "k");
    lua_getfield(L, index, "v");
    if (lua_isnil(L, -2) || lua_isnil(L, -1))
        bind_error(L, "kv is a table without k and v, expected {k=format, v=format}");
    r->options.kv_k = kv_format(L, lua_absindex(L, -2));
    r->options.kv_v = kv_format(L, lua_absindex(L, -1));
    lua_pop(L, 2);
}

static void add_precision(lua_State *L, int index, request *r)
{
    oom_error err;

    if (lua_type(L, index) != LUA_TSTRING)
        bad(L, index, "precision", "the name of a format; formats() lists them");
    if (r->n_precisions == REQUEST_PRECISIONS)
        bind_error(L, "precision: more than %d formats in a list", REQUEST_PRECISIONS);
    if (oom_precision_parse(lua_tostring(L, index), &r->precisions[r->n_precisions], &err)
        != OOM_OK)
        bind_fail(L, &err);
    r->n_precisions++;
}

static void read_precision(lua_State *L, int index, request *r)
{
    r->n_precisions = 0;
    if (lua_type(L, index) != LUA_TTABLE) {
        add_precision(L, index, r);
        return;
    }
    for (lua_Integer i = 1; lua_geti(L, index, i) != LUA_TNIL; i++) {
        add_precision(L, lua_absindex(L, -1), r);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (r->n_precisions == 0)
        bad(L, index, "precision", "the name of a format, or a list of them");
}

/* "0.19" -> 19, "4.46" -> 4046; what follows a second point tells no rules apart ("0.19.1"). */
static bool read_version(const char *s, uint32_t *version)
{
    char *end;
    unsigned long major, minor = 0;

    if (!isdigit((unsigned char)*s))
        return false;
    major = strtoul(s, &end, 10);
    if (*end == '.' && isdigit((unsigned char)end[1]))
        minor = strtoul(end + 1, &end, 10);
    if (major > 999 || minor > 999 || (*end && (*end != '.' || !isdigit((unsigned char)end[1]))))
        return false;
    *version = (uint32_t)(major * 1000 + minor);
    return true;
}

/* "vllm@0.19" -> vllm and 19 */
static void read_engine(lua_State *L, int index, request *r)
{
    char name[32];
    const char *s = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
    const char *at = s ? strchr(s, '@') : NULL;
    size_t len = s ? (at ? (size_t)(at - s) : strlen(s)) : 0;
    oom_error err;

    if (!s || len >= sizeof name)
        bad(L, index, "engine", "generic, ideal, transformers, vllm or llama.cpp");
    memcpy(name, s, len);
    name[len] = '\0';
    r->engine = oom_engine_find(name);
    r->options.version = 0;
    if (!r->engine) {
        const char *names[8], *best[3];
        size_t n = 0, found;

        for (const oom_engine *e; n < 8 && (e = oom_engine_at(n)); n++)
            names[n] = oom_engine_name(e);
        found = oom_text_nearest(name, names, n, best, 1);
        if (found)
            bind_error(L, "no engine \"%s\"; did you mean \"%s\"?", bind_quote(L, name), best[0]);
        bind_error(L, "no engine \"%s\"; engines() lists them", bind_quote(L, name));
    }
    if (at) {
        if (!read_version(at + 1, &r->options.version))
            bad(L, index, "engine", "a version like @0.19 after the name");
        if (oom_engine_check_version(r->engine, r->options.version, &err) != OOM_OK)
            bind_fail(L, &err);
    }
}

static void read_layers(lua_State *L, int index, request *r)
{
    bool word = lua_type(L, index) == LUA_TSTRING && strcmp(lua_tostring(L, index), "all") == 0;
    bool below = lua_type(L, index) == LUA_TNUMBER && lua_tonumber(L, index) < 0;

    if (word || below)                      /* as llama.cpp takes -1 */
        r->options.gpu_layers = -1;
    else
        r->options.gpu_layers = (int64_t)bind_count(L, index, "gpu_layers", 0);
}

static void read_bytes_option(lua_State *L, int index, const char *name, uint64_t *out)
{
    oom_error err;

    if (lua_type(L, index) == LUA_TSTRING) {
        if (oom_text_bytes(lua_tostring(L, index), out, &err) != OOM_OK)
            bad(L, index, name, "bytes, or text like \"1GiB\"");
    } else {
        *out = bind_count(L, index, name, 0);
    }
}

static double read_share(lua_State *L, int index, const char *name)
{
    double v = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : NAN;

    if (!(v > 0 && v <= 1))
        bad(L, index, name, "a share above 0, at most 1");
    return v;
}

static bool read_truth(lua_State *L, int index, const char *name)
{
    if (lua_type(L, index) != LUA_TBOOLEAN)
        bad(L, index, name, "true or false");
    return lua_toboolean(L, index);
}

static void read_cpu_moe(lua_State *L, int index, request *r)
{
    r->options.cpu_moe = 0;
    r->options.cpu_moe_all = false;
    if (lua_type(L, index) == LUA_TBOOLEAN)
        r->options.cpu_moe_all = lua_toboolean(L, index);
    else
        r->options.cpu_moe = (uint32_t)(bind_count(L, index, "cpu_moe", 0) & UINT32_MAX);
}

/* "3,1" or "3/1", as llama.cpp takes them. */
static void read_split(lua_State *L, int index, const char *name, double *shares)
{
    const char *expected = "shares by device, as in \"3,1\"";
    const char *s = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
    double sum = 0;
    size_t n = 0;

    memset(shares, 0, OOM_MAX_SHARES * sizeof *shares);
    for (char *end; n < OOM_MAX_SHARES; s = end + 1) {
        shares[n] = strtod(s, &end);
        if (end == s || !(shares[n] >= 0 && shares[n] < 1e18))
            bad(L, index, name, expected);
        sum += shares[n++];
        if (*end != ',' && *end != '/') {
            s = end;
            break;
        }
    }
    if (*s != '\0' || !(sum > 0))
        bad(L, index, name, expected);
}

static void read_one(lua_State *L, const row *w, int index, request *r)
{
    static const char *const outputs[] = { "last", "all", NULL };
    static const char *const attention[] = { "flash", "sdpa", "eager", NULL };
    static const char *const units[] = { "GiB", "GB", NULL };
    static const char *const charset[] = { "unicode", "ascii", NULL };
    const char *name = w->option.name;
    char *field = (char *)r + w->offset;
    uint64_t n;

    switch (w->type) {
    case T_MODEL:
        r->model = bind_to_model(L, index);
        lua_pop(L, 1);
        break;
    case T_DEVICE:
        r->device = bind_to_deployment(L, index);
        lua_pop(L, 1);
        break;
    case T_PRECISION: read_precision(L, index, r); break;
    case T_KV: read_kv(L, index, r); break;
    case T_ENGINE: read_engine(L, index, r); break;
    case T_COUNT: *(uint64_t *)(void *)field = bind_count(L, index, name, 1); break;
    case T_DEGREE:
        n = bind_count(L, index, name, 1);
        if (n > OOM_MAX_DEVICES)
            bad(L, index, name, "at most 128");
        *(uint32_t *)(void *)field = (uint32_t)n;
        break;
    case T_BYTES: read_bytes_option(L, index, name, (uint64_t *)(void *)field); break;
    case T_SHARE: *(double *)(void *)field = read_share(L, index, name); break;
    case T_LAYERS: read_layers(L, index, r); break;
    case T_CHOICE:
        *(oom_choice *)(void *)field = read_truth(L, index, name) ? OOM_YES : OOM_NO;
        break;
    case T_OUTPUTS:
        r->options.outputs = one_of(L, index, name, outputs, "\"last\" or \"all\"") == 0
                           ? OOM_OUTPUTS_LAST : OOM_OUTPUTS_ALL;
        break;
    case T_ATTENTION:
        r->options.attention =
            (oom_attention)one_of(L, index, name, attention, "\"flash\", \"sdpa\" or \"eager\"");
        break;
    case T_FLASH:
        r->options.attention = read_truth(L, index, name) ? OOM_ATTENTION_FLASH
            : OOM_ATTENTION_EAGER;
        break;
    case T_CPU_MOE: read_cpu_moe(L, index, r); break;
    case T_SPLIT: read_split(L, index, name, r->options.tensor_split); break;
    case T_UNITS:
        r->decimal = one_of(L, index, name, units, "\"GiB\" or \"GB\"") == 1;
        r->binary = !r->decimal;
        break;
    case T_CHARSET: one_of(L, index, name, charset, "\"unicode\" or \"ascii\""); break;
    }
}

static const row *find_row(const char *name)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].option.name, name) == 0)
            return &rows[i];
    return NULL;
}

static _Noreturn int unknown(lua_State *L, const char *call, const char *name)
{
    const char *names[N_ROWS], *best;

    for (size_t i = 0; i < N_ROWS; i++)
        names[i] = rows[i].option.name;
    best = bind_option_meant(name);
    if (!best && !oom_text_nearest(name, names, N_ROWS, &best, 1))
        best = NULL;
    name = bind_quote(L, name);
    if (best)
        bind_error(L, "%s: no option \"%s\"; did you mean \"%s\"?", call, name, best);
    bind_error(L, "%s: no option \"%s\"; help(\"options\") lists them", call, name);
}

/* check_option(call, name): raises when there is no such option. For lua/. */
int bind_check_option(lua_State *L)
{
    return find_row(luaL_checkstring(L, 2)) ? 0
        : unknown(L, luaL_checkstring(L, 1), lua_tostring(L, 2));
}

void request_merge(lua_State *L, const char *call, int index, request *r)
{
    index = lua_absindex(L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const row *w;

        if (lua_type(L, -2) != LUA_TSTRING)
            bind_error(L, "%s: options are named, as in %s{batch=4}", call, call);
        w = find_row(lua_tostring(L, -2));
        if (!w)
            unknown(L, call, lua_tostring(L, -2));
        read_one(L, w, lua_absindex(L, -1), r);
        lua_pop(L, 1);
    }
}

void request_read(lua_State *L, const char *call, request *r)
{
    memset(r, 0, sizeof *r);
    r->options.gpu_layers = -1;
    r->engine = oom_engine_at(0);
    if (!lua_isnoneornil(L, 1) && lua_type(L, 1) != LUA_TTABLE)
        bind_error(L, "%s takes named options, as in %s{batch=4}", call, call);
    lua_getfield(L, LUA_REGISTRYINDEX, BIND_RESOLVED);
    request_merge(L, call, -1, r);
    lua_pop(L, 1);
    r->decimal = r->binary = false;
    if (lua_type(L, 1) == LUA_TTABLE)
        request_merge(L, call, 1, r);
}

/* The variable as read back, and as calls take it: models and devices already looked up, so that a
 * table is read once and later changes to it do not slip in unchecked. */
static void store(lua_State *L, const char *name, int value, int resolved)
{
    lua_getfield(L, LUA_REGISTRYINDEX, BIND_SESSION);
    lua_pushvalue(L, value);
    lua_setfield(L, -2, name);
    lua_getfield(L, LUA_REGISTRYINDEX, BIND_RESOLVED);
    lua_pushvalue(L, resolved);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}

static int echo_of(lua_State *L, const char *name, int index)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "oomph.echo");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "assigned");
    lua_remove(L, -2);
    lua_pushstring(L, name);
    lua_pushvalue(L, index);
    lua_call(L, 2, 1);
    return 1;
}

int bind_assign(lua_State *L, const char *name, int index, bool echo)
{
    const row *w = find_row(name);
    request r;

    memset(&r, 0, sizeof r);
    index = lua_absindex(L, index);
    if (!w)
        return unknown(L, "session", name);
    if (lua_isnil(L, index)) {
        store(L, name, index, index);
        if (echo)
            lua_pushnil(L);
        return echo;
    }
    if (w->type == T_MODEL) {
        bind_forget(L, index);
        bind_to_model(L, index);
    } else if (w->type == T_DEVICE) {
        bind_forget(L, index);
        bind_to_deployment(L, index);
    } else {
        read_one(L, w, index, &r);
        lua_pushvalue(L, index);
    }
    store(L, name, index, lua_absindex(L, -1));
    lua_pop(L, 1);
    return echo ? echo_of(L, name, index) : 0;
}
