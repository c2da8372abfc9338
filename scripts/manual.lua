--- The man page and the shells' completions, from the documentation that help and Tab use:
-- oomph scripts/manual.lua man|bash|zsh|fish, written to stdout.
local docs, options = require("oomph.core").docs()

-- The command line says itself what it takes.
local program = 0
while arg[program - 1] do program = program - 1 end
local function ask(flag) return assert(io.popen(('"%s" %s'):format(arg[program], flag))) end

local function flags()
    local help = ask("--help")
    local list = {}
    for line in help:lines() do
        local left, sentence = line:match("^  (%s*%-.-)  +(%S.*)$")
        if left then
            local f = { sentence = sentence, short = left:match("%f[-]%-(%a)%f[^%a]"), long = left:match("%-%-([%w-]+)") }
            f.argument = left:match("=(%u+)") or left:match(" (%u+)$")
            list[#list + 1] = f
        end
    end
    help:close()
    return list
end

local M = {}

local function roff(text)
    text = text:gsub("\\", "\\e"):gsub("^[.']", "\\&%0"):gsub("%-", "\\-")
    return (text:gsub("[\xC2-\xF4][\x80-\xBF]*", function(c) return ("\\[u%04X]"):format(utf8.codepoint(c)) end))
end

function M.man()
    local out = { '.TH OOMPH 1 "" "' .. ask("--version"):read("l") .. '"', ".SH NAME",
        "oomph \\- says whether a language model fits on hardware", ".SH SYNOPSIS",
        ".B oomph", "[\\fIoptions\\fR] [\\fIFILE.lua\\fR [\\fIARGS\\fR...]]", ".SH DESCRIPTION",
        "An interactive shell, and a Lua interpreter for scripts, that counts what a model's weights, caches and",
        "activations take on a device under an engine, before anything is downloaded, rented or started.",
        "Without FILE it is the shell on a terminal; \\- is a script on standard input.", ".SH OPTIONS" }
    local function add(s) out[#out + 1] = s end
    for _, f in ipairs(flags()) do
        local names = {}
        names[#names + 1] = f.short and "\\fB\\-" .. f.short .. "\\fR"
        names[#names + 1] = f.long and "\\fB\\-\\-" .. roff(f.long) .. "\\fR"
        add(".TP")
        add(table.concat(names, ", ") .. (f.argument and " \\fI" .. f.argument .. "\\fR" or ""))
        add(roff(f.sentence))
    end
    add(".SH FUNCTIONS")
    for _, d in ipairs(docs) do
        add(".TP")
        add("\\fB" .. roff(d.signature) .. "\\fR")
        add(roff(d.sentence))
        add(".br")
        add("Example: " .. roff(d.example))
    end
    add(".SH SESSION VARIABLES")
    add("Each is an option of every function, too.")
    for _, o in ipairs(options) do
        add(".TP")
        add("\\fB" .. o.name .. "\\fR (" .. roff(o.values) .. ")")
        add(roff(o.sentence))
    end
    for _, s in ipairs {
        ".SH EXIT STATUS", "0 fine, 1 an error in the script, 2 wrong usage, 130 interrupted. With \\-\\-fits: 0 fits, 1 does not, 2 error.",
        ".SH ENVIRONMENT", ".TP", "\\fBOOMPH_PATH\\fR", "A source tree whose lua/ and presets/ are read first.",
        ".TP", "\\fBOOMPH_MAX_MEMORY\\fR", "What a script may allocate, 2GiB unless set; 0 is no limit.",
        ".TP", "\\fBOOMPH_HISTORY\\fR, \\fBOOMPH_HISTORY_SIZE\\fR", "The history file (empty: none) and its entries, 10000 unless set.",
        ".TP", "\\fBNO_COLOR\\fR", "When not empty, no colour.",
        ".TP", "\\fBVISUAL\\fR, \\fBEDITOR\\fR", "What edit() starts.",
        ".TP", "\\fBXDG_CONFIG_HOME\\fR, \\fBXDG_STATE_HOME\\fR", "Stand for ~/.config and ~/.local/state.",
        ".SH FILES", ".TP", "\\fI~/.config/oomph/init.lua\\fR", "Runs at the start of an interactive session.",
        ".TP", "\\fI~/.config/oomph/lua/, presets/\\fR", "Stand before the files in the binary.",
        ".TP", "\\fI~/.config/oomph/presets/learned/overhead.json\\fR", "What check(log, {learn=true}) learned.",
        ".TP", "\\fI~/.config/oomph/prices.lua\\fR", "Returns the table that gpus{price=} takes, where a call gives none.",
        ".TP", "\\fI~/.local/state/oomph/history\\fR", "What was typed.",
        ".SH SEE ALSO", ".BR lua (1), readline (3)" } do
        add(s)
    end
    return table.concat(out, "\n")
end

function M.bash()
    local words = {}
    for _, f in ipairs(flags()) do
        words[#words + 1] = f.long and "--" .. f.long .. (f.argument and "=" or "") or "-" .. f.short
    end
    return ([==[
_oomph() {
    local line=${COMP_LINE:0:COMP_POINT} word=${COMP_WORDS[COMP_CWORD]}
    case ${line##* } in
    --color=*) [ "$word" = = ] && word=; COMPREPLY=($(compgen -W 'auto always never' -- "$word")) ;;
    -*) COMPREPLY=($(compgen -W '%s' -- "$word")); [[ ${COMPREPLY-} == *= ]] && compopt -o nospace ;;
    *) compopt -o filenames; COMPREPLY=($(compgen -f -X '!*.lua' -- "$word") $(compgen -d -- "$word")) ;;
    esac
}
complete -F _oomph oomph]==]):format(table.concat(words, " "))
end

local function quoted(s) return (s:gsub("'", "'\\''")) end

function M.zsh()
    local lines = { "#compdef oomph", "_arguments \\" }
    for _, f in ipairs(flags()) do
        local tail = "[" .. quoted(f.sentence):gsub("[%[%]:]", "\\%0") .. "]"
        if f.argument then
            tail = tail .. ":" .. f.argument:lower() .. ":" .. (f.long == "color" and "(auto always never)"
                or f.argument == "DIR" and "_files -/" or "")
        end
        if f.short then lines[#lines + 1] = ("  '%s-%s%s' \\"):format(f.short == "e" and "*" or "", f.short, tail) end
        if f.long then lines[#lines + 1] = ("  '--%s%s%s' \\"):format(f.long, f.argument and "=" or "", tail) end
    end
    lines[#lines + 1] = "  '*:script:_files -g \"*.lua\"'"
    return table.concat(lines, "\n")
end

function M.fish()
    local lines = {}
    for _, f in ipairs(flags()) do
        lines[#lines + 1] = "complete -c oomph" .. (f.short and " -s " .. f.short or "") .. (f.long and " -l " .. f.long or "")
            .. (f.argument and " -x" or "") .. (f.long == "color" and " -a 'auto always never'"
                or f.argument == "DIR" and " -a '(__fish_complete_directories)'" or "")
            .. " -d '" .. quoted(f.sentence) .. "'"
    end
    lines[#lines + 1] = "complete -c oomph -k -x -a '(__fish_complete_suffix .lua)'"
    return table.concat(lines, "\n")
end

local make = M[arg[1]]
if not make then error("usage: oomph scripts/manual.lua man|bash|zsh|fish", 0) end
print(make())
