--- Help made from the docs table that completion, the man page and the README's table are made
-- from, and pages on what is no function: topics.
local core = require("oomph.core")
local layout = require("oomph.table").layout
local term = require("oomph.term")

local M = {}

local WIDEST = 100 -- columns that are still read with ease

-- A topic is a list of paragraphs; {term, text} hangs the text beside the term.
M.topics = {
    session = {
        "Options of every function are session variables: model, device, precision, kv, batch, "
            .. "seq, engine … What a call leaves out comes from the session:",
        "  seq = 32768; maxbatch{precision=\"int4\"}",
        "Assigning checks a value and says what was understood; nil clears a variable. "
            .. "help(\"options\") lists them all. save(\"plan.lua\") writes the lines that worked "
            .. "as a script, dofile \"plan.lua\" runs it.",
    },
    formats = {
        "precision takes pure widths (fp32 fp16 bf16 fp8 int8 int4: every parameter that wide), "
            .. "llama.cpp's file recipes (q4_k_m, iq4_xs, gguf:bf16: types mixed per tensor), "
            .. "type:q4_0 (one ggml type on all), and recipes (awq, gptq-4bit-128g, nf4, "
            .. "fp8-block, mxfp4 …). formats() lists them.",
    },
    units = {
        "Sizes print in GiB (2^30 bytes); units = \"GB\" switches to decimal. Every size in a "
            .. "result is an integer number of bytes. \"24GiB\" and \"24GB\" are different sizes; "
            .. "a 24 GB card has 24 GiB.",
    },
    results = {
        "A result prints itself, and is a table of exact numbers: footprint().fp16.bytes, "
            .. "memory().total. The last one is kept in _ and is asked for more by its methods:",
        { ":csv([path])", "its table as text, or written to a file; so do :json and :markdown" },
        { ":table{rows=\"all\"}", "as it prints, with more rows, or another width=" },
        { ":save(\"x.svg\")", "its chart as a picture (.png, .pdf); .csv, .json and .md, too" },
        "Rows of a sweep also take:",
        { ":where{fits=true}", "the rows of which it is so; {total={max=…}}, or a function" },
        { ":sort(\"total\")", "in order, or \"down\"; :top(5, \"params\") the largest; :count()" },
        { ":group(\"device\")", "then :best(\"params\") or :count(); :select(…) some columns" },
        { ":pivot(x, y, v)", "a table of v over x and y; :heatmap(x, y) draws it" },
        { ":plot(x, y)", "curves; :bars and :spark; :save(\"x.svg\", \"heatmap\") one of them" },
    },
    charts = {
        "spark, bars, plot and heatmap draw numbers, {name, number} pairs, or numbers by name; "
            .. "they return text. Beyond the line at the capacity a bar is ▒: it does not fit. "
            .. "✓ fits, ! is nine tenths full, ✗ does not fit, » is cut at two and a half times "
            .. "the capacity: its number is still true. charset = \"ascii\" draws with ASCII. "
            .. "width=, height=, ascii= and colour=\"256\"|\"16\"|\"none\" are options of every "
            .. "chart.",
    },
    keys = {
        { "Tab", "completes names, options and what is between quotes; on an empty line it lists "
            .. "what there is" },
        { "Alt-h", "help on the word under the cursor; help NAME and ?NAME without parentheses" },
        { "Up, Down", "earlier lines that start like this one; Ctrl-R searches in all" },
        { "Ctrl-C", "forgets the line or the block, or stops what runs; three in a row leave" },
        { "Ctrl-X Ctrl-E", "opens the line in $EDITOR; edit() opens the last block" },
        { "Ctrl-D", "leaves on an empty line; so do quit and exit" },
    },
}

-- Paragraphs on the page there is.
local function page(paragraphs)
    local width, hang, out = math.min(term.settings().width, WIDEST), 0, {}
    for _, p in ipairs(paragraphs) do
        if type(p) == "table" then
            hang = math.max(hang, term.width(p[1]) + 4)
        end
    end
    for i, p in ipairs(paragraphs) do
        if type(p) == "table" then
            out[i] = term.wrap(term.pad("  " .. p[1], hang), p[2], width, hang):gsub(" +$", "")
        else
            out[i] = term.wrap(p:match("^ *"), p, width, #p:match("^ *"))
        end
    end
    return table.concat(out, "\n")
end

local function options()
    local _, list = core.docs()
    local items = {}
    for i, o in ipairs(list) do
        items[i] = { o.name, o.sentence .. " (" .. o.values .. ")" }
    end
    return page(items)
end

-- What to do first stands last: a list longer than the screen leaves it above the prompt.
local function overview()
    local rows, names = {}, { "options" }
    for i, d in ipairs((core.docs())) do
        rows[i] = { d.name, d.sentence }
    end
    for name in pairs(M.topics) do
        names[#names + 1] = name
    end
    table.sort(names)
    return layout({ "function", "" }, rows, { rows = "all" }) .. "\n\n" .. page {
        "help(\"NAME\") shows one with an example. Topics: " .. table.concat(names, ", ") .. ".",
        "To begin, set model and device, then ask:",
        { "model = \"llama-3.1-8b\"", "Tab completes names inside quotes" },
        { "device = \"rtx-4090\"", "" },
        { "footprint()", "weights in each precision against the device" },
        { "maxcurve()", "how far it goes" },
    }
end

local function of_function(d)
    return page { d.signature, "  " .. d.sentence } .. "\n"
        .. term.fold("  example: " .. d.example)
end

local function of_option(o)
    return page { o.name .. " (" .. o.values .. ")", "  " .. o.sentence }
end

-- Of lists of {name=} and the writer of each: what the name is, as text.
local function found(name, docs, opts)
    local out = {}
    for _, d in ipairs(docs) do
        if d.name == name then
            out[#out + 1] = of_function(d)
        end
    end
    for _, o in ipairs(opts) do
        if o.name == name then
            out[#out + 1] = of_option(o)
        end
    end
    if name == "options" then
        out[#out + 1] = options()
    elseif M.topics[name] then
        out[#out + 1] = page(M.topics[name])
    elseif #out == 0 and (require("oomph.result").methods[name]
            or require("oomph.sweep").methods[name]) then
        out[#out + 1] = page(M.topics.results)
    end
    return #out > 0 and table.concat(out, "\n") or nil
end

local function nearest(name, docs)
    for _, d in ipairs(docs) do
        if d.name:find(name, 1, true) or name:find(d.name, 1, true) then
            return d.name
        end
    end
end

-- The name of a function of ours; nil of anything else.
local function name_of(topic, docs)
    for _, d in ipairs(docs) do
        if core[d.name] == topic or _G[d.name] == topic then
            return d.name
        end
    end
end

local ASCII = { ["…"] = "...", ["▒"] = "x", ["✓"] = "+", ["✗"] = "x", ["»"] = ">" }

local function in_charset(text)
    if term.settings().ascii then
        return (text:gsub("[\xC2-\xF4][\x80-\xBF]*", ASCII))
    end
    return text
end

--- What a function of ours is, in the place of its address; nil of other functions.
function M.of_value(value)
    local docs, opts = core.docs()
    local name = name_of(value, docs)
    return name and in_charset(found(name, docs, opts))
end

--- help([topic]) -> text
function M.help(topic)
    local docs, opts = core.docs()
    if topic == nil then
        return in_charset(overview())
    end
    local name = type(topic) == "string" and topic or name_of(topic, docs)
    if not name then
        error("help takes the name of a function, option or topic, as in help(\"maxbatch\")", 0)
    end
    local text = found(name, docs, opts)
    if not text then
        local guess = nearest(name, docs)
        error("no help on \"" .. term.name(name) .. "\""
            .. (guess and "; did you mean \"" .. guess .. "\"?"
                or "; help() lists what there is"), 0)
    end
    return in_charset(text)
end

return M
