/* The options of calls as Lua gives them: names, numbers, tables, and what is none of these.
 * fuzz_options.lua says what must hold. */
#include "fuzz_lua.h"

#include "bind.h"

/* Values of options, keys of a model's configuration, of a device and of a cache format. */
static const char *const words[] = {
    "llama-3.1-8b", "qwen2.5-0.5b", "gemma-3-1b", "mixtral-8x7b", "meta-llama/Llama-3.1-8B",
    "llama3.1:8b", "rtx-4090", "2x h100-sxm", "1x rtx-4090 + 1x rtx-3090", "h100-sxm mig 1g.10gb",
    "rtx-4090 windows", "24GiB", "24GB", "8", "cpu", "fp32", "fp16", "bf16", "int8", "int4", "fp8",
    "q4_k_m", "q8_0", "q4_0", "iq4_nl", "type:q4_0", "gguf:bf16", "awq", "gptq-3bit-64g", "nf4-dq",
    "fp8-block", "mxfp4", "exl2-4.5", "mlx-4bit-64g", "stored", "auto", "generic", "ideal",
    "transformers", "transformers@4.46", "vllm", "vllm@0.9", "llama.cpp", "last", "all", "flash",
    "sdpa", "eager", "GiB", "GB", "unicode", "ascii", "32Ki", "7e9", "k", "v", "memory", "bandwidth",
    "flops", "count", "name", "params", "hidden_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "vocab_size", "model_type", "llama", "qwen3_moe", "deepseek_v3",
    "intermediate_size", "num_experts", "num_experts_per_tok", "kv_lora_rank", "head_dim",
    "sliding_window", "layer_types", "quantization_config", "bits", "max_position_embeddings",
};

static const char *const devices[] = { "rtx-4090", "l4", "2x a100-80gb", "24GiB", "m3-max-36gb" };

/* A call's options: some that make sense, then anything under the names there are. */
static void push_options(lua_State *L, fuzz_bytes *b)
{
    size_t n_options = 0;

    while (bind_option_at(n_options))
        n_options++;
    lua_newtable(L);
    lua_pushstring(L, words[fuzz_byte(b) % 4]);
    lua_setfield(L, -2, "model");
    lua_pushstring(L, devices[fuzz_byte(b) % 5]);
    lua_setfield(L, -2, "device");
    lua_pushstring(L, words[15 + fuzz_byte(b) % 20]);
    lua_setfield(L, -2, "precision");
    for (int n = 1 + fuzz_byte(b) % 6; n > 0; n--) {
        uint8_t which = fuzz_byte(b);

        if (which < 240)
            lua_pushstring(L, bind_option_at(which % n_options)->name);
        else
            fuzz_push_word(L, b);
        fuzz_push(L, b, 2);
        lua_rawset(L, -3);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static lua_State *L;
    fuzz_bytes b = { data, data + n, words, sizeof words / sizeof *words };

    if (!L)
        L = fuzz_state("tests/fuzz/fuzz_options.lua");
    lua_pushinteger(L, fuzz_byte(&b));
    push_options(L, &b);
    fuzz_ask(L);
    return 0;
}
