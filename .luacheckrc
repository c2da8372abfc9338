-- What luacheck is told: Lua 5.4, and the names that each folder's scripts find without require.
std = "lua54"
max_line_length = false     -- scripts/lint counts columns, which are not bytes

-- The calls of the shell that a script uses: one more here when a script uses one more.
local SHELL = {
    "advise", "capacity", "check", "compare", "devices", "engines", "explain", "fit", "flags",
    "footprint", "gpus", "help", "inspect", "json", "maxbatch", "maxcurve", "maxlayers", "maxseq",
    "memory", "models", "powers", "quant", "range", "spark", "sweep", "whatif",
}
files["examples"] = { read_globals = SHELL }
files["tests"] = { read_globals = SHELL }

-- tests/lua/run gives these to a file of tests.
local TESTS = { "equal", "near", "raises", "test" }
files["tests/lua/run"] = { globals = TESTS }
files["tests/lua/*.lua"] = { read_globals = TESTS }
