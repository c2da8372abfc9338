/* Charts of anything, at any width: fuzz_chart.lua says what must hold. */
#include "fuzz_lua.h"

static const char *const words[] = {
    "width", "height", "colour", "ascii", "units", "title", "min", "max", "capacity",
    "capacity_label", "device", "unit", "available", "x", "y", "v", "log", "absent", "order", "xmin",
    "xmax", "ymin", "ymax", "xkind", "ykind", "label", "name", "value", "bytes", "total", "weights",
    "kv", "state", "activations", "overhead", "rows", "series", "points", "n", "note", "share", "seq",
    "batch", "precision", "256", "16", "none", "GiB", "GB", "tokens", "params", "count", "xy", "fp16",
};

/* The options of a chart: mostly some that make sense. */
static void push_options(lua_State *L, fuzz_bytes *b)
{
    lua_newtable(L);
    fuzz_fields(L, b, 0);
    if (fuzz_byte(b) % 16) {
        lua_pushinteger(L, 1 + fuzz_byte(b) % 160);
        lua_setfield(L, -2, "width");
    }
    lua_pushboolean(L, fuzz_byte(b) & 1);
    lua_setfield(L, -2, "ascii");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static lua_State *L;
    fuzz_bytes b = { data, data + n, words, sizeof words / sizeof *words };

    if (!L)
        L = fuzz_state("tests/fuzz/fuzz_chart.lua");
    lua_pushinteger(L, fuzz_byte(&b));
    push_options(L, &b);
    fuzz_push(L, &b, 0);
    fuzz_ask(L);
    return 0;
}
